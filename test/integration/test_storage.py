# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of disk that the API accepts is created, booted, updated and deleted, and every other one refused with
its reason."""

import hashlib
import itertools
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import BY_ID, create, delete, disk, know_wwid, vmdef
from disks import (BUSES, DEVICES, MODES, PROVISIONINGS, SIZE, definition_of, lun, make_signature,  # noqa: F401
                   nothing_left, open_to_qemu, resource, signature, table, update)  # noqa: F401
from lab import wait_for

FORMATS = ("qcow2", "raw", "iso", "dev")
LEASES = 6  # of disks: the VM has one, too

class Combination:
    """One kind of disk."""

    def __init__(self, device, bus, man, prov, form):
        self.device, self.bus, self.man, self.prov, self.form = device, bus, man, prov, form
        self.name = "-".join((device, bus, man, prov, form))
        self.path = (f"{BY_ID}/scsi-virtxtest{os.getpid()}" if form == "dev"
                     else f"/vms/ds/table/{self.name}.{form}")

    def __repr__(self):
        return self.name

    @property
    def managed(self):
        return self.man == "managed"

    @property
    def made(self):
        """Whether VirtX makes the image: of others the provisioning is what was found."""
        return self.prov != "none" and self.managed and self.form != "iso"

    def why_refused(self):
        """What the API says, or None."""
        if self.form == "dev" and self.device != "lun":
            return f".device: only a lun may be under /dev/, and '{self.path}' is a {self.device}"
        if self.device == "lun" and self.form != "dev":
            return f".path: '{self.path}' is a lun, which must be under /dev/"
        if self.device == "lun" and self.bus != "virtio-scsi":
            return f".bus: a lun must be on virtio-scsi, not on {self.bus}"
        if self.device == "cdrom" and self.bus == "virtio-blk":
            return ".bus: a cdrom must be on virtio-scsi, sata or scsi, not on virtio-blk"
        if self.made and self.device == "lun" and self.prov == "thick":
            return ".prov: a lun cannot be provisioned thick"
        return None

    def json(self):
        return disk(self.path, device=DEVICES.index(self.device), bus=BUSES.index(self.bus),
                    man=MODES.index(self.man), prov=PROVISIONINGS.index(self.prov), size=SIZE)

    def resource(self):
        return resource(self.path)


ALL = [Combination(*parts) for parts in
       itertools.product(DEVICES, BUSES, MODES, PROVISIONINGS, FORMATS)]
ACCEPTED = [c for c in ALL if not c.why_refused()]
REFUSED = [c for c in ALL if c.why_refused()]


def batches(combinations):
    """As many on one VM as its leases allow: all buses and modes mixed."""
    managed = [c for c in combinations if c.managed]
    other = [c for c in combinations if not c.managed]
    groups = [managed[at::-(-len(managed) // LEASES)]
              for at in range(-(-len(managed) // LEASES))]
    for at, combination in enumerate(other):
        groups[at % len(groups)].append(combination)
    return groups


def prepare(lab, host, combination):
    """The image that has to be there already."""
    if combination.made or os.path.exists(f"{lab.vms}{combination.path.removeprefix('/vms')}"):
        return
    host.run(["mkdir", "-p", "/vms/ds/table"])
    host.run(["qemu-img", "create", "-q", "-f", "qcow2" if combination.form == "qcow2" else "raw",
              combination.path, f"{SIZE}M"])
    host.run(["chmod", "0666", combination.path])


def check_disk(lab, host, combination, shown):
    """What the API shows and what is on the storage."""
    found = combination.prov if combination.made else "thin"  # as prepare() makes them
    assert shown == {**combination.json(), "prov": PROVISIONINGS.index(found)}, combination
    lock = f"{lab.vms}/lock/{combination.resource()}"
    assert os.path.isdir(lock) == combination.managed, combination
    if combination.form == "dev":
        return
    file = combination.path.replace("/vms", lab.vms, 1)
    with open(file, "rb") as image:
        assert (image.read(4) == b"QFI\xfb") == (combination.form == "qcow2"), combination
    blocks = os.stat(file).st_blocks
    if combination.form != "qcow2" and found == "thin":
        assert blocks * 512 < SIZE << 20, combination
    if found == "thick":
        assert blocks * 512 >= SIZE << 20, combination


def check_gone(lab, combination):
    """Nothing of ours is left; what is not ours is."""
    assert not os.path.exists(f"{lab.vms}/lock/{combination.resource()}"), combination
    exists = os.path.exists(combination.path.replace("/vms", lab.vms, 1))
    assert exists == (not combination.managed), combination


def test_numbers():
    assert len(ALL) == 288
    assert len(ACCEPTED) == 131 and len(REFUSED) == 157


@pytest.mark.parametrize("batch", batches([c for c in ACCEPTED if c.form != "dev"]), ids=lambda batch: f"{len(batch)}-disks")
def test_accepted(lab1, host, table, batch):
    for combination in batch:
        prepare(lab1, host, combination)
    first, *others = batch
    uuid = create(host, vmdef("table", osdisk=first.json(), disks=[c.json() for c in others]))
    definition = definition_of(host, uuid)
    for combination, shown in zip(batch, [definition["osdisk"], *definition["disks"]]):
        check_disk(lab1, host, combination, shown)

    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text
    attached = host.virsh("domblklist", uuid).stdout
    assert all(combination.path in attached for combination in batch)
    held = "\n".join(host.sanlock_status()["resources"])
    assert all((c.resource() in held) == c.managed for c in batch)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204

    # All but one go, and come back.
    assert update(host, uuid, {**definition, "disks": []}).status == 204
    for combination in others:
        check_gone(lab1, combination)
        prepare(lab1, host, combination)
    check_disk(lab1, host, first, definition_of(host, uuid)["osdisk"])
    back = [c.json() for c in reversed(others)]
    answer = update(host, uuid, {**definition, "disks": back})
    assert answer.status == 204, answer.text
    definition = definition_of(host, uuid)
    for combination, shown in zip(reversed(others), definition["disks"]):
        check_disk(lab1, host, combination, shown)
    delete(host, uuid)
    for combination in batch:
        check_gone(lab1, combination)


@pytest.mark.parametrize("device", DEVICES)
def test_refused(lab1, host, device):
    """Each as an osdisk, and as another one; nothing is made."""
    for combination in (c for c in REFUSED if c.device == device):
        for where, definition in (
                ("vmdef.osdisk", vmdef("table", osdisk=combination.json())),
                ("vmdef.disks[0]", vmdef("table", disks=[combination.json()]))):
            answer = host.api("POST", "/vms", {"vmdef": definition, "host": ""})
            assert answer.status == 400, (combination, answer.text)
            assert answer.json()["detail"] == where + combination.why_refused()
    assert os.listdir(f"{lab1.vms}/lock") == ["__VIRTX__DISKS__"]


def test_get_is_fit_for_create(lab1, host, table):
    """What GET shows goes into update and create unchanged."""
    for path, form in (("a.raw", "raw"), ("b.iso", "raw"), ("c.qcow2", "qcow2"), ("d.iso", "raw")):
        host.run(["mkdir", "-p", "/vms/ds/table"])
        host.run(["qemu-img", "create", "-q", "-f", form, f"/vms/ds/table/{path}", "4M"])
    others = [disk("/vms/ds/table/a.raw", man=0, prov=0), disk("/vms/ds/table/b.iso", man=0, prov=0, device=1, bus=2),
              disk("/vms/ds/table/c.qcow2", man=0, prov=0), disk("/vms/ds/table/d.iso", man=1, prov=0, bus=1)]
    uuid = create(host, vmdef("get", osdisk=disk("/vms/ds/table/os.qcow2"), disks=others, genid="auto",
                              custom=[{"name": "a", "value": "b"}]))
    shown = definition_of(host, uuid)
    assert [d["prov"] for d in shown["disks"]] == [1, 1, 1, 1] and shown["genid"] not in ("", "auto")
    answer = update(host, uuid, shown)
    assert answer.status == 204 and definition_of(host, uuid) == shown, answer.text
    host.run(["mv", "/vms/ds/table/d.iso", "/vms/ds/table/d"])
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 200 and "no image '/vms/ds/table/d.iso'" in answer.headers["Warning"], answer.text
    host.run(["mv", "/vms/ds/table/d", "/vms/ds/table/d.iso"])
    uuid = create(host, shown)
    assert definition_of(host, uuid) == shown
    delete(host, uuid)


# Luns


@pytest.mark.parametrize("combination", [c for c in ACCEPTED if c.form == "dev"], ids=repr)
def test_lun(lab1, host, table, lun, combination):
    link, device = lun
    assert combination.path == link
    make_signature(device)
    os_disk = disk("/vms/ds/table/os.raw", size=1)
    definition = vmdef("lun", osdisk=os_disk, disks=[combination.json()])
    if combination.made:
        # What is on it, nobody has asked to be lost.
        answer = host.api("POST", "/vms", {"host": "", "vmdef": definition})
        assert answer.status == 422, answer.text
        assert f"lun '{link}' is not empty: this host finds on it: ext4. Nothing was changed" in answer.json()["detail"]
        assert signature(device)
        nothing_left(lab1, host)
        subprocess.run(["wipefs", "-q", "-a", device], check=True)
    uuid = create(host, definition)
    assert bool(signature(device)) == (not combination.made)
    check_disk(lab1, host, combination, definition_of(host, uuid)["disks"][0])
    # QEMU passes SCSI commands through, which a loop device does not know; and where the machine withholds
    # CAP_SYS_RAWIO, libvirt does not even start it. It then reads the reason from a log that virtlogd may not have
    # written yet, and tells only that it ended.
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 424, answer.text
    if answer.json()["detail"].endswith("Process exited prior to exec"):
        log = pathlib.Path(host.path(f"/var/log/libvirt/qemu/{uuid}.log"))
        wait_for("libvirt's reason in the log of the VM", lambda: "sys_rawio" in log.read_text())
    else:
        assert re.search("SG_IO|sys_rawio", answer.text), answer.text

    if not signature(device):
        make_signature(device)
    assert update(host, uuid, {**definition, "disks": []}).status == 204
    assert bool(signature(device)) == (not combination.managed)
    assert not os.path.exists(f"{lab1.vms}/lock/{combination.resource()}")
    assert update(host, uuid, definition).status == 204
    if not signature(device):
        make_signature(device)
    delete(host, uuid, storage=False)
    assert signature(device)
    assert not os.path.exists(f"{lab1.vms}/lock/{combination.resource()}")


def test_lun_in_use(lab1, host, table, lun, tmp_path):
    """What the host itself uses no VM gets."""
    link, device = lun
    make_signature(device)
    (tmp_path / "at").mkdir()
    subprocess.run(["mount", device, tmp_path / "at"], check=True)
    try:
        lun_disk = disk(link, device=2, bus=1, prov=1, size=SIZE)
        answer = host.api("POST", "/vms", {"host": "", "vmdef": vmdef("lun", disks=[lun_disk])})
    finally:
        subprocess.run(["umount", tmp_path / "at"], check=True)
    assert answer.status == 422 and f"lun '{link}' is in use by this host itself" in answer.json()["detail"], answer.text
    assert signature(device)
    nothing_left(lab1, host)


def test_lun_of_two(lab1, host, table, lun):
    """The second VM is refused, naming the first."""
    lun_disk = disk(lun[0], device=2, bus=1, prov=0, size=SIZE)
    uuid = create(host, vmdef("lun1", disks=[lun_disk]))
    answer = host.api("POST", "/vms", {"host": "", "vmdef": vmdef("lun2", disks=[lun_disk])})
    assert answer.status == 507 and f"belongs to VM '{uuid}'" in answer.json()["detail"]
    delete(host, uuid)


def test_lun_by_other_names(lab1, host, table, lun):
    """A name by which another host may find another LUN is refused, naming the right one; an unmanaged use of it by a
    name of any kind is refused while another VM has it."""
    link, device = lun
    make_signature(device)
    uuid = create(host, vmdef("byid", disks=[disk(link, device=2, bus=1, prov=0, size=SIZE)]))
    alias = f"/dev/mapper/virtxtest{os.getpid()}alias"
    os.makedirs("/dev/mapper", exist_ok=True)
    os.symlink(device, alias)
    try:
        # One that a definition of before made by the alias is found, too.
        lock = f"{lab1.vms}/lock/{os.path.basename(alias)}"
        shutil.copytree(f"{lab1.vms}/lock/{os.path.basename(link).removeprefix('scsi-')}", lock)
        os.rename(f"{lock}/{os.path.basename(link).removeprefix('scsi-')}", f"{lock}/{os.path.basename(lock)}")
        delete(host, uuid, storage=False)
        know_wwid(host, device, os.path.basename(link).removeprefix("scsi-"), os.path.basename(alias))
        for man in (0, 1):
            other = vmdef("second", disks=[disk(link, device=2, bus=1, prov=man, man=man, size=SIZE)])
            answer = host.api("POST", "/vms", {"vmdef": other, "host": ""})
            assert answer.status == 422 and f"is managed for VM '{uuid}'" in answer.json()["detail"], answer.text
        assert signature(device)
        shutil.rmtree(lock)
        uuid = create(host, vmdef("byid", osdisk=disk("/vms/ds/byid.qcow2", prov=0),
                                  disks=[disk(link, device=2, bus=1, prov=0, size=SIZE)]))
        for path in (device, alias):
            for fields in ({"man": 1, "prov": 1, "size": SIZE}, {"man": 1, "prov": 0}, {"man": 0, "prov": 0}):
                other = vmdef("mapper", disks=[disk(path, **{"device": 2, "bus": 1, **fields})])
                answer = host.api("POST", "/vms", {"vmdef": other, "host": ""})
                assert answer.status == 422, answer.text
                assert f"use '{link}'" in answer.json()["detail"], answer.text
    finally:
        os.unlink(alias)
    assert signature(device)
    delete(host, uuid)
    nothing_left(lab1, host)


def test_lun_that_is_another(lab1, host, table, lun):
    """Where a name means another LUN by now, or none, nothing is wiped: the VM goes, and it is said why."""
    link, device = lun
    make_signature(device)
    serial = os.path.basename(link).removeprefix("scsi-")
    for change, why in ((lambda: know_wwid(host, device, f"{serial}2"), f"use '{link}2'"),
                        (lambda: os.unlink(link), "No such file or directory")):
        uuid = create(host, vmdef("moved", disks=[disk(link, device=2, bus=1, prov=0, size=SIZE)]))
        change()
        answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
        assert answer.status == 200, answer.text
        warning = answer.headers["Warning"]
        assert f"lun '{link}' is not wiped" in warning and why in warning
        know_wwid(host, device, serial)
    assert signature(device)
    nothing_left(lab1, host)


def test_empty_image(lab1, host):
    """A raw file of no bytes is no disk."""
    image = pathlib.Path(f"{lab1.vms}/ds/empty.raw")
    image.touch()
    for man in (0, 1):
        claimed = disk("/vms/ds/empty.raw", man=man, prov=0)
        answer = host.api("POST", "/vms", {"vmdef": vmdef("empty", osdisk=claimed), "host": host.uuid})
        assert answer.status == 422 and "it is a disk of no bytes" in answer.json()["detail"], answer.text
    image.unlink()
    nothing_left(lab1, host)


def test_more_than_the_lun(lab1, host, lun):
    """It is refused before it is emptied."""
    link, device = lun
    make_signature(device)
    answer = host.api("POST", "/vms", {"host": "", "vmdef": vmdef(
        "large", disks=[disk(link, device=2, bus=1, prov=1, size=1 << 20)])})
    assert answer.status == 422, answer.text
    assert "MiB, and 1048576 are asked for" in answer.json()["detail"]
    assert signature(device)
    nothing_left(lab1, host)


def test_huge_image(lab1, host):
    """Its tables alone would fill the storage."""
    answer = host.api("POST", "/vms", {"host": "", "vmdef": vmdef(
        "huge", osdisk=disk("/vms/ds/huge.qcow2", size=(1 << 31) - 1))})
    assert answer.status == 507, answer.text
    assert re.search("its file cannot be|takes 327730 MiB at once", answer.json()["detail"])
    nothing_left(lab1, host)


def test_lun_renamed(lab1, host, lun):
    """An update to another name of the same LUN is refused, and takes no lease away."""
    link, device = lun
    serial = os.path.basename(link).removeprefix("scsi-")
    make_signature(device)
    uuid = create(host, vmdef("renamed", disks=[disk(link, device=2, bus=1, prov=0, size=SIZE)]))
    alias = f"/dev/disk/by-id/dm-uuid-mpath-{serial}"
    os.symlink(device, alias)
    try:
        changed = definition_of(host, uuid)
        changed["disks"][0]["path"] = alias
        answer = update(host, uuid, changed, storage=True)
        assert answer.status == 422 and "by another name" in answer.json()["detail"], answer.text
    finally:
        os.unlink(alias)
    assert os.path.exists(f"{lab1.vms}/lock/{serial}") and signature(device)
    delete(host, uuid, storage=False)
    os.unlink(f"{lab1.vms}/ds/renamed.qcow2")


def test_delete_where_nothing_is(lab1, host):
    """An image on a storage of its own that is not mounted is not there to be deleted, which is told."""
    folder = "/vms/ds/apart"
    host.run(["mkdir", folder])
    host.run(["mount", "-t", "tmpfs", "none", folder])
    try:
        uuid = create(host, vmdef("apart", osdisk=disk(f"{folder}/a.raw"), disks=[disk(f"{folder}/b.raw")]))
    finally:
        host.run(["umount", folder])
    definition = definition_of(host, uuid)
    answers = update(host, uuid, {**definition, "disks": []}), host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    for name, answer in zip("ba", answers):
        assert answer.status == 200, answer.text
        assert f"there was no image '{folder}/{name}.raw' to delete" in answer.headers["Warning"]
    os.rmdir(f"{lab1.vms}/ds/apart")
    nothing_left(lab1, host)


def test_name_is_taken_before_all_is_deleted(lab1, host):
    """What could not be removed of a lease goes once it can, though another VM has that name by then: whose is left alone."""
    lease = hashlib.md5(b"heir.qcow2").hexdigest()
    paths = [f"{lab1.vms}/ds/heir.qcow2", f"{lab1.vms}/lock/{lease}"]
    uuid = create(host, vmdef("first", osdisk=disk("/vms/ds/heir.qcow2", size=1)))
    # As NFS leaves one there, where somebody on the host has the lease open.
    pathlib.Path(paths[1], ".nfs1").touch()
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 200 and "it is tried again" in answer.headers["Warning"], (answer.text, answer.headers)
    left = f"{lab1.vms}/lock/.{lease}.{uuid}.deleted"
    assert os.listdir(left) == [".nfs1"]
    heir = create(host, vmdef("heir", osdisk=disk("/vms/ds/heir.qcow2", size=1)))
    os.unlink(f"{left}/.nfs1")
    wait_for("the rest to go", lambda: not os.path.exists(left), 60)
    wait_for("no more tries", lambda: not os.path.exists(f"{lab1.vms}/xml/{host.uuid}/{uuid}.journal"), 60)
    assert all(os.path.exists(path) for path in paths)
    assert host.api("POST", f"/vms/{heir}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{heir}/runstate/boot", {"force": 2}).status == 204
    delete(host, heir)
