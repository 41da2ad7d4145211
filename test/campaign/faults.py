# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong: each fault of the plan, begun at its time and ended after its own."""

import contextlib
import os
import random
import signal
import threading
import time

from lab import LabError, net, wait_for
from lab.daemons import ORDER

from . import look

AT_ONCE = 2
# s after a fault's end in which a guest may still be ended for it: 8 T and virtxd's next look, or sanlock's way back.
HARM, HARM_FAILOVERS = 20, 100


class Faults(threading.Thread):
    """Begins those of a round in their order, two at once at most."""

    def __init__(self, round_, plan):
        super().__init__(name="faults", daemon=True)
        self.round, self.lab, self.plan = round_, round_.lab, plan
        self.begun = 0
        self.threads = []
        self.storage = threading.Lock()     # one fault of it at a time
        self.hosts = {host.name: threading.RLock() for host in self.lab.hosts}
        self.dead = set()       # hosts on which nothing is to be started
        self.touched = {}       # name of a host: how many faults concern its virtxd now

    def run(self):
        for fault in self.plan:
            while self.round.journal.now() < fault["at"] or sum(thread.is_alive() for thread in self.threads) >= AT_ONCE:
                time.sleep(0.05)
            if self.round.journal.now() > self.round.seconds:
                break
            thread = threading.Thread(target=self.carry_out, args=(fault,), daemon=True)
            self.threads.append(thread)
            thread.start()
            self.begun += 1
        for thread in self.threads:
            thread.join()

    def carry_out(self, fault):
        name, host = fault["name"], self.lab.hosts[fault["host"]]
        self.round.journal.tell("faults", fault=name, at=host.name, lasts=fault["lasts"])
        self.touched[host.name] = self.touched.get(host.name, 0) + 1
        began, told = time.monotonic(), None
        try:
            verb, _, what = name.partition("_")
            if verb == "kill" and what in ORDER:
                told = self.kill(host, what, fault["lasts"])
            elif verb == "stop" and what in ORDER:
                told = self.stop(host, what, fault["lasts"])
            else:
                told = getattr(self, name)(host, self.lab.hosts[fault["other"]], fault["lasts"], random.Random(fault["choice"]))
        except (LabError, OSError) as error:
            told = repr(error)
        self.touched[host.name] -= 1
        self.round.journal.tell("faults", over=name, at=host.name, took=round(time.monotonic() - began, 2), told=told)

    # Daemons

    def kill(self, host, daemon, lasts):
        with self.hosts[host.name]:
            if not host.alive(daemon):
                return "is not there"
            if daemon == "sanlock":
                self.harm(lasts)
            host.kill(daemon)
        time.sleep(lasts)
        self.start_daemon(host, daemon)
        return None

    def start_daemon(self, host, daemon):
        with self.hosts[host.name]:
            if host.name not in self.dead and not host.alive(daemon):
                host.launch(daemon)
                with contextlib.suppress(LabError):  # its storage may hang: the end of the round waits for it
                    host.wait_ready(daemon, 10)

    def stop(self, host, daemon, lasts):
        if daemon == "sanlock":
            self.harm(lasts)
        pid = host.pid(daemon)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(lasts)
        if host.alive(daemon) and host.pid(daemon) == pid:
            os.kill(pid, signal.SIGCONT)

    def jobs(self, host, number, lasts):
        """The next job that changes a VM gets that signal."""
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            found = host.jobs()
            for pid, argv in found.items():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                    if number == signal.SIGSTOP:
                        time.sleep(lasts)
                        os.kill(pid, signal.SIGCONT)
                return argv[-3:]
            time.sleep(0.02)
        return "no job"

    def kill_job(self, host, _other, lasts, _chance):
        return self.jobs(host, signal.SIGKILL, lasts)

    def stop_job(self, host, _other, lasts, _chance):
        return self.jobs(host, signal.SIGSTOP, lasts)

    # Guests

    def one_of(self, host, chance):
        found = sorted((qemu for qemu in look.qemus(self.round.spaces) if qemu.host is host), key=lambda qemu: qemu.uuid)
        return chance.choice(found) if found else None

    def kill_qemu(self, host, _other, _lasts, chance):
        qemu = self.one_of(host, chance)
        if qemu:
            self.harm_one(qemu.uuid)
            os.kill(qemu.pid, signal.SIGKILL)
        return qemu

    def stop_qemu(self, host, _other, lasts, chance):
        qemu = self.one_of(host, chance)
        if qemu:
            self.harm_one(qemu.uuid)
            os.kill(qemu.pid, signal.SIGSTOP)
            time.sleep(lasts)
            self.harm_one(qemu.uuid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(qemu.pid, signal.SIGCONT)
        return qemu

    def harm(self, lasts):
        """Guests may be ended, until a while after the fault's end: which ones depends on where they are, so it counts for
        all, and for what clients are told until then."""
        self.round.harm_until = max(self.round.harm_until, self.round.journal.now() + lasts +
                                    (HARM_FAILOVERS if self.round.failovers else HARM))
        for vm in self.round.vms():
            vm.harmed, vm.harmed_at = True, self.round.journal.now()

    def harm_one(self, uuid, by_hand=False):
        for vm in self.round.vms():
            if vm.uuid == uuid:
                vm.harmed, vm.harmed_at = True, self.round.journal.now()
                vm.by_hand = vm.by_hand or by_hand

    # Hosts and networks

    def host_dies(self, host, _other, lasts, _chance):
        """All its processes but the one that holds its namespaces end at once, and what is in /run of libvirt goes."""
        self.harm(lasts)
        with self.hosts[host.name]:
            self.dead.add(host.name)
            holder = host.pid("holder")

            def empty():
                alive = [pid for pid in net.pids(host.netns) if pid != holder]
                for pid in alive:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return not alive

            wait_for(f"all of {host.name} to end", empty, 30)
            host.run(["rm", "-rf", "/run/libvirt/qemu"])
        time.sleep(lasts)
        self.dead.discard(host.name)
        for daemon in ORDER:
            self.start_daemon(host, daemon)

    def link_down(self, host, _other, lasts, _chance):
        host.link(False)
        time.sleep(lasts)
        host.link(True)

    def one_way(self, host, other, lasts, _chance):
        host.drop(other)
        time.sleep(lasts)
        host.drop(other, False)

    def serf_flooded(self, host, _other, lasts, _chance):
        """User events that nobody asked for, some in virtxd's own names."""
        ends, sent = time.monotonic() + lasts, 0
        while time.monotonic() < ends:
            host.serf("event", "-coalesce=false", "virtx" if sent % 2 else "noise", f"{sent} " + "x" * 200, check=False)
            sent += 1
        return sent

    # The storage

    def storage_hangs(self, _host, _other, lasts, _chance):
        # sanlock ends the guests that it could not renew the leases for in 8 s.
        with self.storage:
            self.harm(lasts)
            self.lab.freeze()
            try:
                time.sleep(lasts)
            finally:
                self.lab.thaw()

    def disk_full(self, _host, _other, lasts, _chance):
        with self.storage:
            try:
                self.lab.fill()
                time.sleep(lasts)
            finally:
                self.lab.drain()

    def registry_lost(self, host, _other, _lasts, chance):
        folder = f"{self.lab.vms}/xml/{host.uuid}"
        names = sorted(name for name in os.listdir(folder) if name.endswith(".xml") and name[0] != ".")
        if not names:
            return "none is there"
        name = chance.choice(names)
        os.unlink(f"{folder}/{name}")
        self.round.to_repair = True
        return name

    def registry_foreign(self, host, _other, lasts, chance):
        """What no VirtX wrote: no XML at all, of another VM, and a folder with the name of a file."""
        folder = f"{self.lab.vms}/xml/{host.uuid}"
        names = [f"00000000-0000-4000-8000-{chance.randrange(1 << 48):012x}.xml" for _ in range(3)]
        os.mkdir(f"{folder}/{names[0]}")
        for name, text in ((names[1], "no XML"), (names[2], "<domain type='kvm'><name>x</name></domain>")):
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        time.sleep(lasts)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                (os.rmdir if os.path.isdir(f"{folder}/{name}") else os.unlink)(f"{folder}/{name}")

    def by_hand(self, host, _other, _lasts, chance):
        """Somebody uses virsh."""
        uuids = sorted(host.virsh("list", "--all", "--uuid", timeout=10).stdout.split())
        if not uuids:
            return "no VM"
        uuid, verb = chance.choice(uuids), chance.choice(["destroy", "start", "suspend", "resume", "reset"])
        self.harm_one(uuid, by_hand=True)
        done = host.virsh(verb, uuid, check=False, timeout=20)
        return verb, uuid, (done.stderr or done.stdout).strip()

    # The end

    def heal(self):
        """What a fault that could not be ended has left."""
        for host in self.lab.hosts:
            host.link(True)
            for other in self.lab.hosts:
                with contextlib.suppress(LabError):
                    if other is not host:
                        host.drop(other, False)
            for daemon in ORDER:
                with contextlib.suppress(LabError):
                    host.signal(daemon, signal.SIGCONT)
        for qemu in look.qemus(self.round.spaces):
            os.kill(qemu.pid, signal.SIGCONT)
        for host in self.lab.hosts:
            for daemon in ORDER:
                self.start_daemon(host, daemon)
