# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be so when all faults of a round are healed."""

import os
import time

from lab import PATIENCE, LabError
from lab.vms import RUNSTATES

from . import look

READY = 150     # s until each host is ready again: one whose sanlock has another name waits 8 T + 60 s
EQUAL = 60      # s from then on until all is told alike
CALM = 60       # s until virtxd has no more children and descriptors than it had
CHILDREN, DESCRIPTORS, KIB = 4, 40, 48 << 10    # by which it may be more than at the beginning
OFF = ("poweroff", "crashed", "shut off")
LATE = 1.0      # s that a GET may take at 99.9 %: far above what it may on a quiet machine


def word(state):
    return "off" if state in OFF else "running" if state == "startup" else state


class End:
    """The checks of one round; each tells what is wrong, or nothing."""

    def __init__(self, round_):
        self.round, self.lab, self.journal = round_, round_.lab, round_.journal

    def wait(self, rule, wrong, timeout):
        """Wait until wrong() tells nothing; else what it told last is a violation."""
        ends = time.monotonic() + timeout * PATIENCE
        while True:
            try:
                told = wrong()
            except (LabError, OSError, ValueError) as error:
                told = repr(error)
            if not told or time.monotonic() > ends:
                break
            time.sleep(0.5)
        self.journal.tell("checker", looked=rule, good=not told)
        if told:
            self.journal.violation(rule, told=told)
        return not told

    def run(self):
        began = time.monotonic()
        self.wait("hosts are ready", self.not_ready, READY)
        self.wait("maintenance ends", self.maintained, EQUAL)
        if self.round.to_repair:
            self.repair()
        ready = time.monotonic()
        self.wait("all views are equal, and as libvirt", self.views_differ, EQUAL)
        self.journal.tell("checker", ready_after=round(ready - began, 1), equal_after=round(time.monotonic() - ready, 1))
        self.wait("each VM has one owner", self.owners, EQUAL)
        self.wait("what was acknowledged is so", self.untrue, EQUAL)
        if self.round.failovers:
            self.journal.tell("checker", not_back=self.not_back())
        self.wait("no image is lost, none is left", self.images, EQUAL)
        self.wait("the lease of each guest is its own", self.leases, EQUAL)
        self.wait("guests count", self.not_counting, EQUAL)
        self.wait("virtxd is as small as before", self.leaks, CALM)

    def not_ready(self):
        wrong = {}
        for host in self.lab.hosts:
            answer = host.api("GET", "/readyz", timeout=10)
            if answer.status != 200:
                wrong[host.name] = answer.text
        return wrong

    def maintained(self):
        wrong = {}
        for host in self.lab.hosts:
            if os.path.exists(f"{self.lab.vms}/xml/{host.uuid}/maintenance"):
                wrong[host.name] = host.api("DELETE", f"/hosts/{host.uuid}/maintenance", {"back": False}).text
        return wrong

    def repair(self):
        """What an operator does about registry files that were lost."""
        for host in self.lab.hosts:
            try:
                answer = host.api("POST", f"/hosts/{host.uuid}/repair", {"apply": True}, timeout=60)
                self.journal.tell("checker", repair=host.name, status=answer.status, text=answer.text[:1500])
            except (LabError, OSError, ValueError) as error:
                self.journal.tell("checker", repair=host.name, error=repr(error))

    def view(self, host):
        answer = host.api("GET", "/vms", timeout=10)
        if answer.status != 200:
            return answer.text
        names = {other.uuid: other.name for other in self.lab.hosts}
        return {item["uuid"]: (item["fields"]["name"], names.get(item["fields"]["host"]),
                               word(RUNSTATES[item["fields"]["runstate"]])) for item in answer.json()["items"]}

    def views_differ(self):
        """What the hosts list, and what their libvirts have."""
        real = {}
        for host in self.lab.hosts:
            for uuid, state in look.defined(host).items():
                real.setdefault(uuid, []).append((host.name, word(state)))
        wrong = {}
        for host in self.lab.hosts:
            seen = self.view(host)
            if isinstance(seen, str):
                wrong[host.name] = seen
                continue
            for uuid in set(seen) | set(real):
                listed = [seen[uuid][1:]] if uuid in seen else []
                if listed != real.get(uuid, []):
                    wrong[f"{host.name} {uuid}"] = {"listed": listed, "libvirt": real.get(uuid, [])}
        return wrong

    def owners(self):
        """One file of the registry each, on the host whose libvirt has it; no journal."""
        files, journals = look.registered(self.lab)
        wrong = {"journals": journals} if journals else {}
        real = {}
        for host in self.lab.hosts:
            for uuid in look.defined(host):
                real.setdefault(uuid, []).append(host.name)
        for uuid in set(files) | set(real):
            if files.get(uuid) != real.get(uuid) or len(files.get(uuid, [])) != 1:
                wrong[uuid] = {"registered": files.get(uuid), "defined": real.get(uuid)}
        return wrong

    def untrue(self):
        views, wrong = self.view(self.lab.hosts[0]), {}
        for vm in self.round.vms():
            found = [(uuid, seen) for uuid, seen in views.items() if seen[0] == vm.name]
            if vm.state == "absent" and found:
                wrong[vm.name] = {"deleted or never made": found}
            elif vm.uuid and vm.state != "absent" and not found and not (vm.state is None and self.may_be_gone(vm)):
                wrong[vm.name] = {"uuid": vm.uuid, "is gone": vm.state}
            elif vm.state and found and vm.state != "absent" and not vm.harmed and found[0][1][2] != vm.state:
                wrong[vm.name] = {"uuid": vm.uuid, "acknowledged": vm.state, "found": found}
            if found and vm.mark is not None and vm.uuid and vm.state:
                answer = self.lab.hosts[0].api("GET", f"/vms/{vm.uuid}", timeout=20)
                marks = [item["value"] for item in answer.json()["def"]["custom"] if item["name"] == "mark"] \
                    if answer.status == 200 else answer.text
                if marks != [vm.mark]:
                    wrong[f"{vm.name} mark"] = {"uuid": vm.uuid, "acknowledged": vm.mark, "found": marks}
        return wrong

    def not_back(self):
        """Who was told to run, was ended by a fault and does not run again: told, as not every fault has it started again."""
        views = self.view(self.lab.hosts[0])
        return [vm.uuid for vm in self.round.vms() if vm.state == "running" and vm.harmed and not vm.by_hand and
                views.get(vm.uuid, ("", "", ""))[2] == "off"]

    def may_be_gone(self, vm):
        """Its last answer, which left it open, was that to a delete."""
        return vm.last == "delete"

    def images(self):
        """Both images of each VM; none that the API made of a VM that is not."""
        names = {seen[0] for seen in self.view(self.lab.hosts[0]).values()}
        there = set(os.listdir(f"{self.lab.vms}/ds"))
        wanted = {f"{name}{end}" for name in names for end in (".raw", "-count.raw")}
        lost = sorted(wanted - there)
        left = sorted(name for name in there - wanted if name.endswith("-count.raw"))
        return {key: found for key, found in (("lost", lost), ("left", left)) if found}

    def running(self):
        """{uuid: (host, pid)} of what libvirt says runs."""
        pids = {(qemu.host.name, qemu.uuid): qemu.pid for qemu in look.qemus(self.round.spaces)}
        return {uuid: (host, pids.get((host.name, uuid))) for host in self.lab.hosts
                for uuid, state in look.defined(host).items() if state == "running"}

    def leases(self):
        """A guest that runs has its lease, and nobody else has one of it."""
        held = {host.name: look.leases(host) for host in self.lab.hosts}
        wrong = {}
        for uuid, (host, pid) in self.running().items():
            holders = {name: pids[uuid] for name, pids in held.items() if uuid in pids}
            if holders != {host.name: pid}:
                wrong[uuid] = {"runs": (host.name, pid), "held": holders}
        return wrong

    def not_counting(self):
        """Guests that run and have counted before go on."""
        names = {uuid: seen[0] for uuid, seen in self.view(self.lab.hosts[0]).items()}
        images = {uuid: f"{names[uuid]}-count.raw" for uuid in self.running() if uuid in names}
        before = {uuid: look.count(self.lab, image) for uuid, image in images.items()}
        time.sleep(4)
        after = {uuid: look.count(self.lab, image) for uuid, image in images.items()}
        return {uuid: {"image": images[uuid], "count": after[uuid]} for uuid in images
                if after[uuid] is None or after[uuid] == before[uuid]}

    def leaks(self):
        wrong = {}
        for host in self.lab.hosts:
            now, before = look.process(host.pid("virtxd")), self.round.baseline[host.name]
            for what, more in (("children", CHILDREN), ("descriptors", DESCRIPTORS), ("kib", KIB)):
                if now[what] > before[what] + more:
                    wrong[f"{host.name} {what}"] = {"before": before[what], "now": now[what]}
        return wrong

    def figures(self):
        """How fast hosts answered, and how late their loops were; only what is far too much is a violation."""
        took = sorted(one for probe in self.round.probes for one in probe.took)
        lags = {}
        for host in self.lab.hosts:
            try:
                text = host.api("GET", "/metrics", timeout=10).text
                lags[host.name] = float(next(line.split()[1] for line in text.splitlines()
                                             if line.startswith("virtx_loop_lag_max_seconds ")))
            except (LabError, OSError, ValueError, StopIteration):
                lags[host.name] = None
        late = took[min(len(took) - 1, int(len(took) * 0.999))] if took else None
        told = {"gets": len(took), "p999_ms": late and round(late * 1000, 1), "loop_lag_max_s": lags}
        self.journal.tell("checker", **told)
        if late and late > LATE * PATIENCE:
            self.journal.violation("GET is far too late", seconds=late)
        return told
