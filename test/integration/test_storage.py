# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of disk that the API accepts is created, booted, updated and deleted, and every other one refused with
its reason; hostile images and paths, too."""

import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import uuid as uuids

import pytest
from conftest import BUILD, BY_ID, create, delete, disk, know_wwid, loop_lun, vmdef
from lab import wait_for

DEVICES, BUSES = ("disk", "cdrom", "lun"), ("virtio-blk", "virtio-scsi", "sata", "scsi")
MODES, PROVISIONINGS = ("unmanaged", "managed"), ("none", "thin", "thick")
FORMATS = ("qcow2", "raw", "iso", "dev")
SIZE = 4  # MiB
LEASES = 7

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


def update(host, uuid, definition, storage=True):
    return host.api("PUT", f"/vms/{uuid}", {"vmdef": definition, "deletestorage": storage})


def definition_of(host, uuid):
    return host.api("GET", f"/vms/{uuid}").json()["def"]


def resource(path):
    """The name of its lease."""
    if path.startswith("/dev/"):
        return os.path.basename(path).removeprefix("scsi-")
    return hashlib.md5(path.removeprefix("/vms/ds/").encode()).hexdigest()


@contextlib.contextmanager
def hidden(*paths):
    """They are gone meanwhile."""
    away = {path: f"{os.path.dirname(path)}/.hidden-{os.path.basename(path)}" for path in paths}
    for path, place in away.items():
        os.rename(path, place)
    try:
        yield
    finally:
        for path, place in away.items():
            os.rename(place, path)


def check_gone(lab, combination):
    """Nothing of ours is left; what is not ours is."""
    assert not os.path.exists(f"{lab.vms}/lock/{combination.resource()}"), combination
    exists = os.path.exists(combination.path.replace("/vms", lab.vms, 1))
    assert exists == (not combination.managed), combination


@pytest.fixture(autouse=True)
def open_to_qemu():
    """QEMU is not root: what a test itself puts on the storage is open to it."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def table(lab1):
    yield
    shutil.rmtree(f"{lab1.vms}/ds/table", ignore_errors=True)


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

@pytest.fixture
def lun(lab1, host, tmp_path):
    """A block device under a name that only this test has; its path, and the device. udev knows its WWID."""
    with loop_lun(tmp_path, SIZE) as (link, device):
        know_wwid(host, device, f"virtxtest{os.getpid()}")
        yield link, device


def signature(device):
    return subprocess.run(["wipefs", "-n", device], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def make_signature(device):
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
    assert "ext4" in signature(device)


@pytest.mark.parametrize("combination", [c for c in ACCEPTED if c.form == "dev"], ids=repr)
def test_lun(lab1, host, table, lun, combination):
    link, device = lun
    assert combination.path == link
    make_signature(device)
    os_disk = disk("/vms/ds/table/os.raw", size=1)
    definition = vmdef("lun", osdisk=os_disk, disks=[combination.json()])
    uuid = create(host, definition)
    # A lun that is provisioned is emptied, one that is claimed is not.
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
    """What the host itself uses is not wiped."""
    link, device = lun
    make_signature(device)
    (tmp_path / "at").mkdir()
    subprocess.run(["mount", device, tmp_path / "at"], check=True)
    try:
        lun_disk = disk(link, device=2, bus=1, prov=1, size=SIZE)
        answer = host.api("POST", "/vms", {"host": "", "vmdef": vmdef("lun", disks=[lun_disk])})
    finally:
        subprocess.run(["umount", tmp_path / "at"], check=True)
    assert answer.status == 507 and "busy" in answer.json()["detail"], answer.text
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


def test_claim_after_a_lost_lease(lab1, host):
    """The registry still says whose disk it is."""
    uuid = create(host, vmdef("leaseless"))
    path = "/vms/ds/leaseless.qcow2"
    name = hashlib.md5(b"leaseless.qcow2").hexdigest()
    os.rename(f"{lab1.vms}/lock/{name}", f"{lab1.vms}/lease")
    answer = host.api("POST", "/vms", {"vmdef": vmdef("thief", osdisk=disk(path, prov=0)), "host": host.uuid})
    assert answer.status == 422 and uuid in answer.json()["detail"], answer.text
    os.rename(f"{lab1.vms}/lease", f"{lab1.vms}/lock/{name}")
    delete(host, uuid)


def test_image_of_two_names(lab1, host):
    """A second name of a file is no second disk: not of another VM's image, and not of one that one VM has twice. A CD
    may be shared, and a VM that has its disk goes on."""
    uuid = create(host, vmdef("named"))
    first, second = (f"{lab1.vms}/ds/{name}.qcow2" for name in ("named", "renamed"))
    os.link(first, second)
    other = create(host, vmdef("other"))
    path = "/vms/ds/renamed.qcow2"
    for man in (0, 1):
        claimed = disk(path, man=man, prov=0)
        for answer in (host.api("POST", "/vms", {"vmdef": vmdef("thief", osdisk=claimed), "host": host.uuid}),
                       update(host, other, {**definition_of(host, other), "disks": [claimed]})):
            assert answer.status == 422, answer.text
            assert f"'{path}': it has 2 names (hard links)" in answer.json()["detail"]
    assert not os.path.exists(f"{lab1.vms}/lock/{hashlib.md5(b'renamed.qcow2').hexdigest()}")
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    host.virsh("destroy", uuid)
    delete(host, uuid)
    delete(host, other)
    os.unlink(second)

    pathlib.Path(f"{lab1.vms}/ds/a.iso").write_bytes(bytes(1 << 20))
    os.link(f"{lab1.vms}/ds/a.iso", f"{lab1.vms}/ds/b.iso")
    delete(host, create(host, vmdef("cds", disks=[disk(f"/vms/ds/{n}.iso", device=1, bus=2, man=0, prov=0)
                                                  for n in ("a", "b")])))
    for name in ("a", "b"):
        os.unlink(f"{lab1.vms}/ds/{name}.iso")
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


def test_unmanaged_of_another(lab1, host, table, lun):
    """An unmanaged disk is none that another VM manages: not when it is made, updated or booted."""
    paths = ["/vms/ds/table/managed.qcow2", lun[0]]
    fields = [{}, {"device": 2, "bus": 1, "prov": 0}]
    uuid = create(host, vmdef("manages", disks=[disk(p, **f) for p, f in zip(paths, fields)]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    for path, more in zip(paths, fields):
        shared = disk(path, **{**more, "man": 0, "prov": 0})
        for answer in (host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=[shared]), "host": ""}),
                       update(host, other, {**definition, "disks": [shared]})):
            assert answer.status == 422, answer.text
            assert f"disk '{path}' is managed for VM '{uuid}'" in answer.json()["detail"]
    assert definition_of(host, other) == definition
    # It is nobody's that anything tells of when the other VM gets it, and is again when that boots.
    shared = [disk(path, **{**more, "man": 0, "prov": 0}) for path, more in zip(paths, fields)]
    with hidden(f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml", *(f"{lab1.vms}/lock/{resource(path)}" for path in paths)):
        assert update(host, other, {**definition, "disks": shared}).status == 204
    shared = definition_of(host, other)["disks"]
    for at in range(len(paths)):
        assert update(host, other, {**definition, "disks": shared[at:]}).status == 204
        answer = host.api("POST", f"/vms/{other}/runstate/boot")
        assert answer.status == 422, answer.text
        assert f"disk '{paths[at]}' is managed for VM '{uuid}'" in answer.json()["detail"]
    delete(host, other)
    delete(host, uuid)
    nothing_left(lab1, host)


def test_managed_of_another(lab1, host, table, lun):
    """What another VM has in any way cannot become a managed disk, which would be deleted or emptied with its VM."""
    cases = {"/vms/ds/table/shared.qcow2": {}, "/vms/ds/table/shared.iso": {"device": 1, "bus": 2},
             lun[0]: {"device": 2, "bus": 1}}
    os.mkdir(f"{lab1.vms}/ds/table")
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", "/vms/ds/table/shared.qcow2", "4M"])
    host.run(["chmod", "a+w", "/vms/ds/table/shared.qcow2"])
    host.run(["truncate", "-s", "1M", "/vms/ds/table/shared.iso"])
    make_signature(lun[1])
    uuid = create(host, vmdef("has", disks=[disk(p, **{**f, "man": 0, "prov": 0}) for p, f in cases.items()]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    for path, fields in cases.items():
        for prov in (0, 1) if path == lun[0] else (0,):
            claimed = disk(path, **{**fields, "man": 1, "prov": prov, "size": SIZE})
            for answer in (host.api("POST", "/vms", {"vmdef": vmdef("claims", disks=[claimed]), "host": host.uuid}),
                           update(host, other, {**definition, "disks": [claimed]})):
                assert answer.status == 422, answer.text
                assert answer.json()["detail"].endswith(
                    f"disk '{path}' belongs to VM '{uuid}', whose definition has it unmanaged")
        assert not os.path.exists(f"{lab1.vms}/lock/{resource(path)}")
    assert definition_of(host, other) == definition and signature(lun[1])
    # Two may have one that neither of them manages.
    assert update(host, other, {**definition, "disks": [disk("/vms/ds/table/shared.qcow2", man=0, prov=0)]}).status == 204
    assert host.api("POST", f"/vms/{other}/runstate/boot").status == 204
    host.virsh("destroy", other)
    delete(host, other)
    delete(host, uuid)
    assert len(os.listdir(f"{lab1.vms}/ds/table")) == 2
    nothing_left(lab1, host)


def test_unmanaged_after_a_lost_lease(lab1, host, table, lun):
    """The registry says whose the disk is to one that would write to it, too: when it is made, updated or booted."""
    paths = ["/vms/ds/table/leaseless.qcow2", lun[0]]
    fields = [{}, {"device": 2, "bus": 1, "prov": 0}]
    registered = f"{lab1.vms}/xml/{host.uuid}"
    leases = [f"{lab1.vms}/lock/{resource(path)}" for path in paths]
    uuid = create(host, vmdef("leaseless", disks=[disk(p, **f) for p, f in zip(paths, fields)]))
    other = create(host, vmdef("other"))
    definition = definition_of(host, other)
    shared = [disk(path, **{**more, "man": 0, "prov": 0}) for path, more in zip(paths, fields)]
    with hidden(*leases):
        for path, wanted in zip(paths, shared):
            said = f"disk '{path}' belongs to VM '{uuid}', whose definition has it"
            for answer in (host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=[wanted]), "host": host.uuid}),
                           update(host, other, {**definition, "disks": [wanted]})):
                assert answer.status == 422 and answer.json()["detail"].endswith(said), answer.text
            with hidden(f"{registered}/{uuid}.xml"):
                assert update(host, other, {**definition, "disks": [wanted]}).status == 204
            answer = host.api("POST", f"/vms/{other}/runstate/boot")
            assert answer.status == 422 and answer.json()["detail"].endswith(said), answer.text
            assert update(host, other, definition).status == 204
    delete(host, uuid)

    # What cannot be read keeps no VM off that has its disk.
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", paths[0], "4M"])
    host.run(["chmod", "a+w", paths[0]])
    assert update(host, other, {**definition, "disks": shared[:1]}).status == 204
    strange = f"{lab1.vms}/xml/{uuids.uuid4()}"
    os.mkdir(strange)
    pathlib.Path(f"{strange}/{uuids.uuid4()}.xml").write_text("<domain")
    try:
        assert host.api("POST", f"/vms/{other}/runstate/boot").status == 204
        answer = host.api("POST", "/vms", {"vmdef": vmdef("shares", disks=shared[:1]), "host": host.uuid})
        assert answer.status == 507 and "is not known" in answer.json()["detail"], answer.text
    finally:
        shutil.rmtree(strange)
    host.virsh("destroy", other)
    delete(host, other)
    nothing_left(lab1, host)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("man", [1, 0], ids=MODES[::-1])
def test_linked_to_another(lab1, host, table, man, symbolic):
    """A file that has become another name of another VM's image is not booted from, whichever of the two is asked; of a
    symbolic link it is known which is the file."""
    first, second = (f"/vms/ds/table/{name}.qcow2" for name in ("first", "second"))
    one = create(host, vmdef("first", osdisk=disk(first)))
    if not man:
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", second, "4M"])
    two = create(host, vmdef("second", disks=[disk(second, man=man, prov=man)]))
    host.run(["ln", "-sf" if symbolic else "-f", first, second])
    for uuid, path, its, other in ((two, second, first, one), (one, first, second, two))[:1 if symbolic else 2]:
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 422, answer.text
        assert (f"disk '{path}' is by another name (a link) disk '{its}' of VM '{other}'"
                in answer.json()["detail"]), answer.text
    # A name that no VM has is in nobody's way.
    host.run(["mv", second, "/vms/ds/table/backup"])
    assert host.api("POST", f"/vms/{one}/runstate/boot").status == 204
    host.virsh("destroy", one)
    # What it is a link to is never deleted through it.
    host.run(["rm", "/vms/ds/table/backup"] if symbolic else ["mv", "/vms/ds/table/backup", second])
    answer = host.api("DELETE", f"/vms/{two}", {"deletestorage": True})
    assert answer.status in (200, 204), answer.text
    delete(host, one)
    nothing_left(lab1, host)


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


# Hostile images and paths

def nothing_left(lab, host):
    assert os.listdir(f"{lab.vms}/lock") == ["__VIRTX__DISKS__"]
    assert not [name for name in os.listdir(f"{lab.vms}/xml/{host.uuid}") if name not in ("lockid", "seen")]
    assert not [name for _, _, names in os.walk(f"{lab.vms}/ds") for name in names
                if name.endswith(".new")]
    assert host.virsh("list", "--all", "--uuid").stdout.split() == []


def image(host, path, *options):
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "4M"])


def make_fifo(lab, host, path):
    host.run(["mkfifo", path])


def make_socket(lab, host, path):
    with socket.socket(socket.AF_UNIX) as sock:
        there = os.getcwd()
        os.chdir(os.path.dirname(path.replace("/vms", lab.vms, 1)))
        sock.bind(os.path.basename(path))
        os.chdir(there)


def make_backed(lab, host, path):
    image(host, path, "-b", "/etc/passwd", "-F", "raw")


def make_data_file(lab, host, path):
    image(host, path, "-o", "data_file=/vms/ds/hostile/data.raw,data_file_raw=on")


def make_encrypted(lab, host, path):
    image(host, path, "--object", "secret,id=s,data=secret", "-o",
          "encrypt.format=aes,encrypt.key-secret=s")


def make_cut_short(lab, host, path):
    """A cloud image whose download was cut off."""
    host.run(["sh", "-c", "head -c 4M /dev/urandom | od > /vms/ds/hostile/plain; truncate -s 64M /vms/ds/hostile/plain"])
    host.run(["qemu-img", "convert", "-c", "-O", "qcow2", "-f", "raw", "/vms/ds/hostile/plain", path])
    host.run(["truncate", "-s", "1M", path])


def make_corrupt(lab, host, path):
    image(host, path)
    with open(path.replace("/vms", lab.vms, 1), "r+b") as file:
        file.seek(79)
        file.write(b"\x02")


def make_garbage(lab, host, path):
    host.run(["sh", "-c", f"yes | head -c 1M > {path}"])


def make_truncated(lab, host, path):
    image(host, path)
    host.run(["truncate", "-s", "60", path])


def make_huge_table(lab, host, path):
    """A header that claims more than any memory holds."""
    image(host, path)
    with open(path.replace("/vms", lab.vms, 1), "r+b") as file:
        file.seek(36)
        file.write(b"\x7f\xff\xff\xff")


def in_directory(target):
    def make(lab, host, path):
        host.run(["ln", "-s", target, os.path.dirname(path)])
    return make


OUTSIDE = "/etc/passwd"
HOSTILE = {
    # name: (path below ds/hostile, how it is made, status, the reason)
    "link out": ("a.raw", lambda lab, host, path: host.run(["ln", "-s", OUTSIDE, path]), 422,
                 "is no regular file but a symbolic link"),
    "link within": ("a.raw", lambda lab, host, path: host.run(["ln", "-s", "other.raw", path]), 422,
                    "is no regular file but a symbolic link"),
    "directory link out": ("sub/passwd.raw", in_directory("/etc"), 422,
                           "/sub' is no directory but a symbolic link"),
    "directory link up": ("sub/a.raw", in_directory("../.."), 422,
                          "/sub' is no directory but a symbolic link"),
    "file for directory": ("sub/a.raw", lambda lab, host, path:
                           host.run(["touch", os.path.dirname(path)]), 422,
                           "/sub' is no directory but a regular file"),
    "FIFO": ("a.raw", make_fifo, 422, "is no regular file but a FIFO"),
    "socket": ("a.raw", make_socket, 422, "is no regular file but a socket"),
    "directory": ("a.raw", lambda lab, host, path: host.run(["mkdir", path]), 422,
                  "is no regular file but a directory"),
    "character device": ("a.raw", lambda lab, host, path:
                         host.run(["mknod", path, "c", "1", "5"]), 422,
                         "is no regular file but a character device"),
    "block device": ("a.raw", lambda lab, host, path:
                     host.run(["mknod", path, "b", "7", "99"]), 422,
                     "is no regular file but a block device"),
    "nothing": ("a.raw", lambda lab, host, path: None, 422, "No such file or directory"),
    "nothing at all": ("sub/a.raw", lambda lab, host, path: None, 422, "No such file or directory"),
    "backing file": ("a.qcow2", make_backed, 422, "it has a backing file"),
    "data file": ("a.qcow2", make_data_file, 422, "its data is in an external file"),
    "encrypted": ("a.qcow2", make_encrypted, 422, "it is encrypted"),
    "cut short": ("a.qcow2", make_cut_short, 422, "it is not whole: it has "),
    "corrupt": ("a.qcow2", make_corrupt, 422, "it is marked corrupt"),
    "named raw": ("a.raw", lambda lab, host, path: image(host, path), 422,
                  "it is a qcow2 image, and its name says that it is raw"),
    "garbage": ("a.qcow2", make_garbage, 422, "it is no qcow2 image"),
    "truncated": ("a.qcow2", make_truncated, 422, "it is no qcow2 image"),
    "huge table": ("a.qcow2", make_huge_table, 507, "qemu-img"),
    "more MiB than there are": ("a.qcow2", lambda lab, host, path: host.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "3P"]), 422,
                                "its size of 3221225472 MiB is more than 2147483647"),
}
UNMAKEABLE = {"nothing", "nothing at all"}  # nothing is in the way of what is provisioned


@pytest.fixture
def hostile(lab1):
    os.makedirs(f"{lab1.vms}/ds/hostile")
    yield
    shutil.rmtree(f"{lab1.vms}/ds/hostile")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(lab1, host, hostile, name):
    below, make, status, reason = HOSTILE[name]
    path = f"/vms/ds/hostile/{below}"
    make(lab1, host, path)
    before = os.lstat(OUTSIDE)

    def refuse(answer, wanted, why):
        assert answer.status == wanted, (name, answer.status, answer.text)
        assert why in answer.json()["detail"] and path in answer.json()["detail"], answer.text

    for fields in ({"man": 1, "prov": 0}, {"man": 0, "prov": 0}, {"man": 0, "prov": 0, "device": 1,
                                                                  "bus": 2}):
        definition = vmdef("hostile", disks=[disk(path, **fields)])
        refuse(host.api("POST", "/vms", {"vmdef": definition, "host": ""}), status, reason)
        nothing_left(lab1, host)
    uuid = create(host, vmdef("hostile"))
    refuse(update(host, uuid, definition), status, reason)
    assert definition_of(host, uuid)["disks"] == []
    if name not in UNMAKEABLE:
        # Nor is it in the way that something is made over it.
        definition["disks"] = [disk(path, size=1)]
        answer = update(host, uuid, definition)
        assert answer.status in (422, 507) and path in answer.json()["detail"], answer.text
    delete(host, uuid)
    nothing_left(lab1, host)
    assert os.lstat(OUTSIDE) == before


def test_compressed(lab1, host, hostile):
    """Every public cloud image has compressed clusters."""
    path = "/vms/ds/hostile/cloud.qcow2"
    host.run(["sh", "-c", "yes | head -c 4M > /vms/ds/hostile/plain; truncate -s 64M /vms/ds/hostile/plain"])
    host.run(["qemu-img", "convert", "-c", "-O", "qcow2", "-f", "raw", "/vms/ds/hostile/plain", path])
    uuid = create(host, vmdef("compressed", disks=[disk(path, man=1, prov=0)]))
    shown = definition_of(host, uuid)["disks"][0]
    assert (shown["prov"], shown["size"]) == (1, 64)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(host, uuid)
    nothing_left(lab1, host)


@pytest.mark.parametrize("target,kind", [("/dev/null", "a character device"),
                                         (OUTSIDE, "a regular file"), ("/etc", "a directory")])
def test_hostile_lun(lab1, host, lun, target, kind):
    link, _ = lun
    os.unlink(link)
    os.symlink(target, link)
    for prov in (0, 1):
        definition = vmdef("hostile", disks=[disk(link, device=2, bus=1, prov=prov, size=SIZE)])
        answer = host.api("POST", "/vms", {"vmdef": definition, "host": ""})
        assert answer.status == 422, answer.text
        assert f"is no block device but {kind}" in answer.json()["detail"]
    nothing_left(lab1, host)
    assert open(OUTSIDE, encoding="utf-8").read().startswith("root:")


def test_opens_nothing_outside(lab1, host, hostile):
    """strace of the job that looks at them: it opens what VirtX and its programs are made of, and below /vms."""
    paths = []
    for at, (name, (below, make, _, _)) in enumerate(HOSTILE.items()):
        host.run(["mkdir", f"/vms/ds/hostile/{at}"])
        if "data_file" not in make.__name__ and "cut_short" not in make.__name__:
            path = f"/vms/ds/hostile/{at}/{below}"
        else:
            path = f"/vms/ds/hostile/{at}.qcow2"
        make(lab1, host, path)
        paths.append(path)
    request = {"env": {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx",
                       "host": host.uuid, "io_timeout": 1},
               "vms": [{"uuid": str(uuids.uuid4()),
                        "disks": [disk(path, man=0, prov=0) for path in paths]}]}
    done = host.run(["strace", "-f", "-y", "-qq", "-e", "trace=open,openat,openat2,creat", "-o",
                     "/vms/strace", f"{BUILD}/virtxd/virtxd", "--job", "inspect"],
                    input=json.dumps(request), timeout=60,
                    env={"ASAN_OPTIONS": "detect_leaks=0"})  # which needs ptrace, as strace does
    assert "result" in done.stdout
    with open(f"{lab1.vms}/strace", encoding="utf-8") as file:
        calls = file.read()
    os.unlink(f"{lab1.vms}/strace")
    opened = re.findall(r"= \d+<([^>]*)>$", calls, re.MULTILINE)
    assert [path for path in opened if path.startswith("/vms/ds/hostile/")]
    # What a link or an image's header names is not opened, nor is what is no regular file but to look at it (O_PATH).
    assert not {OUTSIDE, "/etc", "/vms/ds/hostile/data.raw", "/vms/ds/hostile/other.raw"} & set(opened)
    for line in calls.splitlines():
        match = re.search(r"= \d+<([^>]*)>$", line)
        if match and match[1].startswith("/vms/ds/hostile/") and "O_PATH" not in line:
            assert re.search(r"/a\.(raw|qcow2)$|/\d+(\.qcow2)?$|/sub$", match[1]), line
            assert stat.S_IFMT(os.lstat(match[1].replace("/vms", lab1.vms, 1)).st_mode) in (
                stat.S_IFREG, stat.S_IFDIR), line
