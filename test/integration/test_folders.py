# SPDX-License-Identifier: GPL-2.0-or-later
"""/vms/ds as a mount of its own: what is in its place, when it is not mounted, is nobody's storage."""

import contextlib
import os
import shutil
import uuid as uuids

import pytest
from conftest import BUILD, PREFIX, create, delete, runstate, vmdef, wait_joined, wait_ready, wait_runstate
from lab import Lab, wait_for
from test_migrate import COLD, LIVE, check_place, migrate, operation

MARKER = ".virtx-storage"


def image_folder(lab):
    """What the hosts mount at /vms/ds."""
    return f"{lab.state}/images"


def mount(lab, host):
    host.run(["mount", "--bind", image_folder(lab), "/vms/ds"])


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}folders", virtxd=False,
             config={"jobs": {"collect_period": 3}}) as lab:
        os.mkdir(image_folder(lab))
        for host in lab.hosts:
            mount(lab, host)
            host.start("virtxd")
        lab.init_storage()
        wait_joined(lab)
        yield lab


@contextlib.contextmanager
def unmounted(lab, host):
    """The host has the folder that is under the mount, which is empty."""
    host.run(["umount", "-l", "/vms/ds"])
    try:
        yield
    finally:
        mount(lab, host)


@contextlib.contextmanager
def covered(host, folder, *files):
    """Another mount is over it, with copies of files in it: never seen without them."""
    host.run(["mkdir", "-p", "/run/cover"])
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/run/cover"])
    for file in files:
        host.run(["cp", file, "/run/cover/"])
    host.run(["mount", "--move", "/run/cover", folder])
    try:
        yield
    finally:
        host.run(["umount", "-l", folder])


def images(lab):
    return sorted(name for name in os.listdir(image_folder(lab)) if name != MARKER)


def expect_refusals(host, uuid, why, folder="/vms/ds"):
    """Nothing is made, started, changed or deleted, at once; and /readyz and the problems come to tell."""
    for method, path, body in (("POST", "/vms", {"vmdef": vmdef("stray"), "host": host.uuid}),
                               ("DELETE", f"/vms/{uuid}", {"deletestorage": True}),
                               ("POST", f"/vms/{uuid}/runstate/boot", None),
                               ("PUT", f"/vms/{uuid}", {"vmdef": vmdef("changed"), "deletestorage": True}),
                               ("POST", f"/hosts/{host.uuid}/repair", {"apply": True})):
        answer = host.api(method, path, body)
        assert answer.status == 503, f"{method} {path}: {answer.text}"
        assert answer.json()["type"] == "/problems/unavailable"
        assert f"'{folder}'" in answer.json()["detail"] and why in answer.json()["detail"]
    wait_for(f"'{why}' in /readyz", lambda: why in host.api("GET", "/readyz").json()["storage"], 30)
    assert host.api("GET", "/readyz").status == 503

    def problem():
        found = host.api("GET", f"/hosts/{host.uuid}").json()["problems"]
        return [problem["detail"] for problem in found if problem["kind"] == "storage"]
    told = wait_for("the problem", problem, 10)
    assert len(told) == 1 and folder in told[0] and why in told[0]
    assert runstate(host, uuid) == "poweroff"


def expect_healed(host):
    wait_ready(host)
    assert not [problem for problem in host.api("GET", f"/hosts/{host.uuid}").json()["problems"]
                if problem["kind"] == "storage"]


def test_not_mounted(lab2):
    """Nothing lands on the local disk, and a delete takes nothing for gone."""
    one, _ = lab2.hosts
    assert os.listdir(f"{lab2.vms}/ds") == []
    uuid = create(one, vmdef("kept"))
    with unmounted(lab2, one):
        expect_refusals(one, uuid, "is not mounted")
        assert os.listdir(f"{lab2.vms}/ds") == []
    assert images(lab2) == ["kept.qcow2"]
    expect_healed(one)
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(one, uuid, "poweroff")
    delete(one, uuid)
    assert images(lab2) == []


def test_another_mount(lab2):
    """One over it, in which there is even an image of that name."""
    one, _ = lab2.hosts
    uuid = create(one, vmdef("twice"))
    image = f"{image_folder(lab2)}/twice.qcow2"
    with covered(one, "/vms/ds", image):
        expect_refusals(one, uuid, "without its marker")
        assert one.run(["ls", "-A", "/vms/ds"]).stdout.split() == ["twice.qcow2"]
    expect_healed(one)
    # A copy of the storage has its marker, too.
    with covered(one, "/vms/ds", image, f"{image_folder(lab2)}/{MARKER}"):
        expect_refusals(one, uuid, "another one than that which this host has used")
    expect_healed(one)
    other = str(uuids.uuid4())
    one.run(["tee", f"/run/{MARKER}"], input=f"{other}\n")
    with covered(one, "/vms/ds", f"/run/{MARKER}"):
        expect_refusals(one, uuid, f"is of storage '{other}'")
    expect_healed(one)
    delete(one, uuid)
    assert images(lab2) == []


def expect_no_migration(lab, source, uuid, target, kind, where, state):
    """Refused by the host where it is missing, at once and when it has been noticed."""
    for noticed in (False, True):
        if noticed:
            wait_for("/readyz", lambda: where.api("GET", "/readyz").json()["storage"] != "", 30)
        answer = migrate(source, uuid, target, kind)
        if answer.status == 202:
            done = operation(source, answer)
            assert done["state"] == "failed", done
            told = done["msg"]
        else:
            assert answer.status == 503
            told = answer.text
        assert "'/vms/ds'" in told and "is not mounted" in told
        check_place(lab, uuid, source, state)


@pytest.mark.parametrize("kind", [COLD, LIVE])
def test_migrate(lab2, kind):
    """The target must have the same images, and the source what it sends."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("moves"))
    state = "poweroff"
    if kind == LIVE:
        assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        state = "running"
        wait_runstate(one, uuid, state)
    with unmounted(lab2, two):
        expect_no_migration(lab2, one, uuid, two, kind, two, state)
    expect_healed(two)
    with covered(two, "/vms/ds", f"{image_folder(lab2)}/moves.qcow2"):
        expect_no_migration(lab2, one, uuid, two, kind, two, state)
    expect_healed(two)
    with unmounted(lab2, one):
        expect_no_migration(lab2, one, uuid, two, kind, one, state)
    expect_healed(one)
    done = operation(one, migrate(one, uuid, two, kind))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, two, state)
    if kind == LIVE:
        assert two.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        wait_runstate(two, uuid, "poweroff")
    delete(two, uuid)


def unmark(lab):
    """As an earlier virtxd has left it; nothing of the hosts' is running."""
    os.unlink(f"{image_folder(lab)}/{MARKER}")
    for host in lab.hosts:
        os.unlink(host.path("/run/virtx/storage.ds"))


def test_upgrade(lab2):
    """A folder that hosts without its marker have used gets it from one that sees the VMs' images in it."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("old"))
    for host in lab2.hosts:
        host.stop("virtxd")
    unmark(lab2)
    with unmounted(lab2, two):
        two.start("virtxd")
        wait_for("/readyz", lambda: "does not prove" in two.api("GET", "/readyz").json()["storage"], 30)
        assert "/vms/ds/old.qcow2" in two.api("GET", "/readyz").json()["storage"]
        assert two.virtx("storage", "init").returncode in (1, 3, 4, 5, 6, 7)
        assert os.listdir(f"{lab2.vms}/ds") == []
        assert not os.path.exists(f"{image_folder(lab2)}/{MARKER}")
        # Where it is mounted nothing has to be done.
        one.start("virtxd")
        wait_ready(one)
        with open(f"{image_folder(lab2)}/{MARKER}") as own, open(f"{lab2.vms}/xml/{MARKER}") as storage:
            assert own.read() == storage.read()
    wait_ready(two)
    delete(one, uuid)


def test_upgrade_without_images(lab2):
    """An empty folder proves nothing: somebody has to say that it is the one."""
    one, two = lab2.hosts
    for host in lab2.hosts:
        host.stop("virtxd")
    unmark(lab2)
    for host in lab2.hosts:
        host.start("virtxd")
    for host in lab2.hosts:
        wait_for("/readyz", lambda: "`virtx storage init`" in host.api("GET", "/readyz").json()["storage"], 30)
    assert not os.path.exists(f"{image_folder(lab2)}/{MARKER}")
    done = one.virtx("storage", "init")
    assert done.returncode == 0, done.stderr
    with open(f"{image_folder(lab2)}/{MARKER}") as own:
        assert own.read().strip() == done.stdout.strip()
    for host in lab2.hosts:
        wait_ready(host)
    assert "made already" in two.virtx("storage", "init").stderr


def test_nvram(lab2):
    """The folder of the UEFI variables is marked when it is made, and missed where it was."""
    one, _ = lab2.hosts
    uuid = create(one, vmdef("uefi", firmware=1, memory={"total": 160, "hp": False}))
    assert os.path.exists(f"{lab2.vms}/nvram/{MARKER}")
    wait_for("the folder to be known", lambda: os.path.exists(one.path("/run/virtx/storage.nvram")), 30)
    with covered(one, "/vms/nvram"):
        expect_refusals(one, uuid, "without its marker", "/vms/nvram")
        assert one.run(["ls", "-A", "/vms/nvram"]).stdout == ""
    expect_healed(one)
    delete(one, uuid)
    shutil.rmtree(f"{lab2.vms}/nvram")
