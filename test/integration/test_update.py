# SPDX-License-Identifier: GPL-2.0-or-later
"""Updates leave the disks that they keep alone, and say what they could not delete."""

import hashlib
import json
import os
import re
import time

import pytest
from conftest import create, delete, disk, image_names, save, vm_told, vmdef, wait_runstate
from lab import wait_for

UPDATES = 100


@pytest.fixture(autouse=True)
def open_to_qemu():
    """QEMU is not root: what a test itself puts on the storage is open to it."""
    before = os.umask(0)
    yield
    os.umask(before)


def update(host, uuid, definition, storage=False):
    return host.api("PUT", f"/vms/{uuid}", {"vmdef": definition, "deletestorage": storage})


def repair(host, **options):
    answer = host.api("POST", f"/hosts/{host.uuid}/repair", options)
    assert answer.status == 200, answer.text
    return answer.json()["items"]


def look(path):
    """All that would show that a file was written, and its content."""
    stat = os.stat(path)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_mode, digest


def test_kept_disks(lab1, host):
    """A hundred updates around them, with disks that come and go beside them."""
    kept = [disk("/vms/ds/kept.qcow2", size=4), disk("/vms/ds/kept.raw", size=4, prov=2, bus=1)]
    definition = vmdef("kept", osdisk=kept[0], disks=[kept[1]])
    uuid = create(host, definition)
    paths = [f"{lab1.vms}/ds/kept.qcow2", f"{lab1.vms}/ds/kept.raw"]
    with open(paths[1], "r+b") as file:
        file.write(b"mine")
    before = [look(path) for path in paths]
    for n in range(UPDATES):
        definition["memory"]["total"] = 64 + n % 8
        definition["vlanid"] = n
        definition["custom"] = [{"name": "round", "value": str(n)}]
        definition["disks"] = [kept[1]] if n % 4 else [
            kept[1], disk(f"/vms/ds/guest{n % 3}.raw", size=1)]
        answer = update(host, uuid, definition, storage=True)
        assert answer.status == 204, answer.text
        shown = vm_told(host, uuid)["def"]
        assert shown["vlanid"] == n and len(shown["disks"]) == len(definition["disks"])
        assert [look(path) for path in paths] == before, n
    assert sorted(name for name in os.listdir(f"{lab1.vms}/ds") if "guest" in name) == []
    delete(host, uuid)


def leave(host, uuid, definition):
    """An update that cannot delete the image of a disk it drops; the image is as it was afterwards."""
    answer = update(host, uuid, {**definition, "disks": []}, storage=True)
    assert answer.status == 200 and answer.text == ""
    assert answer.headers["Warning"].startswith('299 VirtX "disk \'/vms/ds/goes.raw\': ')
    assert "Operation not permitted" in answer.headers["Warning"]
    assert "it is tried again for 5 minutes" in answer.headers["Warning"]
    operation = next(o for o in host.api("GET", "/operations").json()["items"]
                     if o["vm"] == uuid and o["op"] == "VmUpdate")
    assert operation["state"] == "completed" and "goes.raw" in operation["msg"]


def test_warning(lab1, host):
    """What could not be deleted is told by a 200 with a Warning, and by the operation; it is tried again for a while,
    and is then a problem that can be repaired."""
    goes = disk("/vms/ds/goes.raw", size=1)
    definition = vmdef("warn", disks=[goes])
    uuid = create(host, definition)
    image, lock = f"{lab1.vms}/ds/goes.raw", f"{lab1.vms}/lock/{hashlib.md5(b'goes.raw').hexdigest()}"
    journal = f"{lab1.vms}/xml/{host.uuid}/{uuid}.journal"
    host.run(["chattr", "+i", "/vms/ds/goes.raw"])
    try:
        leave(host, uuid, definition)
        assert os.path.exists(image) and os.path.exists(lock)
    finally:
        host.run(["chattr", "-i", "/vms/ds/goes.raw"])
    wait_for("it to be deleted", lambda: not os.path.exists(image) and not os.path.exists(journal), 60)
    assert not os.path.exists(lock)

    def given_up():
        """As if the minutes had passed."""
        try:
            with open(journal, encoding="utf-8") as file:
                old = json.load(file)
            with open(f"{journal}.test", "w", encoding="utf-8") as file:
                json.dump({**old, "ts": 0}, file)
            os.rename(f"{journal}.test", journal)
            time.sleep(0.2)
        except FileNotFoundError:
            return True
        return not os.path.exists(journal)

    assert update(host, uuid, definition).status == 204
    host.run(["chattr", "+i", "/vms/ds/goes.raw"])
    try:
        leave(host, uuid, definition)
        wait_for("it to be given up", given_up, 60)
    finally:
        host.run(["chattr", "-i", "/vms/ds/goes.raw"])
    os.utime(lock, (0, 0))
    found = repair(host, apply=False)
    assert [(i["kind"], i["vm"], i["action"]) for i in found] == [
        ("lease-without-disk", uuid, "delete-lease")]
    # Another job may have the VM at the moment.
    wait_for("the repair", lambda: [i["done"] for i in repair(host, apply=True)] == [True], 30)
    assert repair(host, apply=False) == []
    assert os.path.exists(image) and not os.path.exists(lock)
    # And the VM can claim it again, and delete it.
    again = {**definition, "disks": [{**goes, "prov": 0}]}
    assert update(host, uuid, again).status == 204
    assert update(host, uuid, {**definition, "disks": []}, storage=True).status == 204
    assert not os.path.exists(image)
    delete(host, uuid)


def test_given_up(lab1, host):
    """What the next update would let go of in another way is not said to be tried again: it is left, and told."""
    definition = vmdef("given", disks=[disk("/vms/ds/goes.raw", size=1)])
    uuid = create(host, definition)
    host.run(["chattr", "+i", "/vms/ds/goes.raw"])
    try:
        leave(host, uuid, definition)
        answer = wait_for("the VM to be free", lambda: (answer := update(
            host, uuid, {**definition, "disks": [], "vlanid": 7}, storage=False)).status != 409 and answer, 60)
    finally:
        host.run(["chattr", "-i", "/vms/ds/goes.raw"])
    assert answer.status == 200 and "it is tried again" not in answer.headers["Warning"]
    assert "disk '/vms/ds/goes.raw', which an update took from the VM, could not be let go of yet, and is left: " \
        "'virtx repair' shows it" in answer.headers["Warning"]
    lock = f"{lab1.vms}/lock/{hashlib.md5(b'goes.raw').hexdigest()}"
    os.utime(lock, (0, 0))
    assert [item["kind"] for item in repair(host, apply=False)] == ["lease-without-disk"]
    wait_for("the repair", lambda: [i["done"] for i in repair(host, apply=True)] == [True], 30)
    os.unlink(f"{lab1.vms}/ds/goes.raw")
    delete(host, uuid)


def not_busy(host, uuid, definition):
    """Update once no other job has the VM."""
    return wait_for("the VM to be free", lambda: (answer := update(host, uuid, definition)).status != 409 and answer, 60)


def test_adopted(lab1, host):
    """A disk that the VM could not let go of can be added again; where that fails, its lease and its image stay."""
    goes = disk("/vms/ds/goes.raw", size=1)
    definition = vmdef("adopt", disks=[goes])
    uuid = create(host, definition)
    image, lock = f"{lab1.vms}/ds/goes.raw", f"{lab1.vms}/lock/{hashlib.md5(b'goes.raw').hexdigest()}"
    with open(image, "r+b") as file:
        file.write(b"mine")
    again = {**definition, "disks": [{**goes, "prov": 0}]}
    with open(f"{lab1.vms}/ds/in-the-way.raw", "wb"):
        pass
    host.run(["chattr", "+i", "/vms/ds/goes.raw"])
    try:
        leave(host, uuid, definition)
        before = os.stat(lock).st_ino
        for more, why in ((disk("/vms/ds/in-the-way.raw", size=1), "is there already"),
                          (disk("/vms/ds/not-there.raw", prov=0), "not-there.raw")):
            answer = not_busy(host, uuid, {**again, "disks": again["disks"] + [more]})
            assert answer.status >= 400 and why in answer.json()["detail"], answer.text
            assert os.stat(lock).st_ino == before and os.path.exists(image)
    finally:
        host.run(["chattr", "-i", "/vms/ds/goes.raw"])
    os.unlink(f"{lab1.vms}/ds/in-the-way.raw")
    # An image that is there is not made.
    answer = not_busy(host, uuid, definition)
    assert answer.status == 507 and "is there already" in answer.json()["detail"], answer.text
    assert os.stat(lock).st_ino == before and os.path.exists(image)
    answer = not_busy(host, uuid, again)
    assert answer.status == 204, answer.text
    with open(image, "rb") as file:
        assert os.stat(lock).st_ino == before and file.read(4) == b"mine"
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)
    assert not os.path.exists(lock)


@pytest.mark.parametrize("adopted", [True, False])
def test_killed_after_adoption(lab1, host, adopted):
    """What a job has begun that was killed is undone by what its journal says was there before."""
    goes = disk("/vms/ds/goes.raw", size=1, prov=0)
    uuid = create(host, vmdef("adopt", disks=[{**goes, "prov": 1}]))
    image, lock = f"{lab1.vms}/ds/goes.raw", f"{lab1.vms}/lock/{hashlib.md5(b'goes.raw').hexdigest()}"
    journal = f"{lab1.vms}/xml/{host.uuid}/{uuid}.journal"
    host.run(["chattr", "+i", "/vms/ds/goes.raw"])
    try:
        leave(host, uuid, vmdef("adopt"))
    finally:
        wait_for("the job to be over", lambda: not_busy(host, uuid, vmdef("adopt")).status in (200, 204), 60)
        with open(f"{journal}.test", "w", encoding="utf-8") as file:
            json.dump({"op": "VmUpdate", "uuid": uuid, "made": [goes], "adopted": [goes] if adopted else [],
                       "ts": int(time.time() * 1000)}, file)
        os.rename(f"{journal}.test", journal)
        host.run(["chattr", "-i", "/vms/ds/goes.raw"])
    wait_for("it to be undone", lambda: not os.path.exists(journal), 60)
    assert os.path.exists(lock) == adopted and os.path.exists(image)
    if adopted:
        assert not_busy(host, uuid, vmdef("adopt", disks=[goes])).status == 204
    else:
        os.unlink(image)
    delete(host, uuid)


def test_undone(lab1, host):
    """One of several new disks fails: all are undone, and the definition is as it was."""
    uuid = create(host, vmdef("undone"))
    before = vm_told(host, uuid)["def"]
    with open(f"{lab1.vms}/ds/in-the-way.raw", "wb"):
        pass
    new = {**before, "disks": [disk("/vms/ds/new1.raw", size=1), disk("/vms/ds/new2.qcow2", size=1),
                               disk("/vms/ds/in-the-way.raw", size=1)]}
    answer = update(host, uuid, new)
    assert answer.status == 507 and "is there already" in answer.json()["detail"], answer.text
    assert vm_told(host, uuid)["def"] == before
    assert not [n for n in image_names(lab1) if n.startswith(("new", "."))]
    assert len(os.listdir(f"{lab1.vms}/lock")) == 3
    os.unlink(f"{lab1.vms}/ds/in-the-way.raw")
    assert update(host, uuid, new).status == 204
    delete(host, uuid)


def test_header_that_names_a_file(lab1, host):
    """What an image says of a backing file once it is a VM's is not opened."""
    secret = f"{lab1.vms}/ds/secret"
    uuid = create(host, vmdef("header"))
    with open(secret, "wb") as file:
        file.write(b"\1" * (4 << 20))
    host.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", "/vms/ds/secret", "/vms/ds/header.qcow2"])
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    fds = f"/proc/{host.qemu_pid(uuid)}/fd"
    opened = [os.path.basename(os.readlink(f"{fds}/{fd}")) for fd in os.listdir(fds)]
    assert "header.qcow2" in opened and "secret" not in opened
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    os.unlink(secret)
    delete(host, uuid)


EXTRAS = {
    "</devices>": "<watchdog model='i6300esb' action='pause'/></devices>",
    "</vcpu>": "</vcpu><cputune><shares>512</shares><vcpupin vcpu='1' cpuset='0'/></cputune>",
    "</metadata>": "<of:note xmlns:of='urn:of-others'>mine</of:note></metadata>",
    "</domain>": "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
                 "<qemu:arg value='-msg'/><qemu:arg value='timestamp=on'/></qemu:commandline></domain>",
    "<target dev='vda'": "<serial>of-the-disk</serial><target dev='vda'",
}
KEPT = ("<watchdog", "<shares>512", "urn:of-others", "timestamp=on", "of-the-disk")


def test_what_others_wrote(lab1, host):
    """What libvirt's definition says beside the Vmdef stays, or is named."""
    definition = vmdef("others", cpudef={"model": "maximum", "nodes": 1, "sockets": 2, "cores": 1,
                                         "threads": 1})
    uuid = create(host, definition)
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    for text, more in EXTRAS.items():
        assert text in xml
        xml = xml.replace(text, more, 1)
    host.run(["tee", "/run/others.xml"], input=xml)
    host.virsh("define", "/run/others.xml")
    place = re.search(r"vda.*?<address ([^>]*)/>", host.virsh("dumpxml", "--inactive", uuid).stdout, re.S)[1]
    definition.update(name="changed", memory={"total": 80, "hp": False},
                      disks=[disk("/vms/ds/others1.raw", size=1, bus=1)])
    assert update(host, uuid, definition).status == 204
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    assert [text for text in (*KEPT, "vcpupin", place, "others1.raw") if text not in xml] == []
    with open(f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        assert "timestamp=on" in file.read()
    # The pin of a vCPU that goes.
    definition["cpudef"]["sockets"] = 1
    definition["disks"].append(disk("/vms/ds/others2.raw", size=1))
    answer = update(host, uuid, definition)
    assert answer.status == 422 and "'cputune/vcpupin'" in answer.json()["detail"], answer.text
    assert host.virsh("dumpxml", "--inactive", uuid).stdout == xml
    assert not os.path.exists(f"{lab1.vms}/ds/others2.raw")
    body = {"vmdef": definition, "deletestorage": False, "force": True}
    assert host.api("PUT", f"/vms/{uuid}", body).status == 204
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    assert [text for text in KEPT if text not in xml] == [] and "vcpupin" not in xml
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_saved(lab1, host):
    """Memory that was saved is of the disks as they were."""
    for name in ("extra", "other"):
        with open(f"{lab1.vms}/ds/{name}.raw", "wb") as file:
            file.truncate(1 << 20)
    definition = vmdef("saved", disks=[disk("/vms/ds/extra.raw", man=0, prov=0)])
    uuid = create(host, definition)
    save(host, uuid)
    changed = {**definition, "disks": [disk("/vms/ds/saved1.raw", size=1)]}
    answer = update(host, uuid, changed)
    assert answer.status == 422 and "it was saved" in answer.json()["detail"], answer.text
    assert f"virsh managedsave-remove {uuid}" in answer.json()["detail"]
    assert vm_told(host, uuid)["def"]["disks"][0]["path"] == "/vms/ds/extra.raw"
    assert not os.path.exists(f"{lab1.vms}/ds/saved1.raw")
    # Another disk by other means.
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    host.run(["tee", "/run/saved.xml"], input=xml.replace("/extra.raw", "/other.raw"))
    host.virsh("define", "/run/saved.xml")
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and "saved with other disks" in answer.json()["detail"], answer.text
    host.run(["tee", "/run/saved.xml"], input=xml)
    host.virsh("define", "/run/saved.xml")
    # It runs on, and then it can be changed.
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")
    assert update(host, uuid, changed).status == 204
    # Its memory goes with it.
    save(host, uuid)
    delete(host, uuid)
    assert os.listdir(host.path("/var/lib/libvirt/qemu/save")) == []
    for name in ("extra", "other"):
        os.unlink(f"{lab1.vms}/ds/{name}.raw")


def test_kept_disks_keep_their_size(lab1, host):
    """Another size or provisioning of a disk that is kept is refused; what GET shows goes back as it came."""
    uuid = create(host, vmdef("sized", osdisk=disk("/vms/ds/sized.qcow2", size=8),
                              disks=[disk("/vms/ds/sized.raw", size=4, bus=1)]))
    shown = wait_for("the sizes", lambda: (found := vm_told(host, uuid)["def"]) and
                     found["osdisk"]["size"] == 8 and found["disks"][0]["size"] == 4 and found, 20)
    for field, value, where in (("size", 16, "vmdef.osdisk.size"), ("size", 1, "vmdef.osdisk.size"),
                                ("prov", 2, "vmdef.osdisk.prov")):
        wrong = {**shown, "vlanid": 7, "osdisk": {**shown["osdisk"], field: value}}
        answer = update(host, uuid, wrong)
        assert answer.status == 422 and answer.json()["detail"].startswith(where), answer.text
    wrong = {**shown, "disks": [{**shown["disks"][0], "size": 5}]}
    answer = update(host, uuid, wrong)
    assert answer.status == 422 and answer.json()["detail"].startswith("vmdef.disks[0].size"), answer.text
    assert vm_told(host, uuid)["def"] == shown

    assert update(host, uuid, {**shown, "vlanid": 8}).status == 204
    unsaid = {**shown, "osdisk": {**shown["osdisk"], "size": 0, "prov": 0}}
    assert update(host, uuid, unsaid).status == 204
    assert vm_told(host, uuid)["def"] == shown
    # Grown by another program: what was shown before goes back all the same.
    with open(f"{lab1.vms}/ds/sized.raw", "r+b") as file:
        file.truncate(6 << 20)
    assert update(host, uuid, {**shown, "vlanid": 9}).status == 204
    delete(host, uuid)
