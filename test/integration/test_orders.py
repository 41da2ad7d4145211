# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is done to a VM in whatever order, on two hosts: its image is not lost, it never runs twice, and what is
refused says why. The checker knows libvirt, QEMU's processes, sanlock and the storage, and nothing of virtxd.
VIRTX_PAIRS=all does every ordered pair of actions, VIRTX_RUNS=200 so many random runs of four, from VIRTX_SEED on."""

import contextlib
import hashlib
import itertools
import os
import random
import signal
import threading
import time

import pytest
from conftest import BUILD, PREFIX, create, disk, vmdef, wait_joined, wait_ready
from lab import Lab, LabError, net, wait_for
from test_migrate import COLD, LIVE

SEED = int(os.environ.get("VIRTX_SEED", "1"))
RUNS = int(os.environ.get("VIRTX_RUNS", "2"))
PATTERN = "0x5a"
ENDED = ("completed", "failed")


@pytest.fixture(scope="module")
def lab2():
    """Two hosts that look often."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}o", config={"jobs": {"collect_period": 2}}) as lab:
        wait_joined(lab)
        yield lab


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")
    except OSError:
        return []


class Run:
    """One VM, and what is done to it."""

    def __init__(self, lab, name, rand):
        self.lab, self.name, self.rand = lab, name, rand
        self.image = f"{lab.vms}/ds/{name}.qcow2"
        self.lease = hashlib.md5(f"{name}.qcow2".encode()).hexdigest()
        self.trace, self.deleting = [], False
        self.uuid = create(lab.hosts[0], vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2", size=1)))
        lab.hosts[0].run(["qemu-io", "-c", f"write -P {PATTERN} 0 64k", f"/vms/ds/{name}.qcow2"])
        self.xml = lab.hosts[0].virsh("dumpxml", self.uuid, "--inactive", "--security-info").stdout

    # What is true, without virtxd.

    def processes(self, host):
        """The QEMUs of the VM on this host."""
        return [pid for pid in net.pids(host.netns) if self.uuid in command_line(pid) and
                any("qemu-system" in word for word in command_line(pid)[:1])]

    def state(self, host):
        """libvirt's word, None while it does not answer or has no such VM."""
        if not host.alive("libvirtd"):
            return None
        done = host.virsh("domstate", self.uuid, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def defined(self):
        return [host for host in self.lab.hosts if self.state(host) is not None]

    def registered(self):
        return [host for host in self.lab.hosts
                if os.path.exists(f"{self.lab.vms}/xml/{host.uuid}/{self.uuid}.xml")]

    def place(self):
        """The host where things are done: that of its process, else of the registry."""
        return next((host for host in self.lab.hosts if self.processes(host)),
                    next(iter(self.registered()), self.lab.hosts[0]))

    def other(self):
        here = self.place()
        return next(host for host in self.lab.hosts if host is not here)

    def check(self):
        """What must be so at any time."""
        running = [host for host in self.lab.hosts if self.state(host) == "running"]
        if len(running) > 1:  # one that has just moved was asked before it did
            running = [host for host in running if self.state(host) == "running"]
        assert len(running) <= 1, f"runs on {[host.name for host in running]}"
        if not self.deleting:
            assert os.path.exists(self.image), "the image is lost"
            assert os.path.exists(f"{self.lab.vms}/lock/{self.lease}/{self.lease}"), "the lease is lost"
        for host in self.lab.hosts:
            with contextlib.suppress(FileNotFoundError):
                with open(f"{host.state}/log/libvirt/qemu/{self.uuid}.log", encoding="utf-8", errors="replace") as log:
                    # Both hosts' QEMUs are on one kernel, whose lock hides that a second one was started.
                    assert 'Failed to get "write" lock' not in log.read(), f"started twice, on {host.name}"

    def check_content(self):
        done = self.lab.hosts[0].run(["qemu-io", "-r", "-U", "-c", f"read -P {PATTERN} 0 64k",
                                      f"/vms/ds/{self.name}.qcow2"], check=False)
        assert done.returncode == 0 and "verification failed" not in done.stdout, f"the content is lost: {done}"

    # What is done.

    def ask(self, method, path="", body=None, host=None):
        """An API call through any host; a refusal says why."""
        host = host or self.rand.choice(self.lab.hosts)
        try:
            answer = host.api(method, f"/vms/{self.uuid}{path}", body, timeout=60)
        except OSError as error:
            self.trace.append(f"  {method} {path} at {host.name}: {error!r}")
            return None
        self.trace.append(f"  {method} {path} at {host.name}: {answer.status} "
                          f"{answer.headers.get('Warning', '')} {answer.text[:400]}")
        if answer.status >= 400:
            detail = answer.json()["detail"]
            allowed = (404, 409, 422, 424, 503, 507) + ((500,) if "was killed" in detail else ())
            assert answer.status in allowed and len(detail) > 15, f"refused without reason: {answer}"
        return answer

    def define_elsewhere(self):
        other = self.other()
        if other.alive("libvirtd") and self.state(other) is None:
            other.run(["tee", "/run/stale.xml"], input=self.xml)
            self.trace.append(f"  at {other.name}: {other.virsh('define', '/run/stale.xml', check=False)}")

    def pause(self):
        self.ask("POST", "/runstate/pause")

    def resume(self):
        self.ask("DELETE", "/runstate/pause")

    def boot(self):
        self.ask("POST", "/runstate/boot")

    def stop_sanlock(self):
        here = self.place()
        if here.alive("sanlock"):
            here.kill("sanlock")

    def restart_sanlock(self):
        here = self.place()
        self.stop_sanlock()
        here.start("sanlock")

    def kill_libvirtd(self):
        here = self.place()
        here.kill("libvirtd")
        here.start("libvirtd")

    def delete(self):
        self.deleting = True
        answer = self.ask("DELETE", "", {"deletestorage": True})
        # A refusal that the request is not to blame for may be followed by its end.
        if answer and answer.status in (404, 409, 422):
            self.deleting = False
        if answer and answer.status == 404:
            self.deleting = not os.path.exists(self.image)

    def update(self):
        definition = vmdef(self.name, osdisk=disk(f"/vms/ds/{self.name}.qcow2", size=1))
        definition["memory"]["total"] = self.rand.choice((64, 72))
        self.ask("PUT", "", {"vmdef": definition, "deletestorage": True})

    def migrate(self):
        kind = LIVE if self.processes(self.place()) else COLD
        answer = self.ask("POST", "/runstate/migrate", {"host": self.other().uuid, "migration_type": kind})
        if not answer or answer.status != 202:
            return
        where = answer.headers["Location"]

        def ended():
            self.check()
            for host in self.lab.hosts:
                with contextlib.suppress(OSError):
                    found = host.api("GET", where)
                    if found.status == 200 and found.json()["state"] in ENDED:
                        return found.json()
            return None

        with contextlib.suppress(LabError):  # its end may be lost with the daemon that is killed
            done = wait_for("the migration to end", ended, 30, 0.2)
            self.trace.append(f"  {done}")
            assert done["state"] == "completed" or done["msg"], done

    def kill_job(self):
        """The job of whatever fits what the VM is now, at some moment of it."""
        here = self.place()
        off = not self.processes(here)
        act = self.rand.choice((self.boot, self.migrate) if off else (self.pause, self.migrate, self.resume))
        moment = self.rand.random() * 0.8
        stop = threading.Event()

        def kill():
            deadline = time.monotonic() + 20
            while not stop.is_set() and time.monotonic() < deadline:
                found = [pid for host in self.lab.hosts for pid in host.jobs()]
                if found:
                    time.sleep(moment)
                    for pid in found:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    return
                time.sleep(0.01)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            act()
        finally:
            stop.set()
            killer.join()

    def do(self, action):
        self.trace.append(f"{action} ({', '.join(h.name + ' ' + str(self.state(h)) for h in self.lab.hosts)})")
        getattr(self, action)()
        self.check()

    # How it ends.

    def settled(self):
        """Everything is of one mind: the VM is in one place, or nowhere."""
        self.check()
        journals = [host for host in self.lab.hosts
                    if os.path.exists(f"{self.lab.vms}/xml/{host.uuid}/{self.uuid}.journal")]
        if journals or any(not host.alive("libvirtd") for host in self.lab.hosts):
            return False
        defined, registered = self.defined(), self.registered()
        if self.deleting and not registered:
            # A definition that somebody made of it afterwards stays, and does not run.
            return (not os.path.exists(self.image) and not os.path.exists(f"{self.lab.vms}/lock/{self.lease}") and
                    not any(self.processes(host) for host in self.lab.hosts))
        return len(defined) == 1 and defined == registered and os.path.exists(self.image)

    def mend(self):
        for host in self.lab.hosts:
            for daemon in ("libvirtd", "sanlock", "virtxd"):
                if not host.alive(daemon):
                    host.start(daemon, 60)

    def finish(self):
        self.mend()
        try:
            wait_for("all to be of one mind", self.settled, 60, 0.3)
        except LabError:
            raise AssertionError(f"defined {self.defined()}, registered {self.registered()}, image "
                                 f"{os.path.exists(self.image)}, deleting {self.deleting}") from None
        if os.path.exists(self.image):
            self.check_content()
            self.check_protection()

    def check_protection(self):
        """A running VM has its lease, or its host says that it runs without."""
        for host in self.lab.hosts:
            if self.state(host) != "running":
                continue

            def protected():
                for pid in self.processes(host):
                    if any(self.lease in line and line.endswith(f" p {pid}")
                           for line in host.sanlock_status()["resources"]):
                        return True
                answer = host.api("GET", "/readyz")
                return answer.status != 200 and self.uuid in answer.text

            wait_for("the lease of a VM that runs, or a word about it", protected, 10, 0.3)

    def remove(self):
        """Whatever state it is in; the last resort is not the API."""
        self.mend()

        def gone():
            with contextlib.suppress(OSError):
                self.ask("DELETE", "/runstate/boot", {"force": 2})
                self.ask("DELETE", "", {"deletestorage": True})
            return not self.defined() and not self.registered()

        self.deleting = True
        wait_for("the VM to be deleted", gone, 60, 0.5)
        for host in self.lab.hosts:
            wait_ready(host, 60)


ACTIONS = ("define_elsewhere", "pause", "stop_sanlock", "restart_sanlock", "kill_job", "kill_libvirtd", "delete",
           "update", "migrate", "resume", "boot")
ALL_PAIRS = list(itertools.product(ACTIONS, repeat=2))
FEW_PAIRS = [("define_elsewhere", "delete"), ("pause", "migrate"), ("restart_sanlock", "resume"), ("kill_job", "boot")]
PAIRS = ALL_PAIRS if os.environ.get("VIRTX_PAIRS") == "all" else FEW_PAIRS


def play(lab, name, actions, seed, on):
    """Does one after the other, and shows all of it when something is wrong."""
    rand = random.Random(seed)
    run = Run(lab, name, rand)
    try:
        if on:
            answer = run.ask("POST", "/runstate/boot", host=lab.hosts[0])
            assert answer and answer.status in (200, 204), answer
        for action in actions:
            run.do(action)
        run.finish()
    except (AssertionError, LabError) as error:
        raise AssertionError(f"{error}\n" + "\n".join(run.trace)) from None
    finally:
        run.remove()


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_pair(lab2, pair):
    play(lab2, "-".join(action.replace("_", "")[:12] for action in pair), pair, SEED, True)


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_random(lab2, seed):
    rand = random.Random(seed)
    play(lab2, f"run-{seed}", [rand.choice(ACTIONS) for _ in range(4)], seed, rand.random() < 0.6)
