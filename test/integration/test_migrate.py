# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations between two real hosts: the VM is on exactly one of them, before, after, and whatever happens meanwhile."""

import contextlib
import os
import pathlib
import re
import signal
import struct
import threading
import time
import uuid as uuids

import pytest
from conftest import (BUILD, PREFIX, RUNSTATES, bridge, create, delete, disk, know_wwid, loop_lun, net, network, oplog,
                      save, vm_told, vmdef, wait_joined, wait_ready)
from lab import PATIENCE, Lab, LabError, wait_for
from test_gossip import send_events, text
from test_kill import jobs

COLD, LIVE = 0, 1
ROUNDS = int(os.environ.get("VIRTX_MIGRATE_ROUNDS", "1"))  # of two migrations, and two by virsh
ABORTS = int(os.environ.get("VIRTX_MIGRATE_ABORTS", "1"))


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}m") as lab:
        wait_joined(lab)
        yield lab


def migrate(host, uuid, target, kind, **more):
    return host.api("POST", f"/vms/{uuid}/runstate/migrate",
                    {"host": target.uuid, "migration_type": kind, **more}, timeout=60)


def ended(host, begun):
    """What an operation that was begun came to, None while it is under way."""
    found = host.api("GET", begun.headers["Location"]).json()
    return found if found["state"] != "started" else None


def operation(host, answer):
    """The same, waited for."""
    assert answer.status == 202, answer.text
    return wait_for("the migration to end", lambda: ended(host, answer), 60)


def domains(host):
    return set(host.virsh("list", "--all", "--uuid").stdout.split())


def check_place(lab, uuid, here, state):
    """The VM is on this host alone: by libvirt, by the registry, and by what every host answers."""
    wanted, told = {"runstate": RUNSTATES.index(state), "host": here.uuid}, {}

    def all_tell():
        told.update({host.name: host.api("GET", f"/vms/{uuid}/runstate").json() for host in lab.hosts})
        return all(wanted.items() <= answer.items() for answer in told.values())
    try:
        wait_for(f"VM {uuid} to be {state} on {here.name}", all_tell, 30)
    except LabError as err:
        raise AssertionError(f"{err}: {told}, libvirt: " + str({
            host.name: host.virsh("domstate", uuid, "--reason", check=False).stdout for host in lab.hosts})) from err
    for host in lab.hosts:
        assert (uuid in domains(host)) == (host is here), host.name
        wait_for("the registry", lambda: os.path.exists(
            f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") == (host is here), 20)
        assert not os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.journal")


def test_cold(lab2):
    one, two = lab2.hosts
    uuid = create(one, vmdef("cold"))
    before = vm_told(one, uuid)["def"]
    for source, target in ((one, two), (two, one)):
        done = operation(source, migrate(source, uuid, target, COLD))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, "poweroff")
        wait_for("its definition", lambda: vm_told(one, uuid)["def"] == before, 20)
    wait_for("the record", lambda: oplog(one, uuid)["VmMigrate"]["status"] == "completed", 20)
    delete(one, uuid)


@pytest.mark.parametrize("kind", [COLD, LIVE])
def test_to_go(lab2, kind):
    """Where no virtxd of this kind ends the VM's record, the source does."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("togo"))
    if kind == LIVE:
        assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    two.stop("virtxd")
    host = (text(two.uuid) + b"".join(text(word) for word in (two.name, "x86_64", "v", "m"))
            + struct.pack("<5h2i", 1, 1, 4, 1, 1, 8192, 0) + text("debian") + text("12"))

    def is_go():
        """Its HIs are believed once the last of the virtxd before it was a while ago."""
        send_events(one, [("HI", host + struct.pack("<q", int(time.time() * 1000)))])
        time.sleep(1)
        return any(item["uuid"] == two.uuid and item["fields"]["memoryavailable"] == 8192
                   for item in one.api("GET", "/hosts").json()["items"])

    wait_for("it to be a Go virtx", is_go, 60)
    done = operation(one, migrate(one, uuid, two, kind))
    assert done["state"] == "completed", done
    for inactive in ([], ["--inactive"])[kind == COLD:]:
        xml = two.virsh("dumpxml", uuid, *inactive).stdout
        record = re.search(r"<virtx-op-VmMigrate:data-op.*?</virtx-op-VmMigrate:data-op>", xml, re.S)[0]
        assert ">completed<" in record and f">{two.uuid}<" in record, record
    two.start("virtxd")
    wait_ready(two)
    check_place(lab2, uuid, two, "running" if kind == LIVE else "poweroff")
    if kind == LIVE:
        off(two, uuid)
    delete(two, uuid)


def test_live(lab2):
    one, two = lab2.hosts
    uuid = create(one, vmdef("live"))
    before = vm_told(one, uuid)["def"]
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    for source, target in ((one, two), (two, one)):
        done = operation(source, migrate(source, uuid, target, LIVE))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, "running")
        wait_for("its definition", lambda: vm_told(one, uuid)["def"] == before, 20)
        assert len(target.sanlock_status()["resources"]) == 2
        assert source.sanlock_status()["resources"] == []
        wait_for("the record", lambda: oplog(target, uuid)["VmMigrate"]["status"] == "completed", 20)
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(one, uuid)


def test_job_killed(lab2):
    """What is told of a migration whose job was killed is where the VM is."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("killed"))
    source, target = one, two
    for kind, delay in ((COLD, 0), (COLD, 0.1), (LIVE, 0), (LIVE, 0.3)):
        if kind == LIVE and delay == 0:
            assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        answer = migrate(source, uuid, target, kind)
        assert answer.status == 202, answer.text
        time.sleep(delay)
        for pid in jobs(source, "vm-migrate"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done = operation(source, answer)
        if done["state"] == "completed":
            source, target = target, source
        else:
            assert "killed by signal 9" in done["msg"], done
        check_place(lab2, uuid, source, "running" if kind == LIVE else "poweroff")
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(one, uuid)


def watch_definition(host, uuid, stop, seen):
    """Collect what the host answers for the VM, as often as it does."""
    while not stop.is_set():
        answer = host.api("GET", f"/vms/{uuid}")
        seen.append((host.name, answer.status, answer.headers.get("Retry-After"),
                     answer.json()["def"] if answer.status == 200 else answer.text))


def test_the_definition_is_whole_all_the_time(lab2):
    """Who asks meanwhile gets all of it, or is told to come again."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("whole", custom=[{"name": "owner", "value": "me"}]))
    before = vm_told(one, uuid)["def"]
    wait_for("the other host to know it", lambda: two.api("GET", f"/vms/{uuid}").status == 200, 20)
    for source, target, kind in ((one, two, COLD), (two, one, LIVE), (one, two, LIVE)):
        if kind == LIVE and source is two:
            assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        stop, seen = threading.Event(), []
        threads = [threading.Thread(target=watch_definition, args=(host, uuid, stop, seen)) for host in lab2.hosts]
        for thread in threads:
            thread.start()
        try:
            done = operation(source, migrate(source, uuid, target, kind))
            time.sleep(1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert done["state"] == "completed", done
        wrong = [answer for answer in seen if answer[1:] != (200, None, before) and answer[1:3] != (503, "1")]
        assert not wrong, f"{len(wrong)} of {len(seen)}, the first {wrong[0]}"
        check_place(lab2, uuid, target, "running" if kind == LIVE else "poweroff")
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(one, uuid)


def refused(answer, status, *words):
    assert answer.status == status, answer.text
    for word in words:
        assert word in answer.json()["detail"], answer.text


def test_saved(lab2):
    """Memory that was saved on one host stays there: the VM does, too."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("saved"))
    save(one, uuid)
    check_place(lab2, uuid, one, "poweroff")
    refused(migrate(one, uuid, two, COLD), 422, "it was saved", "managedsave-remove")
    check_place(lab2, uuid, one, "poweroff")
    one.virsh("managedsave-remove", uuid)
    done = operation(one, migrate(one, uuid, two, COLD))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, two, "poweroff")
    delete(two, uuid)


def test_restored_paused(lab2):
    """A VM that was restored and has not run since can leave, and goes on where it is then."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("restored"))
    save(one, uuid, "/run/restored.save")
    one.virsh("restore", "--paused", "/run/restored.save")
    wait_for("it to be paused", lambda: one.api("GET", f"/vms/{uuid}/runstate").json()["runstate"] ==
             RUNSTATES.index("paused"), 30)
    done = operation(one, migrate(one, uuid, two, LIVE))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, two, "paused")
    answer = two.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 204, answer.text
    check_place(lab2, uuid, two, "running")
    assert two.virsh("qemu-monitor-command", "--hmp", uuid, "info status").stdout.split()[-1] == "running"
    assert two.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(two, uuid)


def test_refused(lab2):
    """Each reason by itself; nothing has changed after it."""
    one, two = lab2.hosts
    with bridge(one, "virtxnone"):
        uuid = create(one, vmdef("no", nets=[net("virtxnone", 1)]))
    refused(migrate(one, uuid, one, COLD), 422, "already")
    refused(migrate(one, uuid, two, LIVE), 422, "poweroff", "running or paused")
    refused(migrate(one, uuid, two, COLD), 422, two.uuid, "no bridge 'virtxnone'")
    refused(migrate(one, uuid, two, 2), 400, "migration_type")
    refused(migrate(one, uuid, two, COLD, bandwidth=1), 400, "bandwidth")
    refused(migrate(one, uuid, two, LIVE, downtime=-1), 400, "downtime")
    refused(migrate(one, uuid, two, LIVE, timeout=1, timeout_action=2), 400, "timeout_action")
    refused(one.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": str(uuids.uuid4())}), 404, "no host")
    refused(one.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": "h2"}), 400, "host")
    refused(one.api("DELETE", f"/vms/{uuid}/runstate/migrate"), 424, "does not migrate")
    assert one.api("GET", f"/vms/{uuid}/runstate/migrate").json()["state"] == 0
    delete(one, uuid)

    with network(one, "virtxnone"):
        uuid = create(one, vmdef("net", nets=[net("virtxnone", 0)]))
    refused(migrate(one, uuid, two, COLD), 422, "virtxnone")
    delete(one, uuid)

    total = one.api("GET", f"/hosts/{one.uuid}").json()["resources"]["memory"]["total"]
    uuid = create(one, vmdef("big", memory={"total": total, "hp": False}))
    refused(migrate(one, uuid, two, COLD), 422, two.uuid, "MiB of memory")
    delete(one, uuid)

    uuid = create(one, vmdef("on"))
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    refused(migrate(one, uuid, two, COLD), 422, "running", "powered off")
    assert domains(one) == {uuid} and domains(two) == set()
    off(one, uuid)
    delete(one, uuid)


def test_lun_that_the_target_lacks(lab2, tmp_path):
    """The target looks before the VM is sent: a LUN that it does not have, or not as that one, keeps the VM here."""
    one, two = lab2.hosts
    with loop_lun(tmp_path, 4) as (link, device):
        serial = os.path.basename(link).removeprefix("scsi-")
        know_wwid(one, device, serial)
        uuid = create(one, vmdef("lun", disks=[disk(link, device=2, bus=1, prov=0, size=4)]))
        refused(migrate(one, uuid, two, COLD), 422, two.uuid, f"lun '{link}' cannot be told from others")
        know_wwid(two, device, f"{serial}2")
        refused(migrate(one, uuid, two, COLD), 422, two.uuid, f"use '{link}2'")
        check_place(lab2, uuid, one, "poweroff")
        know_wwid(two, device, serial)
        done = operation(one, migrate(one, uuid, two, COLD))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, two, "poweroff")
        delete(two, uuid, storage=False)


def test_busy(lab2):
    """Nothing else is done to a VM that migrates."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("busy"))
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    begun = migrate(one, uuid, two, LIVE)
    for method, path in (("DELETE", "/runstate/boot"), ("POST", "/runstate/pause"), ("DELETE", "")):
        refused(one.api(method, f"/vms/{uuid}{path}"), 409)
    assert operation(one, begun)["state"] == "completed"
    check_place(lab2, uuid, two, "running")
    off(one, uuid)
    delete(one, uuid)


def off(host, uuid):
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204


@pytest.fixture
def hugepages():
    """64 pages of 2 MiB for the machine, of which the hosts are made."""
    path = "/proc/sys/vm/nr_hugepages"
    with open(path) as file:
        before = file.read()
    with open(path, "w") as file:
        file.write("96")
    yield
    with open(path, "w") as file:
        file.write(before)


KINDS = ["paused", "hugepages", "cloud-init", "unmanaged iso", "uefi", "bios"]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(lab2, request, kind):
    """Each moves live and back, and keeps its definition."""
    one, two = lab2.hosts
    fields, options = {}, None
    if kind == "hugepages":
        request.getfixturevalue("hugepages")
        fields["memory"] = {"total": 64, "hp": True}
        wait_for("the hugepages to be seen", lambda: all(
            item["fields"]["hpavailable"] >= 64 for host in lab2.hosts
            for item in host.api("GET", "/hosts").json()["items"]), 90, 0.5)
    elif kind == "cloud-init":
        options = {"cloud_init": [{"name": "ci-userdata", "value": "#cloud-config\n"}]}
    elif kind == "unmanaged iso":
        one.run(["mkdir", "-p", "/vms/ds"])
        one.run(["qemu-img", "create", "-q", "-f", "raw", "/vms/ds/cd.iso", "1M"])
        fields["disks"] = [disk("/vms/ds/cd.iso", device=1, bus=2, man=0, prov=0, size=1)]
    elif kind in ("uefi", "bios"):
        fields["firmware"] = int(kind == "uefi")
    state = "paused" if kind == "paused" else "running"
    uuid = create(one, vmdef("kind", **fields))
    before = vm_told(one, uuid)["def"]
    assert one.api("POST", f"/vms/{uuid}/runstate/boot", options).status == 204
    leases = len(one.sanlock_status()["resources"])
    for source, target in ((one, two), (two, one)):
        if state == "paused":
            assert source.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
        done = operation(source, migrate(source, uuid, target, LIVE))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, state)
        wait_for("its definition", lambda: vm_told(one, uuid)["def"] == before, 20)
        if state == "paused":
            refused(migrate(target, uuid, source, LIVE), 422, "resume it first")
            assert target.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
        wait_for("its leases", lambda: len(target.sanlock_status()["resources"]) == leases, 10)
        assert source.sanlock_status()["resources"] == []
        wait_for("the record", lambda: oplog(target, uuid)["VmMigrate"]["status"] == "completed", 20)
    off(one, uuid)
    delete(one, uuid)
    if kind == "unmanaged iso":
        os.unlink(f"{lab2.vms}/ds/cd.iso")


def affinities(host, uuid):
    """The CPUs that each vCPU of a VM may be on, by the kernel."""
    found = {}
    for task in pathlib.Path(f"/proc/{host.qemu_pid(uuid)}/task").iterdir():
        vcpu = re.match(r"CPU (\d+)/", (task / "comm").read_text())
        if vcpu:
            found[int(vcpu[1])] = os.sched_getaffinity(int(task.name))
    return found


@pytest.mark.skipif(os.cpu_count() < 2, reason="there is one CPU")
def test_tuning(lab2):
    """Where somebody has pinned vCPUs they are on the other host, too, and the definition says so."""
    one, two = lab2.hosts
    uuid = create(one, vmdef("tuned", cpudef={"model": "qemu64", "nodes": 1, "sockets": 2, "cores": 1, "threads": 1}))
    for args in (("vcpupin", uuid, "0", "1"), ("vcpupin", uuid, "1", "0"), ("emulatorpin", uuid, "0")):
        one.virsh(*args, "--config")
    tuned = re.search(r"<cputune>.*?</cputune>", one.virsh("dumpxml", "--inactive", uuid).stdout, re.S)[0]
    assert tuned.count("<vcpupin") == 2
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    for source, target in ((one, two), (two, one)):
        assert affinities(source, uuid) == {0: {1}, 1: {0}}
        done = operation(source, migrate(source, uuid, target, LIVE))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, "running")
        assert affinities(target, uuid) == {0: {1}, 1: {0}}
        for inactive in ([], ["--inactive"]):
            assert tuned in target.virsh("dumpxml", uuid, *inactive).stdout
    off(one, uuid)
    done = operation(one, migrate(one, uuid, two, COLD))
    assert done["state"] == "completed", done
    assert tuned in two.virsh("dumpxml", "--inactive", uuid).stdout
    delete(two, uuid)


@pytest.fixture(scope="module")
def counting(lab2, guest_image):
    """A guest that writes a counter to its second disk each second; its uuid."""
    one = lab2.hosts[0]
    os.makedirs(f"{lab2.vms}/ds", exist_ok=True)
    one.run(["qemu-img", "convert", "-O", "qcow2", guest_image, "/vms/ds/counting.qcow2"])
    uuid = create(one, vmdef("counting", osdisk=disk("/vms/ds/counting.qcow2", prov=0),
                             disks=[disk("/vms/ds/counter.raw", size=1)],
                             memory={"total": int(128 * PATIENCE), "hp": False}))
    # QEMU keeps no connection below 5 MiB/s: where all takes longer, there is more to send.
    with open(f"{lab2.vms}/ds/counter.raw", "r+b") as file:
        file.seek(512)
        file.write(f"{int(64 * (PATIENCE - 1))}\n".encode())
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    wait_for("the guest to count", lambda: counter(lab2) > 0, 120)
    yield uuid
    off(one, uuid)
    delete(one, uuid)


def counter(lab):
    with open(f"{lab.vms}/ds/counter.raw", "rb") as file:
        return int(file.read(16).split(b"\n")[0].strip(b"\0") or 0)


class Counting(threading.Thread):
    """Watches the counter: by how much it goes on, and how long it stands still at most."""

    def __init__(self, lab):
        super().__init__()
        self.lab = lab
        self.steps, self.longest, self.running = [], 0, True

    def run(self):
        value, since = counter(self.lab), time.monotonic()
        while self.running:
            now, at = counter(self.lab), time.monotonic()
            self.longest = max(self.longest, at - since)
            if now != value:
                self.steps.append(now - value)
                value, since = now, at
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.join()


def detach_agent(host, uuid):
    """What QEMU does not migrate."""
    xml = host.virsh("dumpxml", uuid).stdout
    agent = xml[xml.index("<channel type='qemu-vdagent'>"):]
    host.run(["tee", "/vms/agent.xml"], input=agent[:agent.index("</channel>") + len("</channel>")])
    host.virsh("detach-device", uuid, "/vms/agent.xml", "--live")
    wait_for("the agent's channel to be gone", lambda: "vdagent" not in host.virsh("dumpxml", uuid).stdout, 10)


def virsh_migrate(source, target, uuid):
    """Seconds that virsh takes for the same."""
    detach_agent(source, uuid)
    began = time.monotonic()
    source.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", "--auto-converge", "--parallel",
                 "--parallel-connections", "1", "--abort-on-error", "--unsafe", uuid,
                 f"qemu+tcp://{target.addr}/system", f"tcp://{target.addr}", timeout=120)
    return time.monotonic() - began


def test_counter(lab2, counting):
    """Back and forth while it counts, by virtxd and by virsh in turn."""
    one, two = lab2.hosts
    ours, theirs = [], []
    with Counting(lab2) as watch:
        for n in range(ROUNDS):
            for source, target, times in ((one, two, ours), (two, one, ours), (one, two, theirs), (two, one, theirs)):
                began = time.monotonic()
                if times is ours:
                    done = operation(source, migrate(source, counting, target, LIVE))
                    times.append(time.monotonic() - began)
                    assert done["state"] == "completed", done
                else:
                    times.append(virsh_migrate(source, target, counting))
                check_place(lab2, counting, target, "running")
                wait_for("the agent's channel", lambda: "vdagent" in target.virsh("dumpxml", counting).stdout, 30)
                before = counter(lab2)
                wait_for("the guest to count on", lambda: counter(lab2) > before, 30)
    print(f"{len(ours)} migrations: {sum(ours):.1f} s, virsh {sum(theirs):.1f} s, ratio {sum(ours) / sum(theirs):.3f}; "
          f"counted by {set(watch.steps)}, stood still for {watch.longest:.2f} s at most")
    assert set(watch.steps) <= {1, 2}


@pytest.mark.parametrize("moment", ["first", "middle", "last"])
def test_abort(lab2, counting, moment):
    """The VM goes on where it is."""
    one, two = lab2.hosts
    for _ in range(ABORTS):
        began = time.monotonic()
        begun = migrate(one, counting, two, LIVE, bandwidth=8)
        assert begun.status == 202, begun.text
        if moment != "first":
            share = 0.5 if moment == "middle" else 0.1

            def is_near(share=share):
                if ended(one, begun):
                    return True
                answer = one.api("GET", f"/vms/{counting}/runstate/migrate")
                if answer.status != 200:  # it has left meanwhile
                    return False
                progress = answer.json()["progress"]
                return 0 < progress["remaining"] <= share * progress["total"]
            wait_for("the transfer", is_near, 60)

        def aborted():
            answer = one.api("DELETE", f"/vms/{counting}/runstate/migrate")
            if answer.status in (424, 503):
                # libvirt has not begun, or it was too late: then the VM has moved, or just left.
                return ended(one, begun)
            assert answer.status == 204, answer.text
            return True
        wait_for("the abort", aborted, 30)
        done = operation(one, begun)
        if done["state"] == "completed":
            assert moment == "last"
            assert operation(two, migrate(two, counting, one, LIVE))["state"] == "completed"
        else:
            assert "operation aborted" in done["msg"] or "canceled by client" in done["msg"], done
            print(f"aborted {time.monotonic() - began:.2f} s after it began")
        check_place(lab2, counting, one, "running")
        before = counter(lab2)
        wait_for("the guest to count on", lambda: counter(lab2) > before, 30)
        wait_for("the agent's channel", lambda: "vdagent" in one.virsh("dumpxml", counting).stdout, 30)
