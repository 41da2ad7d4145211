# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host says of the others and of all VMs over a while: what others see while something happens to a host."""

import threading
import time

from lab.vms import RUNSTATES

CSTATES = ("invalid", "active", "left", "failed")


class Watch:
    """Asks a host again and again, while a with statement lasts, and keeps every change and when it was seen."""

    def __init__(self, host, interval=0.25):
        self.host = host
        self.interval = interval
        self.changes = []  # (time, uuid of a host or VM, state in words)
        self.silence = 0.0  # the longest time without an answer
        self._last = {}
        self._heard = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._ask()
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._ends.set()
        self._thread.join()

    def _ask(self):
        seen = {}
        try:
            for path, words, key in (("/hosts", CSTATES, "cstate"), ("/vms", RUNSTATES, "runstate")):
                for item in self.host.api("GET", path, timeout=10).json()["items"]:
                    seen[item["uuid"]] = words[item["fields"][key]]
        except (OSError, ValueError):
            return  # it says nothing
        now = time.time()
        self.silence = max(self.silence, now - (self._heard or now))
        self._heard = now
        for uuid in seen.keys() | self._last.keys():
            if seen.get(uuid) != self._last.get(uuid):
                self.changes.append((now, uuid, seen.get(uuid)))
        self._last = seen

    def _run(self):
        while not self._ends.wait(self.interval):
            self._ask()

    def said(self, uuid):
        """The states of a host or VM in their order; None where it was not known."""
        return [state for _, other, state in self.changes if other == uuid]

    def first(self, uuid, state):
        """When the host first said so of a host or VM."""
        return next(at for at, other, said in self.changes if (other, said) == (uuid, state))

    def wrong(self, uuid, truth):
        """The longest time that the host has gone on to say of a host or VM what was not so; truth is [(time, states)],
        each of which was so until the next."""
        events = [(at, "said", state) for at, other, state in self.changes if other == uuid]
        events += [(at, "truth", states) for at, states in truth]
        now, begin, worst = {"said": None, "truth": None}, None, 0.0
        for at, what, value in sorted(events, key=lambda event: event[0]) + [(self._heard, None, None)]:
            if begin is not None:
                worst = max(worst, at - begin)
            now[what] = value
            if now["truth"] is None or now["said"] in now["truth"]:
                begin = None
            elif begin is None:
                begin = at
        return worst
