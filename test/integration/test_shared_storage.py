# SPDX-License-Identifier: GPL-2.0-or-later
"""The storage under /vms: known by its marker, made once, and nothing is made or started without it."""

import os
import re
import shutil
import signal
import uuid as uuids

import pytest
from conftest import BUILD, PREFIX, create, delete, runstate, vmdef, wait_ready, wait_runstate
from lab import Lab, wait_for

MARKER = "xml/.virtx-storage"


@pytest.fixture(scope="module")
def lab():
    """One host of its own, which is mistreated."""
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}storage") as lab:
        wait_ready(lab.hosts[0])
        yield lab


def ready(host):
    return host.api("GET", "/readyz").json()


def expect_refusals(host, why, uuid=None, timeout=30):
    """/readyz comes to say this of the storage, and nothing is made or started."""
    wait_for("the host", lambda: host.api("GET", f"/hosts/{host.uuid}").status == 200, timeout)
    wait_for(f"'{why}' in /readyz", lambda: why in ready(host)["storage"], timeout)
    assert host.api("GET", "/readyz").status == 503
    asked = [host.api("POST", "/vms", {"vmdef": vmdef("refused"), "host": host.uuid})]
    if uuid:
        asked.append(host.api("POST", f"/vms/{uuid}/runstate/boot"))
    for answer in asked:
        assert answer.status == 503, answer.text
        assert why in answer.json()["detail"]


def test_init_twice(lab):
    host = lab.hosts[0]
    with open(f"{lab.vms}/{MARKER}") as file:
        uuid = file.read().strip()
    again = host.virtx("storage", "init")
    assert again.returncode in (1, 3, 4, 5, 6, 7)
    assert uuid in again.stderr and "made already" in again.stderr
    assert sorted(os.listdir(lab.vms)) == ["ds", "lock", "xml"]


def test_not_mounted_at_start(lab):
    """virtxd makes nothing on the local disk, and takes the storage when it comes."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("late"))
    host.stop("virtxd")
    host.kill("sanlock")
    host.run(["umount", "/vms"])
    host.start("sanlock")
    host.start("virtxd")
    try:
        expect_refusals(host, "virtx storage init")
        assert host.run(["ls", "-A", "/vms"]).stdout == ""
    finally:
        host.run(["mount", "--bind", lab.vms, "/vms"])
    wait_ready(host)
    wait_for("the VM", lambda: host.api("GET", f"/vms/{uuid}").status == 200)
    delete(host, uuid)


def test_read_only(lab):
    """It could be joined only by writing to it."""
    host = lab.hosts[0]
    host.stop("virtxd")
    host.kill("sanlock")
    host.run(["mount", "-o", "remount,bind,ro", "/vms"])
    host.start("sanlock")
    host.start("virtxd")
    try:
        expect_refusals(host, "Read-only file system")
    finally:
        host.run(["mount", "-o", "remount,bind,rw", "/vms"])
    wait_ready(host)


def test_silent_at_start(lab):
    """A virtxd that is started while the storage is silent says so as one that knew it before."""
    host = lab.hosts[0]
    server = remount(host, ["bindfs", "-f", "--forward-odirect=512", "-o", "direct_io", "-o", "dev,suid",
                            lab.vms, "/vms"])
    try:
        server.send_signal(signal.SIGSTOP)
        host.kill("virtxd")
        host.start("virtxd")
        wait_for("the silence to be told", lambda: "does not answer" in ready(host)["storage"], 45)
        server.send_signal(signal.SIGCONT)
        wait_ready(host)
    finally:
        server.kill()
        server.wait()
        remount(host, ["mount", "--bind", lab.vms, "/vms"]).wait()


def test_another_storage(lab):
    """Another one in the place of that which was joined is no storage for this host."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("other"))
    marker = f"{lab.vms}/{MARKER}"
    with open(marker) as file:
        own = file.read()
    os.rename(marker, f"{marker}.own")
    with open(marker, "w") as file:
        file.write(f"{uuids.uuid4()}\n")
    expect_refusals(host, "another one than that which was joined", uuid)
    assert own.strip() in ready(host)["storage"]
    assert runstate(host, uuid) == "poweroff"
    os.rename(f"{marker}.own", marker)
    wait_ready(host)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    # What runs can be ended, whatever is mounted.
    os.rename(marker, f"{marker}.own")
    expect_refusals(host, "is not mounted")
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    os.rename(f"{marker}.own", marker)
    wait_ready(host)
    delete(host, uuid)


@pytest.mark.parametrize("way", ["init", "copy", "another virtxd"])
def test_lost_marker(lab, way):
    """A registry that has lost its marker is the storage that it was, with all that is on it, and no host has to go."""
    host = lab.hosts[0]
    marker = f"{lab.vms}/{MARKER}"
    with open(marker) as file:
        own = file.read()
    uuid = create(host, vmdef("marked"))
    os.unlink(marker)
    expect_refusals(host, "has lost that file", uuid)
    if way == "init":
        done = host.virtx("storage", "init")
        assert (done.returncode, done.stdout.strip()) == (0, own.strip()), done
    elif way == "copy":
        host.run(["cp", "/vms/ds/.virtx-storage", "/vms/xml/"])
    else:  # one that knows of the lockspace alone, as of a host that was started
        host.stop("virtxd")
        for kept in ("storage", "storage.ds"):
            os.unlink(host.path(f"/run/virtx/{kept}"))
        host.start("virtxd")
    wait_for("the storage", lambda: ready(host)["storage"] == "", 30)
    with open(marker) as file:
        assert file.read() == own
    wait_ready(host)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_another_registry(lab):
    """The same marker in another folder, which is a copy of the registry."""
    host = lab.hosts[0]
    host.run(["cp", "-a", "/vms/xml", "/vms/copy"])
    host.run(["mount", "--bind", "/vms/copy", "/vms/xml"])
    try:
        expect_refusals(host, "another one than that which was joined")
    finally:
        host.run(["umount", "/vms/xml"])
        shutil.rmtree(f"{lab.vms}/copy")
    wait_ready(host)


def test_kept_by_an_earlier_virtxd(lab):
    """What it has kept in other words is the storage that it was."""
    host = lab.hosts[0]
    path = host.path("/run/virtx/storage")
    with open(path) as file:
        kept = file.read()
    host.stop("virtxd")
    with open(path, "w") as file:
        file.write(re.sub(r"registry [0-9a-f]+:\d+", "marker 1:2", kept))
    host.start("virtxd")
    wait_ready(host)


def test_another_lockspace(lab):
    """The same marker, and another lockspace: a copy of the storage."""
    host = lab.hosts[0]
    space = f"{lab.vms}/lock/__VIRTX__DISKS__"
    os.rename(space, f"{space}.own")
    expect_refusals(host, "has lost its lockspace")
    shutil.copy(f"{space}.own", space)
    expect_refusals(host, "another one than that which was joined")
    os.rename(f"{space}.own", space)
    wait_ready(host)


def test_dead_mount(lab):
    """A mount that answers with errors is told, also when all was well before."""
    host = lab.hosts[0]
    host.run(["mount", "-t", "tmpfs", "tmpfs", "/vms"])
    expect_refusals(host, "is not mounted")
    host.run(["umount", "/vms"])
    wait_ready(host)


def remount(host, argv):
    """Have this as /vms, from the start of all that use it; the process."""
    if host.alive("virtxd"):
        host.stop("virtxd")
    host.kill("sanlock")
    host.run(["umount", "-l", "/vms"])
    process = host.popen(argv)
    wait_for("the mount", lambda: host.run(["test", "-e", f"/vms/{MARKER}"], check=False).returncode == 0)
    host.start("sanlock")
    host.start("virtxd")
    wait_ready(host)
    return process


def test_server_hangs_and_dies(lab):
    """A server that is silent, and one that is gone, with a file system between that passes on what it is asked."""
    host = lab.hosts[0]
    server = remount(host, ["bindfs", "-f", "--forward-odirect=512", "-o", "direct_io", "-o", "dev,suid",
                            lab.vms, "/vms"])
    try:
        server.send_signal(signal.SIGSTOP)
        wait_for("the silence to be told", lambda: "does not answer" in ready(host)["storage"], 45)
        server.send_signal(signal.SIGCONT)
        wait_ready(host)
        server.kill()
        server.wait()
        expect_refusals(host, "Transport endpoint is not connected", timeout=45)
    finally:
        server.kill()
        server.wait()
        remount(host, ["mount", "--bind", lab.vms, "/vms"]).wait()


def test_lockspace_in_use(lab):
    """A storage that hosts used before there were markers gets one from the first that knows of them."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("before"))
    host.stop("virtxd")
    for folder in ("xml", "ds"):
        os.unlink(f"{lab.vms}/{folder}/.virtx-storage")
    for kept in ("storage", "storage.ds"):
        os.unlink(host.path(f"/run/virtx/{kept}"))
    host.start("virtxd")
    wait_ready(host)
    with open(f"{lab.vms}/xml/.virtx-storage") as own, open(f"{lab.vms}/ds/.virtx-storage") as images:
        assert own.read() == images.read()
    delete(host, uuid)


def test_lockspace_never_used(lab):
    """An empty lockspace proves nothing."""
    host = lab.hosts[0]
    host.stop("virtxd")
    host.kill("sanlock")
    host.start("sanlock")
    for name in os.listdir(lab.vms):
        shutil.rmtree(f"{lab.vms}/{name}")
    host.start("virtxd")
    expect_refusals(host, "virtx storage init")
    assert os.listdir(lab.vms) == []
    assert host.virtx("storage", "init").returncode == 0
    wait_for("the storage", lambda: ready(host)["storage"] == "", 30)
    wait_ready(host)
