# SPDX-License-Identifier: GPL-2.0-or-later
"""What happened in a round, a line of JSON each: seconds since its beginning, who tells it, and what."""

import json
import threading
import time


class Journal:
    """Written by all threads of a round."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.violations = []

    def begin(self):
        """The plan's time begins here."""
        self._began = time.monotonic()

    def now(self):
        """Seconds since the round's beginning."""
        return time.monotonic() - self._began

    def tell(self, who, **what):
        with self._lock:
            self._file.write(json.dumps({"t": round(self.now(), 2), "who": who, **what}, default=str) + "\n")
            self._file.flush()

    def violation(self, rule, **what):
        """What must never be; told once for each rule and VM or host."""
        key = (rule, what.get("vm"), what.get("host"))
        self.tell("checker", violation=rule, **what)
        if key not in [known[0] for known in self.violations]:
            self.violations.append((key, what))

    def close(self):
        self._file.close()
