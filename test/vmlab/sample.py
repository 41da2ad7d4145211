# SPDX-License-Identifier: GPL-2.0-or-later
"""What is sampled while something happens: how long the API takes, and what the guest has counted."""

import statistics
import subprocess
import threading
import time

from lab.util import LabError

from . import guest

PATHS = ("/vms", "/hosts", "/readyz", "/operations")


class Sampler:
    """Calls sample() again and again while a with statement lasts."""

    interval = 0.3

    def __init__(self, count=1):
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[n]) for n in range(count)]

    def sample(self, number):
        raise NotImplementedError

    def _run(self, number):
        while not self._ends.wait(self.interval):
            self.sample(number)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._ends.set()
        for thread in self._threads:
            thread.join()


class Latency(Sampler):
    """How long hosts take for what they answer from memory, by phases of the test."""

    def __init__(self, *hosts):
        super().__init__(len(hosts))
        self.hosts = hosts
        self.phase = "before"
        self.silent = 0  # requests without an answer, as of a host that boots
        self._took = {}

    def sample(self, number):
        host = self.hosts[number]
        for path in PATHS:
            phase, begin = self.phase, time.monotonic()
            try:
                host.api("GET", path, timeout=60)
            except OSError:
                self.silent += 1
                continue
            self._took.setdefault((host.name, phase), []).append(time.monotonic() - begin)

    def figures(self, host, phase):
        """The median, the slowest and the number of the answers."""
        took = self._took.get((host.name, phase), [])
        return (statistics.median(took), max(took), len(took)) if took else (0, 0, 0)

    def slowest(self):
        """The slowest of all answers, and their number."""
        took = [seconds for answers in self._took.values() for seconds in answers]
        return max(took), len(took)

    def tell(self, host, phase):
        """The figures in words, the median as ratio to that of the first phase, too."""
        median, slowest, count = self.figures(host, phase)
        before = self.figures(host, "before")[0]
        return (f"{host.name} answered in {median * 1000:.0f} ms ({median / before:.1f} of before), {count} times, "
                f"the slowest in {slowest * 1000:.0f} ms")


class Counts(Sampler):
    """What a guest counts on its disk, as the server has it: (time, count) for each change."""

    interval = 0.5

    def __init__(self, lab, name):
        super().__init__()
        self.lab, self.name = lab, name
        self.seen = []
        self.missed = 0  # samples that the server did not give, as while it is down, or the disk is gone

    def sample(self, number):
        try:
            now, count = time.time(), guest.count(self.lab, self.name)
        except (LabError, OSError, ValueError, subprocess.SubprocessError):
            self.missed += 1
            return
        if not self.seen or count != self.seen[-1][1]:
            self.seen.append((now, count))

    def pause(self):
        """The longest time without a change, in seconds."""
        times = [when for when, _ in self.seen]
        return max(b - a for a, b in zip(times, times[1:], strict=False))

    def restarts(self):
        """How often it began anew; what two guests count on one disk goes back again and again."""
        counts = [count for _, count in self.seen]
        return sum(b < a for a, b in zip(counts, counts[1:], strict=False))
