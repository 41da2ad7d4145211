# SPDX-License-Identifier: GPL-2.0-or-later
"""The lease that each VM has of its own: it keeps a VM from running twice, whatever disks it has, and comes and goes with
it."""

import json
import os
import re
import shutil
import signal
import time

import pytest
from conftest import (BUILD, clear, create, delete, disk, image_names, runstate, vm_told, vmdef, wait_ready,
                      wait_runstate)
from disks import resource
from lab import wait_for, wrapped
from repairs import problems, repair, wait_problem
from test_autostart import is_over, lose_power, start
from test_autostart import problems as not_started
from test_migrate import COLD, LIVE, domains, migrate, operation
from test_want import wait_want
from test_whose import define, definition, job
from two_hosts import lab2, two  # noqa: F401

OLD = 3600  # seconds


@pytest.fixture
def free(lab2):
    """A Vmdef of a VM that boots from a CD and has no disk: QEMU's own lock, which both hosts of one kernel share, keeps it
    from nothing."""
    path = f"{lab2.vms}/ds/free.iso"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
    os.chmod(path, 0o644)
    yield vmdef("free", osdisk=disk("/vms/ds/free.iso", device=1, bus=2, man=0, prov=0, size=0))
    os.unlink(path)


def leases(host):
    """The names of the leases that sanlock keeps."""
    return sorted(line.split(":")[1] for line in host.sanlock_status()["resources"])


def folder(lab, uuid):
    return f"{lab.vms}/lock/vm-{uuid}"


def without(xml, uuid):
    """The definition as it was before VMs had a lease of their own."""
    found = re.sub(rf"\s*<lease>\s*<lockspace>[^<]*</lockspace>\s*<key>vm-{uuid}</key>.*?</lease>", "", xml, flags=re.S)
    assert found != xml and f"vm-{uuid}" not in found
    return found


def make_older(lab, host, uuid):
    """A VM that is off becomes one from before VMs had a lease of their own."""
    xml = without(definition(host, uuid), uuid)
    define(host, xml)
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml", "w", encoding="utf-8") as file:
        file.write(xml)
    shutil.rmtree(folder(lab, uuid))


def is_leased(lab, host, uuid):
    """The definition, the registry and the storage have it."""
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml", encoding="utf-8") as file:
        seen = [f"<key>vm-{uuid}</key>" in text for text in (definition(host, uuid), file.read())]
    seen.append(os.path.exists(f"{folder(lab, uuid)}/vm-{uuid}"))
    assert len(set(seen)) == 1, seen
    return seen[0]


def boot(host, uuid):
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status in (200, 204), answer.text
    return answer


def end(host, uuid):
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")


def test_runs_once(lab2, two, free):
    """Without managed disks it cannot be started on another host by virsh, running or paused; when it is off it can."""
    here, there = two
    uuid = create(here, free)
    boot(here, uuid)
    assert leases(here) == [f"vm-{uuid}"]
    here.run(wrapped([f"{BUILD}/lvbcheck/virtx-check-lvb", f"/vms/lock/vm-{uuid}/vm-{uuid}", uuid]))
    xml = definition(here, uuid)
    there.stop("virtxd")
    define(there, xml)
    try:
        for _ in range(2):
            done = there.virsh("start", uuid, check=False)
            assert done.returncode != 0 and "Lease is held by another host" in done.stderr, done
            assert uuid not in there.virsh("list", "--uuid").stdout
            answer = here.api("POST", f"/vms/{uuid}/runstate/pause")
            assert answer.status in (204, 424), answer.text
        assert leases(here) == [f"vm-{uuid}"]
        end(here, uuid)
        wait_for("its lease to be free", lambda: leases(here) == [], 10)
        there.virsh("start", uuid)
        # Nor does virtxd start it then.
        answer = here.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status >= 400 and runstate(here, uuid) == "poweroff", answer.text
        there.virsh("destroy", uuid)
    finally:
        there.virsh("destroy", uuid, check=False)
        there.virsh("undefine", uuid, check=False)
        there.start("virtxd")
    wait_ready(there)
    wait_for("its lease to be free", lambda: leases(there) == [], 10)
    delete(here, uuid)
    assert not os.path.exists(folder(lab2, uuid))


def test_resumed_after_others(lab2, two, free):
    """Another host has run it while it was paused by virsh."""
    here, there = two
    uuid = create(here, free)
    boot(here, uuid)
    here.virsh("suspend", uuid)
    name = f"vm-{uuid}"
    there.run(["sanlock", "client", "command", "-r", f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0", "-c", "/bin/true"])
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 409 and "the lease of the VM itself was taken by another since" in answer.text, answer.text
    end(here, uuid)


@pytest.mark.parametrize("way", ["boot", "update", "cold migration"])
def test_older_vm_gets_it(lab2, two, free, way):
    """One from before has none until it is next off; what it runs without is told."""
    here, there = two
    uuid = create(here, free)
    make_older(lab2, here, uuid)
    here.virsh("start", uuid)
    problem = wait_problem(here, "vm-without-lease", uuid)[0]
    assert "the VM is on without any lease" in problem["detail"], problem
    assert problem["path"] == f"/vms/lock/vm-{uuid}/vm-{uuid}"
    assert repair(here, apply=True)["vm-without-lease", uuid]["action"] == "none"
    done = operation(here, migrate(here, uuid, there, LIVE))
    assert done["state"] == "completed", done
    here, there = there, here
    assert not is_leased(lab2, here, uuid) and leases(here) == []
    end(here, uuid)
    assert not is_leased(lab2, here, uuid)
    if way == "update":
        answer = here.api("PUT", f"/vms/{uuid}", {"vmdef": {**free, "name": "renamed"}})
        assert answer.status == 204, (answer.text, answer.headers)
    elif way == "cold migration":
        done = operation(here, migrate(here, uuid, there, COLD))
        assert done["state"] == "completed", done
        here, there = there, here
        wait_for("it to be here", lambda: uuid in domains(here), 20)
    else:
        assert boot(here, uuid).status == 204
    assert is_leased(lab2, here, uuid)
    if way != "boot":
        assert boot(here, uuid).status == 204
    assert leases(here) == [f"vm-{uuid}"]
    # It goes with it to other hosts.
    done = operation(here, migrate(here, uuid, there, LIVE))
    assert done["state"] == "completed", done
    wait_for("its lease to be there", lambda: (leases(here), leases(there)) == ([], [f"vm-{uuid}"]), 10)
    wait_for("no problem", lambda: not problems(there, "vm-without-lease"), 20)
    end(there, uuid)
    wait_for("the delete", lambda: there.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204, 20)
    assert not os.path.exists(folder(lab2, uuid))


def test_too_many_disks(lab2, two):
    """A new VM has six managed disks at most; one from before keeps its seven, and is told of it."""
    here, _ = two
    disks = [disk(f"/vms/ds/many{n}.raw", size=1) for n in range(6)]
    answer = here.api("POST", "/vms", {"vmdef": vmdef("many", disks=disks), "host": here.uuid})
    assert answer.status == 400 and answer.json()["detail"].startswith("vmdef.disks: 7 managed disks, "), answer.text
    uuid = create(here, vmdef("many", disks=disks[:5]))
    answer = here.api("PUT", f"/vms/{uuid}", {"vmdef": vmdef("many", disks=disks)})
    assert answer.status == 400 and "the VM has one of its own" in answer.json()["detail"], answer.text
    make_older(lab2, here, uuid)
    here.stop("virtxd")
    assert job(here, "vm-update", uuid, **{"def": vmdef("many", disks=disks)}) is None
    here.start("virtxd")
    wait_ready(here)
    assert "its 7 managed disks" in wait_problem(here, "vm-without-lease", uuid)[0]["detail"]
    for _ in range(2):
        answer = boot(here, uuid)
        assert answer.status == 200 and "has no lease of its own" in answer.headers["Warning"], answer.headers
        assert len(leases(here)) == 7 and f"vm-{uuid}" not in leases(here)
        end(here, uuid)
    shown = vm_told(here, uuid)["def"]
    answer = here.api("PUT", f"/vms/{uuid}", {"vmdef": shown})
    assert answer.status == 200 and "has no lease of its own" in answer.headers["Warning"], answer.text
    # With one less it gets it.
    shown["disks"].pop()
    answer = here.api("PUT", f"/vms/{uuid}", {"vmdef": shown, "deletestorage": True})
    assert answer.status == 204 and is_leased(lab2, here, uuid), answer.text
    wait_for("no problem", lambda: not problems(here, "vm-without-lease"), 20)


def test_lost(lab2, two, free):
    """It is told, and made anew by a repair; of a VM that is no more it is deleted by one."""
    here, _ = two
    uuid = create(here, free)
    shutil.rmtree(folder(lab2, uuid))
    problem = wait_problem(here, "lease-missing", uuid)[0]
    assert f"lease 'vm-{uuid}' cannot be used" in problem["detail"], problem
    answer = here.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 507 and "'virtx repair' makes it anew" in answer.text, answer.text
    item = wait_for("the repair", lambda: (i := repair(here, apply=True)["lease-missing", uuid])["done"] and i, 30)
    assert item["action"] == "make-lease" and is_leased(lab2, here, uuid)
    boot(here, uuid)
    end(here, uuid)
    here.virsh("undefine", uuid)
    os.unlink(f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml")
    wait_for("the API to forget it", lambda: here.api("GET", f"/vms/{uuid}").status == 404, 60)
    os.utime(folder(lab2, uuid), (time.time() - OLD,) * 2)
    wait_for("the repair", lambda: repair(here, apply=True).get(("lease-without-vm", uuid), {}).get("done"), 30)
    assert not os.path.exists(folder(lab2, uuid))


def test_brought_back(lab2, two, free):
    """After a boot of the host one from before gets it; one that has lost it is told of, and not booted without it."""
    here, _ = two
    fields = [{"name": "ha", "value": "restart"}]
    older, lost = [create(here, {**free, "name": name, "custom": fields}) for name in ("older", "lost")]
    make_older(lab2, here, older)
    here.virsh("start", older)
    wait_want(lab2, here, older, "on")
    boot(here, lost)
    lose_power(here, [older, lost])
    shutil.rmtree(folder(lab2, lost))
    start(here)
    wait_runstate(here, older, "running")
    wait_for("the end", lambda: is_over(here), 60)
    assert is_leased(lab2, here, older) and leases(here) == [f"vm-{older}"]
    assert list(not_started(here)) == [lost] and "'virtx repair' makes it anew" in not_started(here)[lost]
    assert runstate(here, lost) in ("poweroff", "crashed")
    wait_for("the repair", lambda: repair(here, apply=True)["lease-missing", lost]["done"], 30)
    boot(here, lost)
    wait_for("no problem", lambda: not_started(here) == {}, 60)
    assert leases(here) == sorted(f"vm-{uuid}" for uuid in (older, lost))


# What a job does to files and to other processes: it is killed as it begins each of these calls.
CALLS = ("mkdir", "mkdirat", "renameat", "unlink", "unlinkat", "fsync", "pwrite64", "sendto")


def killed_at(host, call, n, name, uuid, **more):
    """Run a job by hand that is killed at its call number n of that name: False where it came to its end before."""
    host.wait_jobs()
    env = {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx", "host": host.uuid, "io_timeout": 1}
    done = host.run(["strace", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}", "-o", "/dev/null",
                     f"{BUILD}/virtxd/virtxd", "--job", name], input=json.dumps({"env": env, "uuid": uuid, **more}),
                    check=False, env={"ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done
    return done.returncode != 0


def left(lab, host):
    """Journals and half-made leases."""
    return [name for path in (f"{lab.vms}/lock", f"{lab.vms}/xml/{host.uuid}") for name in os.listdir(path)
            if name.startswith(".vm-") or name.endswith(".journal")]


class Victim:
    """A VM without managed disks on which one kind of job is killed, again and again from where it has to begin."""

    def __init__(self, lab, host, name, definition):
        self.lab, self.host, self.name, self.definition = lab, host, name, definition
        self.more = {"vm-create": {"def": definition}, "vm-update": {"def": {**definition, "name": "renamed"}}}.get(name, {})
        self.uuid = "00000000-1111-4222-8333-00000000ea5e"
        self.begin()

    def is_there(self):
        return os.path.exists(f"{self.lab.vms}/xml/{self.host.uuid}/{self.uuid}.xml")

    def begin(self):
        """As it is before the job: not there, there, or one from before."""
        self.host.virsh("destroy", self.uuid, check=False)
        if self.name == "vm-create":
            assert not self.is_there() or job(self.host, "vm-delete", self.uuid) is None
        elif not self.is_there():
            assert job(self.host, "vm-create", self.uuid, **{"def": self.definition}) is None
        if self.name in ("vm-update", "vm-boot") and f"<key>vm-{self.uuid}</key>" in definition(self.host, self.uuid):
            make_older(self.lab, self.host, self.uuid)

    def heal(self):
        """What libvirtd was asked to do goes on for a moment, and is waited for."""
        def healed():
            failure = job(self.host, "vm-heal", self.uuid)
            assert failure is None or failure[0] == 409, failure
            return failure is None

        wait_for("the healing", healed, 30)

    def check(self):
        """All of one mind: it is there with its lease, or neither is. What a boot made may not be named yet."""
        assert (self.uuid in domains(self.host)) == self.is_there()
        assert os.path.exists(folder(self.lab, self.uuid)) <= self.is_there()
        if self.name == "vm-boot":
            return
        assert left(self.lab, self.host) == []
        if self.is_there():
            is_leased(self.lab, self.host, self.uuid)

    def kill(self, call):
        """At each call of that name, and then not: how often it was."""
        kills = 0
        while killed_at(self.host, call, kills + 1, self.name, self.uuid, **self.more):
            kills += 1
            self.heal()
            self.check()
            self.begin()
            assert kills < 100
        self.check()
        assert left(self.lab, self.host) == []
        assert os.path.exists(folder(self.lab, self.uuid)) == (self.name != "vm-delete")
        assert self.name == "vm-delete" or is_leased(self.lab, self.host, self.uuid)
        self.begin()
        return kills


@pytest.mark.parametrize("name", ["vm-create", "vm-delete", "vm-update", "vm-boot"])
def test_killed_at_each_step(lab2, two, free, name):
    """Whenever the job is killed the next one heals it: the VM is there with its lease, or neither is."""
    here, _ = two
    here.stop("virtxd")
    try:
        victim = Victim(lab2, here, name, free)
        kills = {call: victim.kill(call) for call in CALLS}
    finally:
        here.start("virtxd")
    print(name, "was killed at", kills)
    assert sum(kills.values()) > 10
    wait_ready(here)
    clear(here)
    assert os.listdir(f"{lab2.vms}/lock") == ["__VIRTX__DISKS__"]
    assert image_names(lab2) == ["free.iso"]


def test_beside_disks(lab2, two):
    """With a managed disk both are held, and both go."""
    here, _ = two
    uuid = create(here, vmdef("both"))
    boot(here, uuid)
    assert leases(here) == sorted([resource("/vms/ds/both.qcow2"), f"vm-{uuid}"])
    end(here, uuid)
    wait_for("the delete", lambda: here.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204, 20)
    assert os.listdir(f"{lab2.vms}/lock") == ["__VIRTX__DISKS__"]
