# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of three hosts do what the API offers while daemons and jobs are killed, links go down and the storage hangs.
In the end every answer was true, all hosts show the same, and nothing is left that nobody accounts for.
VIRTX_RANDOM_SECONDS is how long that goes on, VIRTX_RANDOM_SEEDS how often, VIRTX_RANDOM_SEED the first seed."""

import hashlib
import json
import os
import random
import re
import signal
import threading
import time

import pytest
from conftest import BUILD, PREFIX, RUNSTATES, disk, image_names, vmdef, wait_ready
from lab import PATIENCE, Lab, LabError, wait_for
from lab.net import pids
from test_kill import jobs

SECONDS = float(os.environ.get("VIRTX_RANDOM_SECONDS", "30"))
SEEDS = int(os.environ.get("VIRTX_RANDOM_SEEDS", "1"))
SEED = int(os.environ.get("VIRTX_RANDOM_SEED", "0")) or random.randrange(1 << 30)
SETTLE = 30  # seconds from the end of the last fault until all views are equal
VMS = 2      # of each client

# Answers that leave open what has become of it, or say that it goes on.
OPEN = (500, 502, 503, 504)
GOES_ON = re.compile("not over yet|not all is undone|goes on|being found out|tried again|under way", re.IGNORECASE)
OFF = ("poweroff", "crashed")


@pytest.fixture(scope="module")
def lab():
    """Three hosts whose storage can be frozen, and which end the guests that have lost their leases."""
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}r", storage="ext4",
             config={"sanlock": {"kill_unprotected": "yes"}}) as made:
        for host in made.hosts:
            wait_ready(host)
        yield made


class Vm:
    """What its only client knows of a VM."""

    def __init__(self, name):
        self.name = name
        self.uuid = None
        self.state = "absent"  # absent, off, running, paused; None: an answer left it open
        self.history = []


class Opened:
    """An operation whose end the answer did not tell."""

    def __init__(self, operation, vm, before, after):
        self.operation, self.vm, self.before, self.after = operation, vm, before, after
        self.nth = len(vm.history)

    def expected(self, state):
        """The VM's state by what the operation says of its end; None where something came after, or nothing is known."""
        if self.nth != len(self.vm.history):
            return None
        return self.after if state == "completed" else self.before


class Run:
    """One run from one seed."""

    def __init__(self, lab, seed):
        self.lab = lab
        self.seed = seed
        self.ends = time.monotonic() + SECONDS
        self.lethal = False  # guests may have been ended by a fault
        self.retired = []  # VMs that no client uses any more
        self.opened = []   # what an answer left open
        self.clients = [Client(self, n) for n in range(3)]
        self.faults = Faults(self)
        self.watch = Watch(self)

    def vms(self):
        return [vm for client in self.clients for vm in client.vms] + self.retired

    def go(self):
        threads = [*self.clients, self.faults, self.watch]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for thread in threads:
            if thread.failure:
                raise thread.failure


class Part(threading.Thread):
    """A thread whose failure is the run's."""

    def __init__(self, run, number):
        super().__init__()
        self.of = run
        self.random = random.Random(run.seed * 8 + number)
        self.failure = None

    def run(self):
        try:
            while time.monotonic() < self.of.ends:
                self.step()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure
        self.finish()

    def step(self):
        raise NotImplementedError

    def finish(self):
        pass


class Client(Part):
    """Uses VMs of its own through any host."""

    def __init__(self, run, n):
        super().__init__(run, n)
        self.vms = [Vm(f"r{n}x{i}") for i in range(VMS)]

    def ask(self, vm, what, method, path, body=None, after=None):
        """The answer, None where it left open whether the VM is in the state after; that is noted in the VM."""
        host = self.random.choice(self.of.lab.hosts)
        before, vm.state = vm.state, None
        try:
            answer = host.api(method, path, body, timeout=60)
        except (OSError, LabError, ValueError) as error:
            vm.history.append((what, host.name, repr(error)))
            return self.retire(vm)
        vm.history.append((what, host.name, answer.status, answer.text[:300]))
        if answer.status in OPEN or (answer.status >= 400 and GOES_ON.search(answer.text)):
            operation = json.loads(answer.body).get("operation")
            # That which is in the way has an end of its own, which tells nothing of what was asked for here.
            if operation and "another operation on this VM is under way" not in answer.text:
                self.of.opened.append(Opened(operation, vm, before, after))
            return self.retire(vm)
        vm.state = after if answer.status < 300 else before
        return answer

    def retire(self, vm):
        """Half of the VMs of which something is open are left alone: so that is seen in the end."""
        if not vm.uuid or self.random.random() < 0.5:
            self.replace(vm)

    def replace(self, vm):
        self.of.retired.append(vm)
        self.vms[self.vms.index(vm)] = Vm(f"{vm.name.split('v')[0]}v{len(self.of.retired)}")

    def step(self):
        time.sleep(self.random.uniform(0, 0.3))
        vm = self.random.choice(self.vms)
        if not vm.uuid:
            self.create(vm)
        else:
            self.random.choice([self.boot, self.boot, self.off, self.pause, self.resume, self.migrate, self.migrate,
                                self.delete])(vm)

    def create(self, vm):
        body = {"vmdef": vmdef(vm.name, osdisk=disk(f"/vms/ds/{vm.name}.qcow2", size=1)),
                "host": self.random.choice(["", *[host.uuid for host in self.of.lab.hosts]])}
        answer = self.ask(vm, "create", "POST", "/vms", body, "off")
        if answer and answer.status == 201:
            vm.uuid = answer.json()

    def change(self, vm, what, method, body, after):
        return self.ask(vm, f"{method} {what}", method, f"/vms/{vm.uuid}/runstate/{what}", body, after)

    def boot(self, vm):
        self.change(vm, "boot", "POST", None, "running")

    def off(self, vm):
        self.change(vm, "boot", "DELETE", {"force": 2}, "off")

    def pause(self, vm):
        self.change(vm, "pause", "POST", None, "paused")

    def resume(self, vm):
        self.change(vm, "pause", "DELETE", None, "running")

    def migrate(self, vm):
        target = self.random.choice(self.of.lab.hosts)
        answer = self.change(vm, "migrate", "POST", {
            "host": target.uuid, "migration_type": 0 if vm.state == "off" else 1}, vm.state)
        if answer and answer.status == 202:
            self.follow(vm, answer.json()["id"])

    def follow(self, vm, operation):
        """Wait for the operation's end; where its host is not to be asked it stays open."""
        ends = time.monotonic() + 20 * PATIENCE
        while time.monotonic() < ends:
            try:
                answer = self.random.choice(self.of.lab.hosts).api("GET", f"/operations/{operation}", timeout=10)
                if answer.status == 200 and answer.json()["state"] != "started":
                    vm.history.append(("migrated", answer.json()["state"], answer.json()["msg"]))
                    return
            except (OSError, LabError, ValueError):
                pass
            time.sleep(0.2)

    def delete(self, vm):
        answer = self.ask(vm, "delete", "DELETE", f"/vms/{vm.uuid}", {"deletestorage": True}, "absent")
        if answer and answer.status < 300:
            self.replace(vm)


class Faults(Part):
    """One fault at a time, ended before the next."""

    def __init__(self, run):
        super().__init__(run, 3)
        self.told = []

    def step(self):
        time.sleep(self.random.uniform(0.2, 2))
        host = self.random.choice(self.of.lab.hosts)
        fault = self.random.choice([self.kill_virtxd, self.kill_job, self.kill_job, self.kill_libvirtd, self.kill_serf,
                                    self.kill_sanlock, self.stop, self.cable, self.deaf, self.freeze])
        self.told.append((fault.__name__, host.name, round(self.of.ends - time.monotonic(), 1)))
        fault(host)

    def kill_virtxd(self, host):
        host.kill("virtxd")
        time.sleep(self.random.uniform(0, 2))
        host.start("virtxd", 60)

    def kill_job(self, host):
        name = self.random.choice(["vm-create", "vm-delete", "vm-boot", "vm-migrate", "vm-shutdown", "vm-heal"])
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            found = jobs(host, name)
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if found:
                return
            time.sleep(0.01)

    def kill_libvirtd(self, host):
        host.kill("libvirtd")
        time.sleep(self.random.uniform(0, 2))
        host.start("libvirtd", 60)

    def kill_serf(self, host):
        host.kill("serf")
        time.sleep(self.random.uniform(0, 10))
        host.start("serf", 60)

    def kill_sanlock(self, host):
        self.of.lethal = True
        host.kill("sanlock")
        time.sleep(self.random.uniform(0, 4))
        host.start("sanlock", 60)

    def stop(self, host):
        daemon = self.random.choice(["libvirtd", "serf", "virtxd"])
        host.signal(daemon, signal.SIGSTOP)
        time.sleep(self.random.uniform(0, 8))
        host.signal(daemon, signal.SIGCONT)

    def cable(self, host):
        host.link(False)
        time.sleep(self.random.uniform(0, 10))
        host.link(True)

    def deaf(self, host):
        other = self.random.choice([other for other in self.of.lab.hosts if other is not host])
        host.drop(other)
        time.sleep(self.random.uniform(0, 10))
        host.drop(other, False)

    def freeze(self, _):
        # sanlock, whose io_timeout is 1 here, ends guests when it could not renew for 8 s.
        length = self.random.uniform(0, 12)
        self.of.lethal = self.of.lethal or length > 4
        self.of.lab.freeze()
        time.sleep(length)
        self.of.lab.thaw()


class Watch(Part):
    """Looks at QEMU's processes, past virtxd: no VM is started on two hosts."""

    def __init__(self, run):
        super().__init__(run, 4)

    def step(self):
        found = {}
        for host in self.of.lab.hosts:
            for uuid, incoming in qemus(host).items():
                found.setdefault(uuid, []).append((host.name, incoming))
        for uuid, where in found.items():
            assert sum(not incoming for _, incoming in where) <= 1, (uuid, where)
        time.sleep(0.2)


def qemus(host):
    """The VMs of the QEMU processes on a host: {uuid: whether it was made for what comes in}."""
    found = {}
    for pid in pids(host.netns):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "qemu-system" in line[0] and "-uuid" in line:
            found[line[line.index("-uuid") + 1]] = "-incoming" in line
    return found


def view(host):
    """What a host lists, None while it cannot."""
    answer = host.api("GET", "/vms")
    if answer.status != 200:
        return None
    return {item["uuid"]: (item["fields"]["name"], item["fields"]["host"], RUNSTATES[item["fields"]["runstate"]])
            for item in answer.json()["items"]}


def libvirt(lab):
    """What libvirt has: {uuid: [(host, state)]}."""
    found = {}
    for host in lab.hosts:
        for line in host.virsh("list", "--all", "--uuid").stdout.split():
            state = host.virsh("domstate", line, check=False).stdout.strip()
            found.setdefault(line, []).append((host.uuid, {"shut off": "off"}.get(state, state)))
    return found


def word(state):
    return "off" if state in OFF else state


def disagreement(lab):
    """What is not the same everywhere, None where all is."""
    views = [view(host) for host in lab.hosts]
    if None in views or any(seen != views[0] for seen in views):
        return views
    real = libvirt(lab)
    shown = {uuid: [(host, word(state))] for uuid, (_, host, state) in views[0].items()}
    return None if shown == real else (shown, real)


def left(lab, views):
    """What is on the storage that no VM accounts for, or that a VM lacks."""
    names = {name for name, _, _ in views.values()}
    wanted = {f"ds/{name}.qcow2" for name in names}
    wanted |= {f"lock/{hashlib.md5(f'{name}.qcow2'.encode()).hexdigest()}" for name in names}
    wanted |= {f"xml/{host}/{uuid}.xml" for uuid, (_, host, _) in views.items()}
    wanted |= {f"lock/vm-{uuid}" for uuid in views}
    found = {f"ds/{name}" for name in image_names(lab)}
    found |= {f"lock/{name}" for name in os.listdir(f"{lab.vms}/lock") if name != "__VIRTX__DISKS__"}
    for host in lab.hosts:
        found |= {f"xml/{host.uuid}/{name}" for name in os.listdir(f"{lab.vms}/xml/{host.uuid}")
                  if name.endswith((".xml", ".journal"))}
    return wanted ^ found


def find_operation(lab, operation):
    """It, from the host that has it; None where its virtxd was restarted since."""
    for host in lab.hosts:
        answer = host.api("GET", f"/operations/{operation}")
        if answer.status == 200:
            return answer.json()
    return None


def check_vm(run, views, vm, state):
    """The VM is in the state, or absent."""
    if state == "absent":
        assert vm.name not in [name for name, _, _ in views.values()], (vm.name, vm.history)
        return
    found = [word(seen) for name, _, seen in views.values() if name == vm.name]
    assert found == [state] or (run.lethal and found == ["off"]), (vm.name, found, state, vm.history)


def check(run):
    """Every answer was true, and every operation tells what has become of it."""
    views = view(run.lab.hosts[0])
    for vm in run.vms():
        if vm.state:
            check_vm(run, views, vm, vm.state)
    for opened in run.opened:
        found = find_operation(run.lab, opened.operation)
        if not found:
            continue
        assert found["state"] != "started", (found, opened.vm.history)
        expected = opened.expected(found["state"])
        if expected:
            check_vm(run, views, opened.vm, expected)


def clear(lab):
    for uuid, (_, owner, _) in view(lab.hosts[0]).items():
        host = next(host for host in lab.hosts if host.uuid == owner)

        def gone():
            host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
            return host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status in (204, 404)

        wait_for(f"VM {uuid} to be deleted", gone, 60)


@pytest.mark.parametrize("number", range(SEEDS))
def test_random(lab, number):
    print(f"VIRTX_RANDOM_SEED={SEED + number}")
    run = Run(lab, SEED + number)
    try:
        run.go()
        for host in lab.hosts:
            wait_ready(host, 120)
        started = time.monotonic()
        wait_for("all views to be equal", lambda: not disagreement(lab), SETTLE)
        print(f"all views equal after {time.monotonic() - started:.1f} s; {len(run.faults.told)} faults, "
              f"{sum(len(vm.history) for vm in run.vms())} answers, {len(run.opened)} of them open")
        wait_for("all to be accounted for", lambda: not left(lab, view(lab.hosts[0])), 60)
        check(run)
    except BaseException:
        print("faults:", run.faults.told)
        for vm in run.vms():
            print(vm.name, vm.uuid, vm.state, vm.history)
        print("disagreement:", disagreement(lab))
        print("left:", left(lab, view(lab.hosts[0]) or {}))
        raise
    clear(lab)
    wait_for("all to be gone everywhere", lambda: not disagreement(lab) and not any(map(view, lab.hosts)), 30)
