# SPDX-License-Identifier: GPL-2.0-or-later
"""What is true of the VMs, by nothing that virtxd says: QEMU's processes, and what each guest writes to its disk."""

import os
import threading
import time

INTERVAL = 0.1  # s
LATE = 3  # s that a guest's count may be behind or ahead of the clock, on a busy machine


class Watch:
    """Looks all the time, in a thread of its own; wrong is what it has seen that may not be."""

    def __init__(self, lab, guests):
        self.guests = guests
        self.wrong = []
        self._vms = lab.vms
        self._hosts = {os.stat(f"/run/netns/{host.netns}").st_ino: host for host in lab.hosts}
        # What they had counted when it began to look is nothing that it has seen.
        self._counts = dict.fromkeys(guests)
        self._boots = dict.fromkeys(guests, 0)
        self._places = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._end.set()
        self._thread.join()

    def count(self, uuid):
        """The seconds that its guest has counted since it was switched on, as far as its disk tells."""
        return self._counts[uuid][0] if self._counts[uuid] else 0

    def boots(self, uuid):
        """How often its guest has begun to count anew."""
        return self._boots[uuid]

    def places(self, uuid):
        """The hosts that have a process of it."""
        return self._places.get(uuid, [])

    def _run(self):
        while not self._end.wait(INTERVAL):
            self._places = self._look()
            for uuid, hosts in self._places.items():
                if len(hosts) > 1:
                    self.wrong.append(f"{self.guests[uuid]} runs on {' and '.join(host.name for host in hosts)}")
            for uuid in self.guests:
                self._read(uuid)

    def _look(self):
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    argv = file.read().split("\0")
                if "qemu-system" not in argv[0] or "-uuid" not in argv:
                    continue
                host = self._hosts.get(os.stat(f"/proc/{pid}/ns/net").st_ino)
                uuid = argv[argv.index("-uuid") + 1]
            except OSError:
                continue
            if host and uuid in self.guests:
                found.setdefault(uuid, []).append(host)
        return found

    def _read(self, uuid):
        """A guest counts on from where it was, or begins anew; that of another QEMU would come in between."""
        try:
            with open(f"{self._vms}/ds/{self.guests[uuid]}-count.raw", "rb") as file:
                count = int(file.read(16).strip(b"\0\n") or 0)
        except (FileNotFoundError, ValueError):
            return
        now = time.monotonic()
        before, since = self._counts[uuid] or (count, now)
        if count > before + (now - since) + LATE:
            self.wrong.append(f"the count of {self.guests[uuid]} goes from {before} to {count} in {now - since:.1f} s")
        self._boots[uuid] += count < before
        if count != before or not self._counts[uuid]:
            self._counts[uuid] = count, now
