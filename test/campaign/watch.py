# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks all the time at what must never be: a VM that runs twice, by its processes and by what its guest writes."""

import threading
import time

from lab import LabError

from . import look

WINDOW = 0.7        # s between two looks
WINDOWS = 4
RAN = 200_000       # ns of its vCPUs in a window from which on a guest ran
SLACK = 15          # s that a guest may have counted more than is known of its start


class Watch(threading.Thread):
    """The processes and counters of a round.

    Two processes of one VM are usual for a moment: a live migration has one that came for what comes in, and it keeps that
    word on its command line. So it is looked at whether the vCPUs run: both of them, in WINDOWS one after the other. The
    threads of the one that waits work a little as they are made, and when the state comes in, and the switch from the one to
    the other lies within a window: those are three. What runs twice for less than that only the counters can show.
    """

    def __init__(self, round_):
        super().__init__(name="watch", daemon=True)
        self.round = round_
        self.going = True
        self.times = {}     # pid: the time of its vCPUs at the last look
        self.twice = {}     # uuid: in how many windows in a row two of its processes ran
        self.started = {}   # uuid: in how many looks in a row two were there that did not come for a migration
        self.counts = {}    # image: (count, when it was less than before, that count)
        self.looks = 0

    def run(self):
        while self.going:
            began = time.monotonic()
            try:
                self.processes()
                self.counters()
                self.looks += 1
            except (LabError, OSError) as error:
                self.round.journal.tell("checker", error=repr(error))
            time.sleep(max(0.05, WINDOW - (time.monotonic() - began)))

    def processes(self):
        times, ran, there = {}, {}, {}
        for qemu in look.qemus(self.round.spaces):
            now, before = qemu.cpu_time(), self.times.get(qemu.pid)
            if now is None:
                continue
            times[qemu.pid] = now
            there.setdefault(qemu.uuid, []).append(qemu)
            if before is not None and now - before > RAN:
                ran.setdefault(qemu.uuid, []).append(qemu)
        self.times = times
        self.twice = {uuid: self.twice.get(uuid, 0) + 1 for uuid, found in ran.items() if len(found) > 1}
        self.started = {uuid: self.started.get(uuid, 0) + 1 for uuid, found in there.items()
                        if sum(not qemu.incoming for qemu in found) > 1}
        for uuid, often in self.twice.items():
            if often >= WINDOWS:
                self.round.journal.violation("runs twice", vm=uuid, processes=ran[uuid], windows=often)
        for uuid, often in self.started.items():
            if often >= 2:
                self.round.journal.violation("two processes that were started for it", vm=uuid, processes=there[uuid])

    def counters(self):
        """A guest begins to count at 1: a count that is greater than the time since then is another guest's."""
        now = time.monotonic()
        for vm in self.round.vms():
            image = f"{vm.name}-count.raw"
            count = look.count(self.round.lab, image)
            if count is None:
                continue
            last, since, first = self.counts.get(image, (0, now, count))
            if count < last:
                since, first = now, count
            if count > first + (now - since) + SLACK:
                self.round.journal.violation("two guests write to one disk", vm=vm.uuid, image=image, count=count,
                                             began=first, seconds=now - since)
            self.counts[image] = (count, since, first)


class Probe(threading.Thread):
    """How long a GET of a host takes, while no fault concerns it."""

    PAUSE = 0.1

    def __init__(self, round_, host):
        super().__init__(name=f"probe {host.name}", daemon=True)
        self.round, self.host = round_, host
        self.going = True
        self.took = []

    def quiet(self):
        return not self.round.faults.touched.get(self.host.name)

    def run(self):
        while self.going:
            time.sleep(self.PAUSE)
            if not self.quiet():
                continue
            began = time.monotonic()
            try:
                self.host.api("GET", "/vms", timeout=5)
            except (OSError, LabError, ValueError):
                continue
            if self.quiet():
                self.took.append(time.monotonic() - began)
