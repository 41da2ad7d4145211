# SPDX-License-Identifier: GPL-2.0-or-later
"""One machine of the lab, in a QEMU of its own: its power, its cables, and commands in it."""

import base64
import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from lab.host import start_time
from lab.util import PATIENCE, LabError, tail, wait_for, write

from . import image, net, qemu

NAMESPACE = uuid.UUID("0e1a1a52-6a4e-4b1c-9d0b-6c8a0c8f3a55")

# What a command finds in its environment.
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]


def each(function, items):
    """Call the function for all items at once; what it returned, or the first error."""
    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(function, items))


class Machine:
    """A machine; all its state is in files, so that any process can attach to it."""

    memory = 512  # MiB
    cpus = 1
    masked = ()  # units that are not to run on it

    def __init__(self, lab, name, n):
        self.lab = lab
        self.name = name
        self.n = n
        self.addr = net.address(n)
        self.uuid = str(uuid.uuid5(NAMESPACE, name))
        self.disk = self.path("qcow2")

    def __repr__(self):
        return f"<{type(self).__name__} {self.name} of {self.lab.name}>"

    def path(self, what):
        """The path, outside the machine, of one of its files."""
        return f"{self.lab.state}/{self.name}.{what}"

    # What it is made of

    def own_equipment(self):
        """What this machine was given beside what all of its kind have."""
        try:
            with open(self.path("equipment")) as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def equipment(self):
        """What the machine has when it is switched on."""
        return {"cpu": "", "cpus": self.cpus, "nodes": 1, "memory": self.memory, "cmdline": "", **self.own_equipment()}

    def new_equipment(self, given):
        """What own_equipment is from here on; of a machine that is off."""
        write(self.path("equipment"), json.dumps(given))

    def equip(self, **given):
        """Make the machine of something else: cpu (features of the processor more or less, "-avx2,-bmi2"), cpus, nodes
        (NUMA, which share memory and cpus), memory (MiB), cmdline (more words for its kernel). Nothing: as the lab's are.

        One that is on loses its power, and is switched on again.
        """
        wrong = given.keys() - self.equipment().keys()
        if wrong:
            raise LabError(f"no machine has a '{sorted(wrong)[0]}'")
        on = self.process() is not None
        if on:
            self.run(["sync"])
            self.off()
        self.new_equipment(given)
        if on:
            self.power("on")

    # Power

    def new_disk(self, below):
        """Give the machine, which is off, a disk that is what is in the file below."""
        image.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", self.disk)

    def switch_on(self, state=None):
        """Switch the machine on and do not wait; with a state it goes on from there, and stands still until resumed."""
        argv = ["ip", "netns", "exec", net.namespace(self.lab.name), *qemu.command(self, self.lab.image, self.lab.now(), state)]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise LabError(f"{self.name}: QEMU: {done.stderr}")
        for network in self._cut():
            self.monitor("set_link", name=network, up=False)

    def forget_run(self):
        """Remove the disk of a machine that is off, and what was done to its cables and parts."""
        for what in ("qcow2", "cut", "equipment"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(what))

    def save(self, state):
        """Write the state of the machine, which stands still, to a file."""
        self.monitor("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self.monitor("migrate", uri=f"exec:cat > '{state}'")

        def saved():
            status = self.monitor("query-migrate")
            if status["status"] in ("failed", "cancelled"):
                raise LabError(f"{self.name}: its state cannot be saved: {status}")
            return status["status"] == "completed"

        wait_for(f"the state of {self.name} to be saved", saved, 120)

    def wait_restored(self):
        """Wait until the machine stands where its state was saved."""

        def restored():
            if not self.process():
                raise LabError(f"{self.name}: QEMU cannot go on from its state, see {self.path('log')}")
            return self.monitor("query-status")["status"] == "paused"

        wait_for(f"{self.name} to have its state", restored, 60)

    def process(self):
        """The process id of the machine's QEMU, None when it is off."""
        try:
            with open(self.path("pid"), "r+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # QEMU holds it as long as it lives
            with open(self.path("pid")) as file:
                return int(file.read())
        except FileNotFoundError:
            pass
        return None

    def monitor(self, command, timeout=60, /, **arguments):
        """One command for the machine's QEMU; what it returns."""
        try:
            return qemu.monitor(self.path("monitor"), command, timeout, **arguments)
        except (OSError, ValueError) as error:
            raise LabError(f"{self.name}: QEMU does not answer to {command}: {error}") from None

    def off(self):
        """Take its power away: what is not on its disk is lost. Nothing if it is off."""
        pid = self.process()
        if pid:
            started = start_time(pid)
            os.kill(pid, signal.SIGTERM)  # QEMU writes what it knows of the disk's file, and asks nobody in the machine
            wait_for(f"{self.name} to be off", lambda: start_time(pid) != started, 30)

    def power(self, how, wait=True):
        """Power 'off', 'on' or 'reset'; for the last two wait until commands can be run in it again."""
        if how == "off":
            self.off()
            return
        if how == "on" and self.process() is None:
            self.switch_on()
        elif how == "reset":
            before = self.boot_id() if wait else None
            self.monitor("system_reset")
            if wait:
                self.wait_boot(before)
        elif how != "on":
            raise LabError(f"power is 'on', 'off' or 'reset', not '{how}'")
        if wait:
            self.wait_agent()

    # Commands

    def agent(self, command, timeout=20, /, **arguments):
        """One command for the agent in the machine; LabError when it does not answer."""
        try:
            return qemu.agent(self.path("agent"), command, timeout, **arguments)
        except (OSError, ValueError) as error:
            said = "its console" if self.process() else "its QEMU is gone, whose log"
            raise LabError(f"{self.name}: the agent does not answer to {command}: {error!r}; {said} ends with\n"
                           + tail(self.path("console" if self.process() else "log"))) from None

    def answers(self):
        """Whether commands can be run in the machine."""
        try:
            qemu.agent(self.path("agent"), "guest-ping", 2 / PATIENCE)
            return True
        except (OSError, ValueError):
            return False

    def wait_agent(self, timeout=120):
        wait_for(f"{self.name} to take commands", self.answers, timeout, 0.1)

    def boot_id(self):
        """What tells this boot of the machine from the others; None when it cannot say."""
        try:
            return self.run(["cat", "/proc/sys/kernel/random/boot_id"], timeout=10).stdout.strip()
        except (LabError, subprocess.TimeoutExpired):
            return None

    def wait_boot(self, before, timeout=180):
        """Wait until the machine runs in another boot than the one before."""
        wait_for(f"{self.name} to boot again", lambda: self.boot_id() not in (None, before), timeout, 0.2)

    def wait_system(self, timeout=180):
        """Wait until systemd has started all that it is to start."""

        def settled():
            said = self.run(["systemctl", "is-system-running", "--wait"], timeout=timeout, check=False).stdout.strip()
            return said if said in ("running", "degraded") else None  # it cannot wait before there is a bus

        return wait_for(f"{self.name} to have booted", settled, timeout, 1)

    def run(self, argv, input=None, timeout=60, check=True, env=None):
        """Run a command in the machine to its end: CompletedProcess with text stdout and stderr."""
        argv = list(map(str, argv))
        deadline = time.monotonic() + timeout * PATIENCE
        data = {} if input is None else {"input-data": base64.b64encode(
            input if isinstance(input, bytes) else input.encode()).decode()}
        pid = self.agent("guest-exec", path=argv[0], arg=argv[1:], **data, **{
            "capture-output": True, "env": ENVIRONMENT + [f"{key}={value}" for key, value in (env or {}).items()]})["pid"]
        pause = 0.01
        while not (status := self.agent("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"{self.name}: {shlex.join(argv)}", timeout * PATIENCE)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.3)
        code = status["exitcode"] if "exitcode" in status else -status.get("signal", 1)
        done = subprocess.CompletedProcess(argv, code, qemu.text(status.get("out-data", "")),
                                           qemu.text(status.get("err-data", "")))
        if check and code != 0:
            raise LabError(f"{self.name}: {shlex.join(argv)} exited with {code}: {done.stderr or done.stdout}")
        return done

    def shell(self, script, **kwargs):
        """Run a script of bash in the machine, which ends at the first command that fails."""
        return self.run(["bash", "-euc", script], **kwargs)

    def write(self, path, text, mode=0o644):
        """Write a whole file of the machine."""
        self.shell(f"install -D -m {mode:o} /dev/stdin {shlex.quote(path)}", input=text)

    def read(self, path):
        """A whole file of the machine."""
        return self.run(["cat", path]).stdout

    # Daemons, which systemd runs

    def start(self, unit, timeout=60):
        """Start a unit and wait until it is ready, as far as it says so."""
        self.run(["systemctl", "start", unit], timeout=timeout)

    def stop(self, unit, timeout=90):
        """Stop a unit and wait until it did."""
        self.run(["systemctl", "stop", unit], timeout=timeout)

    def restart(self, unit, timeout=120):
        self.run(["systemctl", "restart", unit], timeout=timeout)

    def signal(self, unit, number):
        """Send a signal to the main process of a unit."""
        self.run(["systemctl", "kill", "--kill-whom=main", f"--signal={int(number)}", unit])

    def kill(self, unit):
        """Kill the main process of a unit; systemd starts it again if the unit says so."""
        self.signal(unit, signal.SIGKILL)

    def show(self, unit, key):
        """A property of a unit, as systemctl shows it."""
        return self.run(["systemctl", "show", "--value", "-p", key, unit]).stdout.strip()

    def alive(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def pid(self, unit):
        """The process id, in the machine, of a unit's main process; 0 when it has none."""
        return int(self.show(unit, "MainPID"))

    def log(self, unit=None):
        """What a unit, or all of them, wrote to the journal since the machine was switched on."""
        return self.run(["journalctl", "-b", "--no-pager", "-o", "short-precise", *(["-u", unit] if unit else [])]).stdout

    def console(self):
        """What the machine wrote to its console."""
        with open(self.path("console"), errors="replace") as file:
            return file.read()

    # Faults

    def _cut(self):
        try:
            with open(self.path("cut")) as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def cut(self, network, cut=True):
        """Unplug the machine's cable of a network ('network' or 'storage'); cut=False plugs it in."""
        if network not in net.NETWORKS:
            raise LabError(f"a network is one of {', '.join(net.NETWORKS)}, not '{network}'")
        left = [name for name in self._cut() if name != network]
        write(self.path("cut"), " ".join(left + [network] if cut else left))
        if self.process():
            self.monitor("set_link", name=network, up=not cut)

    def link(self, up):
        """Plug (True) or unplug (False) the cable of the cluster's network."""
        self.cut("network", not up)

    def drop(self, other, drop=True):
        """Silently lose what this machine sends to the other one in the cluster's network; drop=False ends it."""
        lost = ["lladdr", "02:00:00:00:00:00", "nud", "permanent"] if drop else []
        self.run(["ip", "neigh", "replace" if drop else "del", other.addr, "dev", "eth0", *lost])

    def netem(self, *rules, network="network"):
        """Have the kernel delay or lose what the machine sends (netem("delay", "150ms")); no rules end it."""
        device = f"eth{net.NETWORKS.index(network)}"
        if rules:
            self.run(["tc", "qdisc", "replace", "dev", device, "root", "netem", *rules])
        else:
            self.run(["tc", "qdisc", "del", "dev", device, "root"])

    def clock(self, seconds):
        """Step the machine's clock by so many seconds."""
        self.shell(f"date -s @$(($(date +%s) + {int(seconds)}))")
