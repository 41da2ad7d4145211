# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the storage at the steps of create, update and delete: the request fails with the cause, all that was made
is undone, and a second try works."""

import glob
import hashlib
import os
import re
import signal
import threading
import time

import pytest
from conftest import BUILD, PREFIX, clear, create, disk, image_names, vm_told, vmdef, wait_ready, wait_runstate
from lab import Lab, wait_for
from test_kill import jobs

FREEZE = float(os.environ.get("VIRTX_FREEZE_SECONDS", "12"))

# qemu-img, but for the verb that a file names ("hang.create"): that waits until the file is gone, or one that is told to
# go on by its process id ("go.4711"), or while it is itself the one that hangs ("hang.4711"). It writes nothing and starts
# nothing, as virtxd lets qemu-img do neither: who counts the calls is the test.
QEMU_IMG = """#!/usr/bin/perl
my ($dir) = $0 =~ m{(.*)/};
my $verb = "$dir/hang.$ARGV[0]";
select(undef, undef, undef, 0.05) while -e "$dir/hang.$$" || -e $verb && !-e "$dir/go.$$";
exec "/usr/bin/qemu-img", @ARGV;
"""

# A freeze that outlasts sanlock's patience with each step takes minutes: by default there is one of each kind.
FULL = FREEZE >= 60
STEPS = ["create 1", "info 1", "map 2"]


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """The directory of the qemu-img that can be made to wait."""
    path = tmp_path_factory.mktemp("bin")
    (path / "qemu-img").write_text(QEMU_IMG, encoding="utf-8")
    (path / "qemu-img").chmod(0o755)
    return path


@pytest.fixture(scope="module")
def lab(stub):
    """A host whose storage can be filled and frozen."""
    before = os.environ.get("VIRTX_WRAP")
    os.environ["VIRTX_WRAP"] = f"env PATH={stub}:/usr/sbin:/usr/bin:/sbin:/bin {before or ''}"
    try:
        with Lab(1, build_dir=BUILD, name=f"{PREFIX}f", storage="ext4", size_mib=256) as made:
            wait_ready(made.hosts[0])
            yield made
    finally:
        if before is None:
            del os.environ["VIRTX_WRAP"]
        else:
            os.environ["VIRTX_WRAP"] = before


@pytest.fixture
def host(lab):
    wait_ready(lab.hosts[0], 120)
    yield lab.hosts[0]
    if os.path.exists(f"{lab.vms}/ballast"):
        lab.drain()
    clear(lab.hosts[0])
    wait_for("all to be accounted for", lambda: left(lab) == [], 60)


def let_go(stub):
    for path in [*stub.glob("hang.*"), *stub.glob("go.*")]:
        path.unlink()


def reached(stub, verb, call):
    """Have the calls before that one go on, and those after it; its process id, where it stands."""
    seen = []

    def standing():
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            pid = int(path.split("/")[2])
            try:
                with open(path, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[1:3] != [os.fsencode(stub / "qemu-img"), verb.encode()] or pid in seen:
                continue
            seen.append(pid)
            if len(seen) == call:
                (stub / f"hang.{pid}").touch()
                (stub / f"hang.{verb}").unlink()
                return pid
            (stub / f"go.{pid}").touch()
        return None
    return wait_for("qemu-img", standing, 20)


def left(lab, keep=()):
    """What is on the storage beside that of the VMs called keep (with a disk of their name each)."""
    locks = {hashlib.md5(f"{name}.qcow2".encode()).hexdigest() for name in keep}
    own = [name for name in os.listdir(f"{lab.vms}/lock") if name.startswith("vm-")]
    if len(own) == len(keep):
        locks.update(own)
    found = [f"lock/{name}" for name in os.listdir(f"{lab.vms}/lock")
             if name != "__VIRTX__DISKS__" and name not in locks]
    found += [f"ds/{name}" for name in image_names(lab)
              if name not in [f"{kept}.qcow2" for kept in keep]]
    found += [name for name in os.listdir(f"{lab.vms}/xml/{lab.hosts[0].uuid}")
              if name not in ("lockid", "seen") and not name.endswith(".xml")]
    return found


DISKS = [disk("/vms/ds/f1.qcow2", size=4), disk("/vms/ds/f2.qcow2", size=4)]


class Request(threading.Thread):
    """One request, on its way; answer() waits for it."""

    def __init__(self, host, method, path, body):
        super().__init__()
        self.call = lambda: host.api(method, path, body, timeout=180)
        self.result = None
        self.start()

    def run(self):
        self.result = self.call()

    def answer(self):
        self.join(200)
        assert not self.is_alive()
        return self.result


class Operation:
    """A create or an update that makes two disks."""

    def __init__(self, kind, host):
        self.kind, self.host = kind, host
        self.uuid = create(host, vmdef("base", osdisk=disk("/vms/ds/base.qcow2", size=1))
                           ) if kind == "update" else None
        self.keep = ["base"] if self.uuid else []

    def begin(self):
        if self.kind == "create":
            definition = vmdef("fault", osdisk=DISKS[0], disks=DISKS[1:])
            return Request(self.host, "POST", "/vms", {"vmdef": definition, "host": ""})
        definition = self.host.api("GET", f"/vms/{self.uuid}").json()["def"]
        assert definition["disks"] == []
        return Request(self.host, "PUT", f"/vms/{self.uuid}",
                       {"vmdef": {**definition, "disks": DISKS}, "deletestorage": True})

    def succeeds(self):
        answer = self.begin().answer()
        assert answer.status in (201, 204), answer.text


def begin(kind, host, stub, step):
    """An operation that stands at the step."""
    let_go(stub)
    made = Operation(kind, host)
    verb, call = step.split()
    # Nor is it qemu-img of a look at the disks that were there before.
    wait_for("earlier looks to end", lambda: not jobs(host, "inspect"), 20)
    (stub / f"hang.{verb}").touch()
    request = made.begin()
    return made, request, reached(stub, verb, int(call))


@pytest.mark.parametrize("kind", ["create", "update"])
@pytest.mark.parametrize("at", STEPS)
def test_qemu_img_killed(lab, host, stub, kind, at):
    made, request, pid = begin(kind, host, stub, at)
    os.kill(pid, signal.SIGKILL)
    answer = request.answer()
    let_go(stub)
    assert answer.status == 507, answer.text
    assert "qemu-img" in answer.json()["detail"] and "signal 9" in answer.text, answer.text
    assert left(lab, made.keep) == []
    made.succeeds()


@pytest.mark.parametrize("kind", ["create", "update"])
@pytest.mark.parametrize("at", ["create 1", "create 2"])
def test_disk_full(lab, host, stub, kind, at):
    made, request, _ = begin(kind, host, stub, at)
    lab.fill()
    let_go(stub)
    try:
        answer = request.answer()
        assert answer.status == 507, answer.text
        assert "No space left on device" in answer.json()["detail"], answer.text
        wait_for("all to be undone", lambda: left(lab, made.keep) == [], 60)
        # And while it stays full, nothing is begun.
        answer = made.begin().answer()
        assert answer.status == 507 and "No space left on device" in answer.text, answer.text
        wait_for("all to be undone", lambda: left(lab, made.keep) == [], 60)
    finally:
        lab.drain()
    made.succeeds()


def test_full_under_a_guest(lab, host, guest_image):
    """A guest that cannot write stands still, the reason names the disk, and it goes on once there is room."""
    host.run(["qemu-img", "convert", "-O", "qcow2", guest_image, "/vms/ds/writer.qcow2"])
    uuid = create(host, vmdef("writer", osdisk=disk("/vms/ds/writer.qcow2", prov=0),
                              disks=[disk("/vms/ds/grows.qcow2")], memory={"total": 128, "hp": False}))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    lab.fill(0)
    try:
        wait_runstate(host, uuid, "paused", 120)
        why = "I/O error on disk 'vdb': no space left"
        wait_for("the reason", lambda: vm_told(host, uuid)["runinfo"]["reason"] == why, 10)
        assert host.api("GET", f"/vms/{uuid}/runstate").json()["reason"] == why
        assert why in host.virtx("get", "vm", uuid).stdout
        assert why in host.virtx("get", "runstate", "vm", uuid).stdout
    finally:
        lab.drain()
    answer = host.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 204, answer.text
    assert host.api("GET", f"/vms/{uuid}/runstate").json() == {"runstate": 4, "host": host.uuid, "reason": "", "last": 0}


def test_frozen_until_sanlock_gives_up(lab, host):
    """sanlock ends the VM, which is its reason while the storage hangs and after."""
    uuid = create(host, vmdef("frozen"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    lab.freeze()
    try:
        wait_for("the reason", lambda: host.api("GET", f"/vms/{uuid}/runstate").json()["reason"].startswith(
            "its leases were lost: "), 120)
    finally:
        lab.thaw()
    wait_ready(host, 120)
    shown = vm_told(host, uuid)["runinfo"]
    assert shown["runstate"] in (2, 9) and shown["reason"].startswith("its leases were lost: "), shown


def test_delete_when_full(lab, host):
    """The way out of a full disk."""
    uuids = [create(host, vmdef("full", osdisk=disk("/vms/ds/full1.qcow2", size=8, prov=2))),
             create(host, vmdef("full", osdisk=disk("/vms/ds/full2.qcow2", size=8, prov=2)))]
    lab.fill(0)
    try:
        for uuid in uuids:
            answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
            assert answer.status == 204, answer.text
        assert left(lab) == []
    finally:
        lab.drain()


@pytest.mark.parametrize("kind, at", [(kind, at) for kind in ("create", "update") for at in ("create 1", "map 2")]
                         if FULL else [("create", "create 1"), ("update", "map 2")])
def test_sanlock_killed(lab, host, stub, kind, at):
    """The lease is lost in the middle of the work under it."""
    made, request, _ = begin(kind, host, stub, at)
    host.kill("sanlock")
    let_go(stub)
    answer = request.answer()
    assert answer.status in (503, 507) and "sanlock" in answer.json()["detail"], answer.text
    assert "not all is undone yet" in answer.json()["detail"]
    host.start("sanlock")
    wait_ready(host, 120)
    wait_for("all to be undone", lambda: left(lab, made.keep) == [], 60)
    made.succeeds()


def ask_stopped(host, name, *args):
    """A request whose job finds sanlock stopped: libvirtd holds it until then, as virtxd takes on nothing once it knows."""
    host.signal("libvirtd", signal.SIGSTOP)
    try:
        request = Request(host, *args)
        wait_for("the job", lambda: jobs(host, name), 20)
        host.signal("sanlock", signal.SIGSTOP)
    finally:
        host.signal("libvirtd", signal.SIGCONT)
    return request


def test_sanlock_killed_before_delete(lab, host):
    """The VM is gone, or it is not; what could not be deleted with it is told, and deleted when sanlock is back."""
    uuid = create(host, vmdef("gone", osdisk=disk("/vms/ds/gone.qcow2", size=1)))
    request = ask_stopped(host, "vm-delete", "DELETE", f"/vms/{uuid}", {"deletestorage": True})
    host.kill("sanlock")
    answer = request.answer()
    if answer.status == 200:
        assert "sanlock" in answer.headers["Warning"] and "tried again" in answer.headers["Warning"]
    else:
        assert answer.status == 503 and "sanlock" in answer.json()["detail"], answer.text
    host.start("sanlock")
    wait_ready(host, 120)
    deleted(lab, host, uuid)


def test_sanlock_killed_before_update(lab, host):
    """A disk that an update could not let go of is told, and goes with its image when sanlock is back."""
    uuid = create(host, vmdef("kept", osdisk=disk("/vms/ds/kept.qcow2", size=1), disks=DISKS))
    definition = vm_told(host, uuid)["def"]
    request = ask_stopped(host, "vm-update", "PUT", f"/vms/{uuid}",
                          {"vmdef": {**definition, "disks": []}, "deletestorage": True})
    wait_for("the update in libvirt", lambda: "f1.qcow2" not in host.virsh("dumpxml", uuid).stdout, 30)
    host.kill("sanlock")
    answer = request.answer()
    assert answer.status == 200 and "tried again" in answer.headers["Warning"], (answer.text, answer.headers)
    assert left(lab, ["kept"])
    # What comes next does not forget it.
    definition = vm_told(host, uuid)["def"]
    answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "name": "renamed"}, "deletestorage": True})
    assert answer.status in (200, 503), answer.text
    host.start("sanlock")
    wait_ready(host, 120)
    wait_for("all to be gone", lambda: left(lab, ["kept"]) == [], 60)
    deleted(lab, host, uuid)


def deleted(lab, host, uuid):
    """Delete it again: it is gone, or goes now, and nothing of it stays."""
    assert host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status in (204, 404)
    wait_for("all to be gone", lambda: left(lab) == [], 60)


class Freeze:
    """Storage that hangs; GET /vms is answered meanwhile."""

    def __init__(self, lab, host):
        self.lab, self.host = lab, host

    def __enter__(self):
        self.lab.freeze()
        return self

    def __exit__(self, *_):
        ends = time.monotonic() + FREEZE
        slowest = 0
        try:
            while time.monotonic() < ends:
                started = time.monotonic()
                assert self.host.api("GET", "/vms").status == 200
                slowest = max(slowest, time.monotonic() - started)
                time.sleep(0.2)
        finally:
            self.lab.thaw()
        assert slowest < FREEZE / 2


@pytest.mark.parametrize("kind, at", [(kind, at) for kind in ("create", "update") for at in STEPS]
                         if FULL else [("update", "info 1")])
def test_frozen(lab, host, stub, kind, at):
    """Who asks gets an answer, and what cannot be ended is undone when the storage is back."""
    made, request, _ = begin(kind, host, stub, at)
    with Freeze(lab, host):
        let_go(stub)
    answer = request.answer()
    wait_ready(host, 180)
    if answer.status not in (201, 204):
        assert answer.status in (503, 504, 507), answer.text
        assert re.search("lease|sanlock|lockspace|does not end", answer.json()["detail"]), answer.text
        wait_for("all to be undone", lambda: left(lab, made.keep) == [], 90)
        made.succeeds()


@pytest.mark.parametrize("storage", [True, False] if FULL else [True])
def test_frozen_delete(lab, host, storage):
    uuid = create(host, vmdef("cold", osdisk=disk("/vms/ds/cold.qcow2", size=1)))
    with Freeze(lab, host):
        request = Request(host, "DELETE", f"/vms/{uuid}", {"deletestorage": storage})
    answer = request.answer()
    wait_ready(host, 180)
    if answer.status == 200:
        assert "tried again" in answer.headers["Warning"], answer.headers
    elif answer.status != 204:
        assert answer.status in (503, 507) and "lease" in answer.json()["detail"], answer.text
    if not storage:
        wait_for("the lease to be gone", lambda: left(lab) == ["ds/cold.qcow2"], 60)
        os.unlink(f"{lab.vms}/ds/cold.qcow2")
    deleted(lab, host, uuid)
