# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of disk that the API accepts is created, booted, updated and deleted, and every other one refused with
its reason; hostile images and paths, too."""

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
from conftest import BUILD, create, delete, disk, vmdef
from lab import wait_for

DEVICES, BUSES = ("disk", "cdrom", "lun"), ("virtio-blk", "virtio-scsi", "sata", "scsi")
MODES, PROVISIONINGS = ("unmanaged", "managed"), ("none", "thin", "thick")
FORMATS = ("qcow2", "raw", "iso", "dev")
SIZE = 4  # MiB
LEASES = 7

BY_ID = "/dev/disk/by-id"


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
        """The name of its lease."""
        if self.form == "dev":
            return os.path.basename(self.path).removeprefix("scsi-")
        return hashlib.md5(self.path.removeprefix("/vms/ds/").encode()).hexdigest()


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


def check_gone(lab, combination):
    """Nothing of ours is left; what is not ours is."""
    assert not os.path.exists(f"{lab.vms}/lock/{combination.resource()}"), combination
    exists = os.path.exists(combination.path.replace("/vms", lab.vms, 1))
    assert exists == (not combination.managed), combination


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
    delete(host, uuid)
    host.run(["mv", "/vms/ds/table/d", "/vms/ds/table/d.iso"])
    uuid = create(host, shown)
    assert definition_of(host, uuid) == shown
    delete(host, uuid)


# Luns

def know_wwid(host, device, serial, *others):
    """What udev of the host would write down of a SCSI disk, with other names of it."""
    number = os.stat(device).st_rdev
    data = pathlib.Path(host.path(f"/run/udev/data/b{os.major(number)}:{os.minor(number)}"))
    data.parent.mkdir(parents=True, exist_ok=True)
    links = "".join(f"S:disk/by-id/{name}\n" for name in (f"scsi-{serial}", *others))
    data.write_text(f"{links}E:ID_BUS=scsi\nE:ID_SERIAL={serial}\n")


@pytest.fixture
def lun(lab1, host, tmp_path):
    """A block device under a name that only this test has; its path, and the device. udev knows its WWID."""
    file = tmp_path / "lun"
    with open(file, "wb") as backing:
        backing.truncate(SIZE << 20)
    link = f"{BY_ID}/scsi-virtxtest{os.getpid()}"
    missing = [path for path in ("/dev/disk", BY_ID) if not os.path.isdir(path)]
    os.makedirs(BY_ID, exist_ok=True)
    device = subprocess.run(["losetup", "-f", "--show", file], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    try:
        os.symlink(device, link)
        know_wwid(host, device, f"virtxtest{os.getpid()}")
        yield link, device
    finally:
        if os.path.islink(link):
            os.unlink(link)
        subprocess.run(["losetup", "-d", device], check=True)
        for path in reversed(missing):
            os.rmdir(path)


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
    # It is not managed when the other VM gets it, and is when that boots.
    assert update(host, uuid, {**definition_of(host, uuid), "disks": []}, storage=False).status == 204
    shared = [disk(path, **{**more, "man": 0, "prov": 0}) for path, more in zip(paths, fields)]
    assert update(host, other, {**definition, "disks": shared}).status == 204
    assert update(host, uuid, {**definition_of(host, uuid),
                               "disks": [disk(p, **{**f, "prov": 0}) for p, f in zip(paths, fields)]}).status == 204
    answer = host.api("POST", f"/vms/{other}/runstate/boot")
    assert answer.status == 422 and f"is managed for VM '{uuid}'" in answer.json()["detail"], answer.text
    delete(host, other)
    delete(host, uuid)
    nothing_left(lab1, host)


# Hostile images and paths

def nothing_left(lab, host):
    assert os.listdir(f"{lab.vms}/lock") == ["__VIRTX__DISKS__"]
    assert not [name for name in os.listdir(f"{lab.vms}/xml/{host.uuid}") if name != "lockid"]
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
