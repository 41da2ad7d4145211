# SPDX-License-Identifier: GPL-2.0-or-later
"""Block devices as they are: LUNs by iSCSI, with one path or two, and what a VM and its deletion do to them. After each
step, all LUNs are looked at on the storage: none but the VM's own may have changed."""

import contextlib
import itertools
import re
import threading
import time

import pytest
from conftest import TIMES
from lab import wait_for
from lab.vms import delete, disk, runstate, vmdef, wait_runstate
from vmlab import guest
from vmlab.luns import PORTALS, Lun, Luns

DEVICES, BUSES = ("disk", "cdrom", "lun"), ("virtio-blk", "virtio-scsi", "sata", "scsi")

KINDS = ("first", "thick", "plain")  # two paths, two without discard, one path
OS = "/vms/ds/os.raw"  # nobody's, for VMs that are about their LUN


@pytest.fixture
def luns(machines):
    """LUNs as they were made, and hosts without VMs."""
    found = Luns(machines, Lun("boot", 0, 40), Lun("first", 1, 16), Lun("thick", 2, 16, discards=False),
                 Lun("plain", 0, 16, paths=1))
    found.restore()
    machines.hosts[0].run(["truncate", "-s", "1M", OS])
    yield found


def lun_disk(lun, path=None, **fields):
    """A managed disk that is a LUN, taken as it is unless told otherwise."""
    return disk(path or lun.by_id, **{"device": 2, "bus": 1, "prov": 0, "size": 0, **fields})


def definition(name, *disks):
    return vmdef(name, osdisk=disk(OS, man=0, prov=0, size=0), disks=list(disks))


def post(host, what):
    return host.api("POST", "/vms", {"vmdef": what, "host": host.uuid}, timeout=120)


def create(host, what):
    answer = post(host, what)
    assert answer.status == 201, answer.text
    return answer.json()


def emptied(lun):
    """What is on a LUN that was emptied: nothing, or as the first was where it cannot discard."""
    return "empty" if lun.discards else " ".join(["empty"] + ["kept"] * (lun.mib - 1))


def expect_content(luns, **changed):
    """All LUNs have their own content but these, which get it back."""
    found = luns.look()
    assert found == {name: "kept" for name in found} | changed
    if changed:
        luns.fill(*(luns[name] for name in changed))


# The table: device, bus, operation

OPERATIONS = {
    "taken": {"man": 1, "prov": 0}, "made": {"man": 1, "prov": 1, "size": 1}, "unmanaged": {"man": 0, "prov": 0},
}


def refusal(device, bus):
    """Why there cannot be such a disk; None where there can."""
    if device != "lun":
        return "only a lun may be under /dev/"
    return None if bus == "virtio-scsi" else "a lun must be on virtio-scsi"


def test_combinations(luns):
    """What is no lun on virtio-scsi is refused, whatever is to be done with it."""
    h1 = luns.lab.hosts[0]
    refused = 0
    for name, (d, device), (b, bus), op in itertools.product(KINDS, enumerate(DEVICES), enumerate(BUSES), OPERATIONS):
        why = refusal(device, bus)
        if why:
            answer = post(h1, definition("refused", lun_disk(luns[name], device=d, bus=b, **OPERATIONS[op])))
            assert answer.status == 400 and why in answer.json()["detail"], answer.text
            refused += 1
    expect_content(luns)
    TIMES.append(f"{refused:6}    combinations of LUN, device, bus and operation were refused\n")


def expect_steps(luns, host, lun, op):
    """One LUN, taken by a VM in this way: what each step makes of it."""
    managed, made = OPERATIONS[op]["man"] == 1, op == "made"
    it, nothing = lun_disk(lun, **OPERATIONS[op]), {}
    empty = {lun.name: emptied(lun)}
    with_it, without = definition("table", it), definition("table")

    uuid = create(host, with_it)
    expect_content(luns, **(empty if made else nothing))
    shown = host.api("GET", f"/vms/{uuid}").json()["def"]["disks"][0]
    assert (shown["path"], shown["size"], shown["device"], shown["bus"]) == (lun.by_id, lun.mib, 2, 1)
    answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": without, "deletestorage": True}, timeout=120)
    assert answer.status == 204, answer.text
    expect_content(luns, **(empty if managed else nothing))
    answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": with_it, "deletestorage": True}, timeout=120)
    assert answer.status == 204, answer.text
    expect_content(luns, **(empty if made else nothing))
    delete(host, uuid, storage=False)
    expect_content(luns)
    uuid = create(host, definition("table", {**it, **OPERATIONS["unmanaged" if not managed else "taken"]}))
    delete(host, uuid)
    expect_content(luns, **(empty if managed else nothing))


@pytest.mark.parametrize("name", KINDS)
def test_table(luns, name):
    """Create, remove from the VM, add, delete without the storage and with it."""
    for op in OPERATIONS:
        expect_steps(luns, luns.lab.hosts[0], luns[name], op)


# Names

def names(luns, host, lun):
    """All paths that lead to a LUN on this host: of the device, of its paths, and of udev's links."""
    devices = {luns.device(host, lun), *luns.disks(host, lun)}
    found = set()
    for device in devices:
        links = host.run(["udevadm", "info", "-q", "symlink", f"/dev/{device}"]).stdout.split()
        found |= {f"/dev/{device}", *(f"/dev/{link}" for link in links)}
    return sorted(found)


def is_good(lun, path):
    """Whether it is of those that mean the same LUN on every host."""
    return re.fullmatch(rf"/dev/(disk/by-id/(dm-uuid-mpath-|scsi-)|mapper/){lun.wwid}", path) or \
        path == f"/dev/disk/by-id/wwn-0x{lun.wwid[1:]}"


@pytest.mark.parametrize("name", ("first", "plain"))
def test_names(luns, name):
    """A LUN that a VM of the one host has is refused to a VM of the other by each of its names; one that nobody has is
    taken by its WWID alone."""
    h1, h2 = luns.lab.hosts
    lun = luns[name]
    found = names(luns, h2, lun)
    counts = {"taken": 0, "another's": 0, "not a name of its WWID": 0}
    uuid = create(h1, definition("has", lun_disk(lun)))
    for path, fields in itertools.product(found, OPERATIONS.values()):
        answer = post(h2, definition("wants", lun_disk(lun, path, **fields)))
        if is_good(lun, path):
            assert answer.status in (422, 507) and uuid in answer.json()["detail"], answer.text
            counts["another's"] += 1
        else:
            # Some are too long for the name of a lease.
            assert answer.status == 422 and re.search(f"use '/dev/disk/by-id/[a-z-]*{lun.wwid}'", answer.text) or \
                answer.status == 400 and "/by-path/" in path and "sanlock allows 48" in answer.text, answer.text
            counts["not a name of its WWID"] += 1
    answer = h2.api("PUT", f"/vms/{create(h2, definition('other'))}",
                    {"vmdef": definition("other", lun_disk(lun)), "deletestorage": True})
    assert answer.status in (422, 507) and uuid in answer.json()["detail"], answer.text
    expect_content(luns)
    delete(h1, uuid, storage=False)
    for path in found:
        answer = post(h2, definition("wants", lun_disk(lun, path)))
        assert (answer.status == 201) == bool(is_good(lun, path)), f"{path}: {answer.text}"
        if answer.status == 201:
            delete(h2, answer.json(), storage=False)
            counts["taken"] += 1
    twice = [path for path in found if is_good(lun, path)][:2]
    if len(twice) > 1:
        answer = post(h2, definition("twice", *(lun_disk(lun, path) for path in twice)))
        assert answer.status == 400 and "is the LUN of" in answer.json()["detail"], answer.text
    expect_content(luns)
    TIMES.append(f"{len(found):6}    names of the LUN '{name}': {counts}\n")


def test_in_use(luns):
    """What the host itself has mounted is not emptied, before it is unmounted."""
    h1 = luns.lab.hosts[0]
    for name in ("first", "plain"):
        lun = luns[name]
        h1.shell(f"mkfs.ext4 -q -F {lun.by_id}; mount {lun.by_id} /mnt", timeout=120)
        answer = post(h1, definition("busy", lun_disk(lun, prov=1, size=1)))
        assert answer.status == 507 and "busy" in answer.json()["detail"], answer.text
        expect_tried_again(h1, lun, create(h1, definition("busy", lun_disk(lun))), "busy")
        h1.shell("echo kept > /mnt/file; sync; echo 3 > /proc/sys/vm/drop_caches; grep kept /mnt/file; umount /mnt")
        wait_emptied(luns, lun)
    expect_content(luns, first="empty", plain="empty")


MBR = """\
import struct, sys
entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 8192)
with open(sys.argv[1], "r+b", buffering=0) as disk:
    disk.write((bytes(446) + entry + bytes(48) + b"\\x55\\xaa").ljust(4096, b"\\0"))
"""


def test_partition(luns):
    """A part of a LUN is none."""
    h1, lun = luns.lab.hosts[0], luns["plain"]
    h1.run(["python3", "-c", MBR, lun.by_id])
    h1.shell(f"blockdev --rereadpt {lun.by_id}; udevadm settle")
    found = h1.shell(f"ls /dev/disk/by-id/*{lun.wwid}*part1 /dev/{luns.device(h1, lun)}1").stdout.split()
    for path, fields in itertools.product(found, OPERATIONS.values()):
        answer = post(h1, definition("part", lun_disk(lun, path, **fields)))
        assert answer.status == 422 and f"is a partition, which another VM may have with the whole LUN: use '{lun.by_id}'" \
            in answer.json()["detail"], answer.text
    found = luns.look()
    assert [name for name in found if found[name] != "kept"] == ["plain"]


# A guest on LUNs

def start(luns):
    """A VM on h1 whose system is on one LUN, and which counts on another."""
    h1 = luns.lab.hosts[0]
    luns.copy(guest.LINUX, luns["boot"])
    cpu = {"model": "host-passthrough", "nodes": 1, "sockets": 1, "cores": 1, "threads": 1}
    uuid = create(h1, vmdef("guest", osdisk=lun_disk(luns["boot"]), disks=[lun_disk(luns["first"])], cpudef=cpu,
                            memory={"total": 128, "hp": False}))
    with luns.lab.timed("boot a VM on two LUNs"):
        guest.boot(h1, uuid)
        wait_told(luns)


@pytest.fixture
def uuid(luns):
    """The VM that runs on them; a snapshot of the lab's own, as its system takes long to boot."""
    lab, name = luns.lab, f"{luns.snapshot()}-runs"
    if name not in lab.snapshots():
        start(luns)
        lab.snapshot(name)
    lab.restore(name)
    [vm] = lab.hosts[0].api("GET", "/vms").json()["items"]
    return vm["uuid"]


def wait_told(luns):
    """Wait until the guest counts on its LUN; what it told."""
    before = luns.told(luns["first"])
    return wait_for("the guest to count on its LUN", lambda: (told := luns.told(luns["first"])) and
                    (not before or told[0] != before[0]) and told, 180, 0.5)


class Counter:
    """Watches the guest's counter while a with statement lasts: the longest time that it stood still."""

    def __init__(self, luns):
        self.luns, self.longest, self.stop = luns, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        last, since = None, time.monotonic()
        while not self.stop.wait(0.3):
            told = self.luns.told(self.luns["first"])
            self.longest = max(self.longest, time.monotonic() - since)
            if told and told[0] != last:
                last, since = told[0], time.monotonic()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()


def lose_path(luns, host, portal):
    """One of two paths is cut: the guest stands still for a while, gets no error and goes on; the path comes back."""
    lun, before = luns["first"], luns.told(luns["first"])
    with Counter(luns) as counter:
        with luns.cut(host, portal):
            wait_for("multipath to see that the path has failed", lambda: "failed faulty" in luns.path_states(host, lun), 60, 0.5)
            wait_told(luns)
            told = wait_told(luns)
            assert host.readyz()[0] == 200
    assert told[0] > before[0] and told[2] == before[2] == 0, (before, told)
    TIMES.append(f"{counter.longest:6.1f} s  the guest stood still when {portal} was cut, {told[2]} errors\n")
    wait_for("the path to be back", lambda: luns.path_states(host, lun) == ["active ready"] * 2, 60, 0.5)


def test_guest(luns, uuid):
    """Boot from a LUN, passed through; live migration; the loss of one path and then of the other; migration with one path;
    delete with the storage."""
    lab, (h1, h2) = luns.lab, luns.lab.hosts
    assert luns.told(luns["first"])[1:] == (16 << 11, 0, "LIO-ORG IBLOCK")
    xml = h1.virsh("dumpxml", uuid).stdout
    assert xml.count("device='lun'") == 2 and xml.count("rawio='yes'") == 2
    for source, target, cut in ((h1, h2, None), (h2, h1, PORTALS[1])):
        with contextlib.ExitStack() as stack:
            if cut:
                stack.enter_context(luns.cut(target, cut))
            stack.enter_context(lab.timed(f"migrate it live{' to a host that has lost a path' if cut else ''}"))
            counter = stack.enter_context(Counter(luns))
            moved = source.virtx("migrate", "vm", uuid, "-h", target.uuid, "--live", "--wait", timeout=240)
            assert moved.returncode == 0, moved.stderr
            wait_told(luns)
        TIMES.append(f"{counter.longest:6.1f} s  its guest stood still meanwhile\n")
        assert wait_told(luns)[2] == 0
        assert target.virsh("list", "--name").stdout.split() == [xml.split("<name>")[1].split("<")[0]]
    wait_for("the path to be back", lambda: luns.paths(h1, luns["first"]) == ["running"] * 2, 60)
    for portal in PORTALS:
        lose_path(luns, h1, portal)
    for name in ("thick", "plain"):
        assert luns.look(luns[name]) == {name: "kept"}

    assert h1.virtx("shutdown", "vm", uuid).returncode == 0
    wait_runstate(h1, uuid, "poweroff")
    delete(h1, uuid)
    expect_content(luns, boot="empty", first="empty")


def test_resize(luns, uuid):
    """A LUN that has grown is larger for the next guest, and for VirtX as soon as the host knows."""
    h1 = luns.lab.hosts[0]
    lun = luns["first"]
    luns.resize(lun, 24)
    for host in luns.lab.hosts:
        luns.rescan(host)
        host.run(["multipathd", "resize", "map", lun.wwid])
        assert host.run(["blockdev", "--getsize64", lun.by_id]).stdout.strip() == str(24 << 20)
    assert wait_told(luns)[1:3] == (16 << 11, 0)
    assert h1.virtx("shutdown", "vm", uuid).returncode == 0
    wait_runstate(h1, uuid, "poweroff")
    guest.boot(h1, uuid)
    wait_for("the guest to see the size", lambda: (told := luns.told(lun)) and told[1] == 24 << 11, 180, 0.5)
    wait_for("virtxd to have collected it", lambda: h1.api("GET", f"/vms/{uuid}").json()["def"]["disks"][0]["size"] == 24, 60, 0.5)


# LUNs that are lost, or others by now

def timed_answer(call, what, limit):
    """An answer, which comes within so many seconds."""
    begin = time.monotonic()
    answer = call()
    took = time.monotonic() - begin
    TIMES.append(f"{took:6.1f} s  {what}: {answer.status} {answer.headers.get('Warning') or answer.json()['detail']}\n")
    assert took < limit, what
    return answer


def expect_refused(luns, host, lun, uuid, status, why, limit=60):
    """A VM that has the LUN is not booted, and none gets it; nothing is written."""
    path = f"/vms/{uuid}/runstate/boot"
    for what, call in (("boot", lambda: host.api("POST", path, timeout=600)),
                       ("create", lambda: post(host, definition("new", lun_disk(lun, prov=1, size=1))))):
        answer = timed_answer(call, f"{what}, {lun.name}", limit)
        assert answer.status == status and why in answer.json()["detail"], answer.text
    assert runstate(host, uuid) == "poweroff"
    assert host.readyz()[0] == 200


def expect_left(host, lun, uuid, why, limit=60):
    """The VM is deleted with its storage, but for the LUN, and that is said."""
    answer = timed_answer(lambda: host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}, timeout=600),
                          f"delete, {lun.name}", limit)
    assert answer.status == 200, answer.text
    assert f"lun '{lun.by_id}' is not wiped" in answer.headers["Warning"] and why in answer.headers["Warning"]
    assert host.api("GET", f"/vms/{uuid}").status == 404


def expect_tried_again(host, lun, uuid, why, limit=60):
    """The VM is deleted with its storage, and its LUN is emptied as soon as that can be done."""
    answer = timed_answer(lambda: host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}, timeout=600),
                          f"delete, {lun.name}", limit)
    assert answer.status == 200, answer.text
    warning = answer.headers["Warning"]
    assert lun.by_id in warning and why in warning and "it is tried again for 5 minutes" in warning
    assert host.api("GET", f"/vms/{uuid}").status == 404


def wait_emptied(luns, lun):
    with luns.lab.timed(f"empty LUN '{lun.name}' when that could be done"):
        wait_for(f"{lun} to be emptied", lambda: luns.look(lun)[lun.name] == emptied(lun), 120, 1)


@pytest.mark.parametrize("name", ("first", "plain"))
def test_taken_away(luns, name):
    """The storage takes the LUN away, and tells nobody: the host still has a device for it, which would hold up whoever
    opened it."""
    h1, lun = luns.lab.hosts[0], luns[name]
    uuid = create(h1, definition("had", lun_disk(lun)))
    luns.unmap(lun)
    expect_refused(luns, h1, lun, uuid, 507, "does not answer")
    expect_tried_again(h1, lun, uuid, "does not answer")
    expect_content(luns)
    luns.map(lun)
    wait_emptied(luns, lun)
    expect_content(luns, **{name: "empty"})


def test_another_by_now(luns):
    """The storage gives another LUN under the number: neither is written to by a name of the one that has gone."""
    h1, lun, other = luns.lab.hosts[0], luns["first"], luns["thick"]
    uuid = create(h1, definition("had", lun_disk(lun)))
    luns.unmap(lun)
    luns.unmap(other)
    luns.map(other, lun.number)
    expect_refused(luns, h1, lun, uuid, 422, "is another one by now")
    expect_left(h1, lun, uuid, "is another one by now")
    expect_content(luns)


def test_all_paths_lost(luns):
    """The host loses its last path while it is asked, and before; with the paths all is as it was."""
    h1, lun = luns.lab.hosts[0], luns["first"]
    uuid = create(h1, definition("had", lun_disk(lun)))
    with luns.cut(h1, *PORTALS):
        answer = timed_answer(lambda: post(h1, definition("new", lun_disk(luns["thick"], prov=1, size=1))),
                              "create as soon as the paths were lost", 120)
        assert answer.status == 507 and "does not answer" in answer.json()["detail"], answer.text
        expect_refused(luns, h1, lun, uuid, 507, "does not answer")
        expect_tried_again(h1, lun, uuid, "does not answer")
        expect_content(luns)
    wait_emptied(luns, lun)
    expect_content(luns, first="empty")


def test_guest_loses_its_lun(luns, uuid):
    """The storage takes the LUN of a guest away: the VM runs, the API answers, and with the LUN the guest goes on."""
    h1, lun = luns.lab.hosts[0], luns["first"]
    with Counter(luns) as counter:
        luns.unmap(lun)
        begin = time.monotonic()
        while time.monotonic() - begin < 30:
            assert h1.readyz()[0] == 200 and runstate(h1, uuid) == "running"
        luns.map(lun)
        told = wait_told(luns)
    assert runstate(h1, uuid) == "running"
    TIMES.append(f"{counter.longest:6.1f} s  a guest stood still whose LUN was gone for 30 s, {told[2]} errors\n")
    assert h1.api("GET", f"/hosts/{h1.uuid}").json()["problems"] == []


def test_power_loss(luns, uuid):
    """A host loses power: it finds its LUNs again by itself, and its VM boots from them."""
    h1 = luns.lab.hosts[0]
    h1.run(["systemctl", "enable", "multipathd", "open-iscsi"])
    h1.power("reset")
    with luns.lab.timed("have the host ready that lost its power"):
        h1.wait_ready(240)
    for lun in luns.luns:
        luns.wait_found(h1, lun)
    wait_runstate(h1, uuid, "poweroff")
    guest.boot(h1, uuid)
    wait_told(luns)
