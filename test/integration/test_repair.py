# SPDX-License-Identifier: GPL-2.0-or-later
"""What failures leave behind is reported, and repaired where that is safe."""

import json
import os
import shutil
import time
import uuid as uuids

import pytest
from conftest import create, delete, disk, save, vmdef, wait_runstate
from disks import resource
from lab import PATIENCE, wait_for
from repairs import problems, repair, wait_problem

OLD = 3600  # seconds; what is younger than some minutes is not left behind yet


def age(*paths):
    """Make files look old enough."""
    for path in paths:
        os.utime(path, (time.time() - OLD,) * 2, follow_symlinks=False)


def lose(lab, host, uuid):
    """Make everybody forget a VM; what its disks have is left."""
    host.virsh("undefine", uuid)
    os.unlink(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml")
    shutil.rmtree(f"{lab.vms}/lock/vm-{uuid}")
    wait_for("the API to forget it", lambda: host.api("GET", f"/vms/{uuid}").status == 404, 60)


@pytest.fixture
def orphan(lab1, host):
    """A VM that nobody has, with its lease and image; its uuid, and the lease's directory."""
    uuid = create(host, vmdef("orphan"))
    name = resource("/vms/ds/orphan.qcow2")
    lose(lab1, host, uuid)
    age(f"{lab1.vms}/lock/{name}")
    yield uuid, f"{lab1.vms}/lock/{name}"
    shutil.rmtree(f"{lab1.vms}/lock/{name}", ignore_errors=True)
    if os.path.exists(f"{lab1.vms}/ds/orphan.qcow2"):
        os.unlink(f"{lab1.vms}/ds/orphan.qcow2")


def test_clean(host):
    assert repair(host) == {}


def test_orphan(lab1, host, orphan):
    uuid, directory = orphan
    image = f"{lab1.vms}/ds/orphan.qcow2"
    lease = wait_problem(host, "lease-without-vm", uuid)[0]
    assert lease["path"] == f"/vms/lock/{os.path.basename(directory)}/{os.path.basename(directory)}"
    assert wait_problem(host, "image-without-vm", uuid)[0]["path"] == "/vms/ds/orphan.qcow2"
    shown = host.virtx("get", "host", host.uuid).stdout
    assert "lease-without-vm" in shown and "image-without-vm" in shown and uuid in shown

    # A dry run changes nothing, and is what an empty request is.
    items = repair(host)
    item = items["lease-without-vm", uuid]
    assert (item["action"], item["done"]) == ("delete-lease", False)
    item = items["image-without-vm", uuid]
    assert (item["action"], item["done"]) == ("none", False) and "deletestorage" in item["detail"]
    table = host.virtx("repair").stdout
    assert "delete-lease" in table and "dry run" in table
    assert os.path.exists(directory) and os.path.exists(image)

    items = json.loads(host.virtx("repair", "--yes", "-o", "json").stdout)["items"]
    assert [(i["kind"], i["action"], i["done"]) for i in items if i["vm"] == uuid] == [
        ("lease-without-vm", "delete-lease", True), ("image-without-vm", "none", False)]
    assert not os.path.exists(directory) and os.path.exists(image)
    wait_for("the problems to be gone", lambda: not problems(host), 30)
    assert repair(host) == {}
    # And the image can be claimed.
    delete(host, create(host, vmdef("orphan", osdisk=disk("/vms/ds/orphan.qcow2", prov=0))))


def test_orphan_with_storage(lab1, host, orphan):
    uuid, directory = orphan
    items = repair(host, apply=True, deletestorage=True)
    assert items["image-without-vm", uuid]["done"] and items["lease-without-vm", uuid]["done"]
    assert not os.path.exists(directory) and not os.path.exists(f"{lab1.vms}/ds/orphan.qcow2")
    operation = host.api("GET", "/operations").json()["items"]
    assert [o for o in operation if o["op"] == "HostRepair" and o["state"] == "completed"]


def test_image_that_is_none(lab1, host, orphan):
    """The lease stays where its image could not be deleted."""
    uuid, directory = orphan
    image = f"{lab1.vms}/ds/orphan.qcow2"
    host.run(["chattr", "+i", "/vms/ds/orphan.qcow2"])
    try:
        items = repair(host, apply=True, deletestorage=True)
    finally:
        host.run(["chattr", "-i", "/vms/ds/orphan.qcow2"])
    assert not items["image-without-vm", uuid]["done"]
    assert "Operation not permitted" in items["image-without-vm", uuid]["detail"]
    assert not items["lease-without-vm", uuid]["done"]
    assert "could not be deleted" in items["lease-without-vm", uuid]["detail"]
    assert os.path.exists(directory) and os.path.exists(image)


def test_variables(lab1, host):
    """UEFI variables of a VM that is no more; those of one that is there stay, however old."""
    kept, gone, young = create(host, vmdef("kept", firmware=1)), str(uuids.uuid4()), str(uuids.uuid4())
    os.makedirs(f"{lab1.vms}/nvram", exist_ok=True)
    paths = {uuid: f"{lab1.vms}/nvram/{uuid}_VARS.fd" for uuid in (kept, gone, young)}
    for path in paths.values():
        with open(path, "wb") as file:
            file.write(b"variables")
    age(paths[kept], paths[gone])
    assert wait_problem(host, "nvram-without-vm", gone)[0]["path"] == f"/vms/nvram/{gone}_VARS.fd"
    items = repair(host)
    assert set(items) == {("nvram-without-vm", gone)}
    assert items["nvram-without-vm", gone]["action"] == "delete-nvram"
    assert os.path.exists(paths[gone])
    assert repair(host, apply=True)["nvram-without-vm", gone]["done"]
    assert [os.path.exists(paths[uuid]) for uuid in (kept, gone, young)] == [True, False, True]
    wait_for("the problem to be gone", lambda: not problems(host), 30)
    assert repair(host) == {}
    os.unlink(paths[young])
    delete(host, kept)
    assert not os.path.exists(paths[kept])


def test_young(lab1, host, orphan):
    """What was made a moment ago may be somebody's next step."""
    uuid, directory = orphan
    os.utime(directory)
    assert repair(host, apply=True) == {} and os.path.exists(directory)
    os.utime(directory, (time.time() + OLD,) * 2)
    assert repair(host, apply=True) == {} and os.path.exists(directory)


@pytest.mark.parametrize("trace", ["xml", "journal"])
def test_elsewhere(lab1, host, orphan, trace):
    """A VM that another host has in the registry, or works on, is no orphan."""
    uuid, directory = orphan
    other = f"{lab1.vms}/xml/{uuids.uuid4()}"
    os.mkdir(other)
    with open(f"{other}/{uuid}.{trace}", "w", encoding="utf-8") as file:
        file.write("{}")
    try:
        assert repair(host, apply=True, deletestorage=True) == {}
        assert os.path.exists(directory)
    finally:
        shutil.rmtree(other)


def test_held(lab1, host, orphan):
    """A lease that a process holds stays."""
    uuid, directory = orphan
    name = os.path.basename(directory)
    with host.popen(["sanlock", "client", "command", "-r",
                     f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0",
                     "-c", "/bin/sleep", "60"]) as holder:
        try:
            wait_for("the lease to be held", lambda: name in str(host.sanlock_status()), 20)
            item = repair(host, apply=True, deletestorage=True)["lease-without-vm", uuid]
        finally:
            holder.kill()
    assert not item["done"] and "not done" in item["detail"]
    assert os.path.exists(directory)


def test_leftovers(lab1, host):
    uuid, known = str(uuids.uuid4()), create(host, vmdef("known"))
    os.makedirs(f"{lab1.vms}/ds/deep/er", exist_ok=True)
    left = [f"lock/.{'a' * 32}.{uuid}", f"lock/.{'b' * 32}.{uuid}.deleted",
            f"ds/deep/er/.{'a' * 32}.{uuid}.new"]
    kept = [f"lock/.{'a' * 32}.{known}", f"ds/.{'a' * 32}.{known}.new", "ds/.other.new"]
    for path in left + kept:
        path = f"{lab1.vms}/{path}"
        if "/lock/" in path:
            os.mkdir(path)
        else:
            with open(path, "wb"):
                pass
        age(path)
    answer = host.api("POST", f"/hosts/{host.uuid}/repair", {"apply": True})
    items = answer.json()["items"]
    assert {i["path"] for i in items} == {f"/vms/{path}" for path in left}
    assert all(i["done"] and i["action"] == "delete-leftover" for i in items), items
    assert not [path for path in left if os.path.exists(f"{lab1.vms}/{path}")]
    assert all(os.path.exists(f"{lab1.vms}/{path}") for path in kept)
    for path in kept:
        path = f"{lab1.vms}/{path}"
        os.rmdir(path) if "/lock/" in path else os.unlink(path)
    shutil.rmtree(f"{lab1.vms}/ds/deep")
    delete(host, known)


def test_no_owner(lab1, host, orphan):
    uuid, directory = orphan
    with open(f"{directory}/{os.path.basename(directory)}", "r+b") as file:
        file.seek(2002 * 512)
        file.write(bytes(512))
    item = repair(host, apply=True)["lease-without-vm", ""]
    assert item["action"] == "none" and "by hand" in item["detail"]
    assert os.path.exists(directory)


def test_symlinks_are_not_followed(lab1, host, orphan):
    """The walk stays under ds."""
    os.symlink("/", f"{lab1.vms}/ds/root")
    try:
        started = time.monotonic()
        repair(host)
        assert time.monotonic() - started < 5 * PATIENCE
    finally:
        os.unlink(f"{lab1.vms}/ds/root")


def truncate(path):
    os.truncate(path, 4096)


def zero(path):
    with open(path, "r+b") as file:
        file.write(bytes(1 << 20))


def spoil_front(path):
    with open(path, "r+b") as file:
        file.write(bytes(512))


def remove(path):
    shutil.rmtree(os.path.dirname(path))


LOSSES = {"missing": remove, "truncated": truncate, "zeroed": zero, "no leader": spoil_front}


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_lease(lab1, host, loss):
    """It is told with its path and its disk, and made anew when nobody uses the disk."""
    uuid = create(host, vmdef("lost"))
    path = "/vms/ds/lost.qcow2"
    lease = f"/vms/lock/{resource(path)}/{resource(path)}"
    LOSSES[loss](f"{lab1.vms}{lease.removeprefix('/vms')}")
    kind = "lease-missing" if "missing" in loss else "lease-damaged"
    problem = wait_problem(host, kind, uuid)[0]
    assert problem["path"] == lease and f"disk '{path}'" in problem["detail"], problem
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 507, answer.text
    for words in (path, "lease", "'virtx repair' makes it anew"):
        assert words in answer.json()["detail"], answer.text

    item = repair(host)[kind, uuid]
    assert (item["action"], item["done"]) == ("make-lease", False)
    items = repair(host, apply=True)
    assert items[kind, uuid]["done"] and ("lease-without-vm", "") not in items, items
    wait_for("the problem to be gone", lambda: not problems(host), 30)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert any(resource(path) in line for line in host.sanlock_status()["resources"])

    # Not under a VM that runs.
    LOSSES[loss](f"{lab1.vms}{lease.removeprefix('/vms')}")
    item = wait_for("it to be found", lambda: repair(host, apply=True).get((kind, uuid)), 30)
    assert not item["done"] and f"VM '{uuid}' is on" in item["detail"], item
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    assert repair(host, apply=True)[kind, uuid]["done"]
    delete(host, uuid)
    assert not os.path.exists(f"{lab1.vms}/lock/{resource(path)}") and not os.path.exists(f"{lab1.vms}/ds/lost.qcow2")


@pytest.mark.parametrize("loss", ["missing", "truncated"])
def test_delete_without_lease(lab1, host, loss):
    """Nobody can prove whose the image is: it is left, and that is told; a repair shows it and deletes it never."""
    uuid = create(host, vmdef("lost"))
    image = f"{lab1.vms}/ds/lost.qcow2"
    name = resource("/vms/ds/lost.qcow2")
    LOSSES[loss](f"{lab1.vms}/lock/{name}/{name}")
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 200, answer.text
    for words in ("image '/vms/ds/lost.qcow2' is left", f"/vms/lock/{name}/{name}"):
        assert words in answer.headers["Warning"], answer.headers
    assert os.path.exists(image) and not os.path.exists(f"{lab1.vms}/lock/{name}")
    assert ("image-without-lease", "") not in repair(host)
    age(image)
    try:
        item = repair(host, apply=True, deletestorage=True)["image-without-lease", ""]
        assert (item["path"], item["action"], item["done"]) == ("/vms/ds/lost.qcow2", "none", False)
        # Not while a VM has it, managed or not.
        for man in (0, 1):
            uuid = create(host, vmdef("claims", osdisk=disk("/vms/ds/lost.qcow2", man=man, prov=0)))
            age(image)
            assert repair(host) == {}
            delete(host, uuid, storage=False)
    finally:
        os.unlink(image)


def make_image(host, path, base=None):
    """An empty image, or an overlay, as large as a disk of vmdef() and open to QEMU, which is not root."""
    over = ["-u", "-b", base, "-F", "qcow2"] if base else []
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", *over, path, "64M"])
    host.run(["chmod", "0666", path])


def test_snapshot(lab1, host):
    """The lease of a snapshot's backing file stays its VM's, and so does the file; the snapshot gets none."""
    uuid = create(host, vmdef("sp"))
    base, overlay = "/vms/ds/sp.qcow2", "/vms/ds/sp-snap.qcow2"
    locks = [f"{lab1.vms}/lock/{resource(path)}" for path in (base, overlay)]
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    make_image(host, overlay, base)
    try:
        host.virsh("snapshot-create-as", uuid, "s1", "--disk-only", "--reuse-external", "--diskspec",
                   f"vda,snapshot=external,file={overlay}")
        assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        wait_runstate(host, uuid, "poweroff")
        age(locks[0])
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 507 and f"disk '{overlay}'" in answer.text and f"snapshot of '{base}'" in answer.text, answer.text
        assert "virtx repair" not in answer.text

        age(locks[0])
        assert not any(item["done"] for item in repair(host, apply=True).values())
        assert os.path.exists(locks[0]) and not os.path.exists(locks[1])
        answer = host.api("POST", "/vms", {"vmdef": vmdef("sp2", osdisk=disk(base, prov=0)), "host": host.uuid})
        assert answer.status == 507 and f"belongs to VM '{uuid}'" in answer.text, answer.text
        assert os.path.exists(f"{lab1.vms}/ds/sp.qcow2")
    finally:
        host.virsh("snapshot-delete", uuid, "s1", "--metadata", check=False)
        delete(host, uuid, storage=False)
        for path in (base, overlay):
            if os.path.exists(f"{lab1.vms}/ds/{os.path.basename(path)}"):
                os.unlink(f"{lab1.vms}/ds/{os.path.basename(path)}")
        for lock in locks:
            shutil.rmtree(lock, ignore_errors=True)


def snapshot_off(lab, host, name):
    """A VM that is off, and that libvirt has made a snapshot of: its uuid and the paths of both images."""
    uuid = create(host, vmdef(name))
    base, overlay = f"/vms/ds/{name}.qcow2", f"/vms/ds/{name}.s1"
    host.virsh("snapshot-create-as", uuid, "s1", "--disk-only")
    assert os.path.exists(f"{lab.vms}{overlay.removeprefix('/vms')}")
    return uuid, base, overlay


def test_snapshot_off(lab1, host):
    """What heals a snapshot of a VM that is off is told where it is met, and does."""
    uuid, base, overlay = snapshot_off(lab1, host, "so")
    host.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", overlay])
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    command = f"qemu-img commit -f qcow2 -b {base} {overlay}"
    assert answer.status == 507 and f"disk '{overlay}'" in answer.text and f"snapshot of '{base}'" in answer.text, answer.text
    assert f"'{command}'" in answer.text and f"'virsh edit {uuid}'" in answer.text, answer.text
    problem = wait_problem(host, "disk-without-lease", uuid)[0]
    assert problem["path"] == overlay and f"'{command}'" in problem["detail"], problem
    host.run(command.split())
    host.run(["env", f"EDITOR=sed -i s:{overlay}:{base}:", "virsh", "-c", "qemu:///system", "edit", uuid])
    wait_for("the problem to be gone", lambda: not problems(host, "disk-without-lease"), 60)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    host.run(["qemu-io", "-f", "qcow2", "-r", "-c", "read -P 7 0 64k", base])
    os.unlink(f"{lab1.vms}/ds/so.s1")
    delete(host, uuid)
    assert not os.path.exists(f"{lab1.vms}/ds/so.qcow2")


def test_stands_on_anothers(lab1, host):
    """An image that stands on another VM's disk boots with none of the two changed under the other; a template is fine."""
    other = create(host, vmdef("under"))
    uuid = create(host, vmdef("over"))
    os.unlink(f"{lab1.vms}/ds/over.qcow2")
    os.symlink("under.qcow2", f"{lab1.vms}/ds/link.qcow2")
    make_image(host, "/vms/ds/middle.qcow2", "/vms/ds/link.qcow2")
    make_image(host, "/vms/ds/over.qcow2", "/vms/ds/middle.qcow2")
    try:
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 422, answer.text
        assert f"'/vms/ds/over.qcow2' stands on '/vms/ds/under.qcow2', which is managed for VM '{other}'" in answer.text
        assert host.api("POST", f"/vms/{other}/runstate/boot").status == 204
        assert host.api("DELETE", f"/vms/{other}/runstate/boot", {"force": 2}).status == 204
        wait_runstate(host, other, "poweroff")
        delete(host, other, storage=False)
        assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        wait_runstate(host, uuid, "poweroff")
        delete(host, uuid)
    finally:
        for path in ("link.qcow2", "under.qcow2", "middle.qcow2"):
            os.unlink(f"{lab1.vms}/ds/{path}")


def test_loose_snapshot(lab1, host):
    """Nobody is told to delete what a VM runs on, nor what that stands on."""
    uuid = create(host, vmdef("ls"))
    top, middle, base = "/vms/ds/ls-1.s2", "/vms/ds/ls-1.qcow2", "/vms/ds/ls.qcow2"
    named = ["--diskspec", f"vda,snapshot=external,file={middle}"]
    for name, path, spec in (("s1", middle, named), ("s2", top, [])):
        host.virsh("snapshot-create-as", uuid, name, "--disk-only", *spec)
        age(f"{lab1.vms}{path.removeprefix('/vms')}")
    items = host.api("POST", f"/hosts/{host.uuid}/repair", {"apply": True, "deletestorage": True}, timeout=120).json()["items"]
    told = {item["path"]: item for item in items if item["kind"] == "image-without-lease"}
    assert f"it stands on '{middle}', and may be a snapshot" in told[top]["detail"], told
    assert f"image '{top}' stands on it" in told[middle]["detail"], told
    assert base not in told and not any("by hand" in item["detail"] for item in told.values())
    delete(host, uuid, storage=False)
    for path in (top, middle, base):
        os.unlink(f"{lab1.vms}{path.removeprefix('/vms')}")


@pytest.mark.parametrize("storage", [True, False])
def test_snapshot_delete(lab1, host, storage):
    """A snapshot and its base stay, and no repair takes what was to be kept; where they were to go, all that is told."""
    uuid, base, overlay = snapshot_off(lab1, host, "sd")
    lock = f"{lab1.vms}/lock/{resource(base)}"
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": storage})
    try:
        assert answer.status == (200 if storage else 204), answer.text
        assert os.path.exists(lock) is storage
        if storage:
            told = answer.headers["Warning"]
            assert f"image '{base}', of which disk '{overlay}' is a snapshot, is left with its lease" in told
            assert "image '/vms/ds/sd.s1' is left" in told
            age(lock)
            told = {item["path"] for item in repair(host).values()}
            assert {base, f"/vms/lock/{resource(base)}/{resource(base)}"} <= told, told
        else:
            age(f"{lab1.vms}/ds/sd.qcow2")
            assert not any(item["done"] for item in repair(host, apply=True, deletestorage=True).values())
        assert os.path.exists(f"{lab1.vms}/ds/sd.qcow2") and os.path.exists(f"{lab1.vms}/ds/sd.s1")
    finally:
        for path in ("sd.qcow2", "sd.s1"):
            os.unlink(f"{lab1.vms}/ds/{path}")
        shutil.rmtree(lock, ignore_errors=True)


def shell(host, uuid, *words):
    host.virsh(words[0], uuid, *words[1:])


WAYS = {
    "snapshot": (("snapshot-create-as", "s1", "--disk-only", "--reuse-external", "--diskspec",
                  "vda,snapshot=external,file={path}"),
                 ("blockcommit", "vda", "--active", "--pivot"), "it is a snapshot of '{base}'"),
    "copy": (("blockcopy", "vda", "{path}", "--reuse-external", "--transient-job", "--wait", "--pivot"),
             ("blockcopy", "vda", "{base}", "--reuse-external", "--transient-job", "--wait", "--pivot"),
             "in the place of a disk"),
    "attached": (("attach-disk", "{path}", "sdq", "--targetbus", "scsi", "--driver", "qemu", "--subdriver", "qcow2",
                  "--live"), ("detach-disk", "sdq", "--live"), "VirtX did not attach it"),
}


@pytest.mark.parametrize("way", WAYS)
def test_disk_without_lease(lab1, host, way):
    """What others have put into a VM without a lease is told, with what heals it, and is gone after that."""
    begin, heal, why = WAYS[way]
    uuid = create(host, vmdef("bare"))
    names = {"base": "/vms/ds/bare.qcow2", "path": "/vms/ds/bare-more.qcow2"}
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    make_image(host, names["path"], names["base"] if way == "snapshot" else None)
    try:
        shell(host, uuid, *(word.format(**names) for word in begin))
        problem = wait_problem(host, "disk-without-lease", uuid)[0]
        assert problem["path"] == names["path"] and why.format(**names) in problem["detail"], problem
        assert f"virsh {heal[0]} {uuid} {heal[1]}" in problem["detail"], problem
        item = repair(host, apply=True)["disk-without-lease", uuid]
        assert (item["action"], item["done"]) == ("none", False)
        shell(host, uuid, *(word.format(**names) for word in heal))
        wait_for("the problem to be gone", lambda: not problems(host, "disk-without-lease"), 60)
    finally:
        host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        wait_runstate(host, uuid, "poweroff")
        host.virsh("snapshot-delete", uuid, "s1", "--metadata", check=False)
        os.unlink(f"{lab1.vms}/ds/bare-more.qcow2")
    delete(host, uuid)


def test_restored_after_delete(lab1, host):
    """A VM that was deleted, and restored from what was saved of it, on the disk of the one that has its path now. It
    lacks its own lease; where somebody has left that, the disk's owner tells."""
    gone = create(host, vmdef("ghost"))
    save(host, gone, "/run/ghost.save")
    own = f"{lab1.vms}/lock/vm-{gone}"
    shutil.copytree(own, f"{lab1.vms}/kept")
    delete(host, gone)
    uuid = create(host, vmdef("ghost"))
    done = host.virsh("restore", "/run/ghost.save", check=False)
    assert done.returncode != 0 and "Failed to acquire lock" in done.stderr, done
    os.rename(f"{lab1.vms}/kept", own)
    host.run(["chown", "-R", "--reference", "/vms/lock/__VIRTX__DISKS__", f"/vms/lock/vm-{gone}"])
    host.virsh("restore", "/run/ghost.save")
    told = wait_problem(host, "transient", gone)[0]
    assert f"disk '/vms/ds/ghost.qcow2' of VM '{gone}' belongs to VM '{uuid}'" in told["detail"], told
    assert "end it with force" in told["detail"]
    assert not repair(host, apply=True, define=True)["transient", gone]["done"]
    assert host.api("DELETE", f"/vms/{gone}/runstate/boot", {"force": 2}).status == 204
    wait_for("it to be gone", lambda: host.api("GET", f"/vms/{gone}").status == 404, 30)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)
    shutil.rmtree(own)


def test_repair_refused(host):
    assert host.api("POST", f"/hosts/{uuids.uuid4()}/repair", {}).status == 404
    assert host.api("POST", f"/hosts/{host.uuid}/repair", {"apply": 1}).status == 400
    assert host.virtx("repair", "--host", "x", check=False).returncode == 3


def test_registry_damaged(lab1, host):
    """A registry's file that tells nothing is told, and written anew."""
    uuid = create(host, vmdef("damaged"))
    path = f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml"
    with open(path, "rb") as file:
        before = file.read()
    image = f"{lab1.vms}/ds/claimed.raw"
    with open(image, "wb") as file:
        file.truncate(1 << 20)
    claim = {"vmdef": vmdef("claim", osdisk=disk("/vms/ds/claimed.raw", prov=0)), "host": host.uuid}
    for text in (b"", before[:len(before) // 2], bytes(4096)):
        with open(path, "wb") as file:
            file.write(text)
        wait_problem(host, "registry-damaged", uuid)
        answer = host.api("POST", "/vms", claim)
        assert answer.status == 507 and uuid in answer.json()["detail"], answer.text
        assert "virtx repair -y" in answer.json()["detail"]
        assert repair(host)["registry-damaged", uuid]["action"] == "register"
        assert repair(host, apply=True)["registry-damaged", uuid]["done"]
        with open(path, "rb") as file:
            assert file.read() == before
        assert ("registry-damaged", uuid) not in repair(host)
    delete(host, create(host, claim["vmdef"]))
    delete(host, uuid)


def test_journal_damaged(lab1, host):
    """What an operation was about to do is lost: that is told, with what a human has to do."""
    uuid = create(host, vmdef("noted"))
    path = f"{lab1.vms}/xml/{host.uuid}/{uuid}.journal"
    for text in ("", '{"op":"VmUpdate"'):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        told = wait_problem(host, "journal-damaged", uuid)
        answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": vmdef("noted", vlanid=3)})
        assert answer.status == 507 and "removed by hand" in answer.json()["detail"], answer.text
        item = repair(host, apply=True)["journal-damaged", uuid]
        assert item["action"] == "none" and "removed by hand" in item["detail"]
        assert told[0]["path"] == item["path"] and item["path"].endswith(f"/{uuid}.journal")
    os.unlink(path)
    assert host.api("PUT", f"/vms/{uuid}", {"vmdef": vmdef("noted", vlanid=3)}).status == 204
    assert ("journal-damaged", uuid) not in repair(host)
    delete(host, uuid)
