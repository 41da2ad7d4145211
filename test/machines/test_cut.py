# SPDX-License-Identifier: GPL-2.0-or-later
"""The storage of one host is cut in the middle of a boot, a create, a migration, a delete or a shutdown, and comes back:
no host's API waits for it, and all is healed then. VIRTX_POINTS=10 tries so many points, from VIRTX_SEED on;
VIRTX_CUT_SECONDS=150 is a cut that ends with the watchdog, by default sanlock survives it."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import TIMES
from lab import LabError, wait_for
from lab.vms import RUNSTATES, disk, vmdef
from test_nfs import on_server, resource
from vmlab import each, guest
from vmlab.sample import Counts, Latency

SEED = int(os.environ.get("VIRTX_SEED", "1"))
POINTS = int(os.environ.get("VIRTX_POINTS", "2"))
SECONDS = float(os.environ.get("VIRTX_CUT_SECONDS", "0"))
SANLOCK = 80  # seconds without the storage after which sanlock ends a host's VMs

# How many seconds each takes on emulated hosts: the cut is somewhere in them.
TAKES = {"create": 5, "migrate": 18, "boot": 6, "delete": 5, "shutdown": 5}
DISKS = {"guest": ["guest.qcow2", "guest-count.raw"], "made": ["made.qcow2"]}


class Point:
    """An operation, and when and for how long which host's storage is cut in it."""

    def __init__(self, lab, seed):
        rand = random.Random(seed)
        self.lab, self.seed = lab, seed
        self.operation = list(TAKES)[seed % len(TAKES)]
        self.after = rand.uniform(0, TAKES[self.operation])
        self.seconds = SECONDS or rand.uniform(15, 45)
        self.host = rand.choice(lab.hosts) if self.operation == "migrate" else lab.hosts[1]
        self.lethal = self.seconds > SANLOCK - 20
        self.uuid = self.vms()["guest"][0]
        self.boots = 1

    def __str__(self):
        return (f"seed {self.seed}: {self.operation} with {self.host.name}'s storage cut after {self.after:.1f} s "
                f"for {self.seconds:.0f} s")

    def vms(self, host=None):
        """What a host lists: {name: (uuid, host, state)}; None while it cannot."""
        answer = (host or self.lab.hosts[0]).api("GET", "/vms")
        if answer.status != 200:
            return None
        return {item["fields"]["name"]: (item["uuid"], item["fields"]["host"], RUNSTATES[item["fields"]["runstate"]])
                for item in answer.json()["items"]}

    def power_off(self):
        h2 = self.lab.hosts[1]
        assert h2.virtx("shutdown", "vm", self.uuid).returncode == 0
        for host in self.lab.hosts:
            wait_for("the guest to be off", lambda host=host: self.vms(host)["guest"][2] == "poweroff", 60, 0.3)

    def prepare(self):
        if self.operation in ("boot", "delete"):
            self.power_off()

    def request(self):
        """The operation, on h2; its answer."""
        h1, h2 = self.lab.hosts
        path = f"/vms/{self.uuid}"
        self.boots += self.operation == "boot"
        return {
            "boot": lambda: h2.api("POST", f"{path}/runstate/boot", timeout=400),
            "shutdown": lambda: h2.api("DELETE", f"{path}/runstate/boot", {"force": 0}, timeout=400),
            "delete": lambda: h2.api("DELETE", path, {"deletestorage": True}, timeout=400),
            "migrate": lambda: h2.api("POST", f"{path}/runstate/migrate", {"host": h1.uuid, "migration_type": 1}, timeout=400),
            "create": lambda: h2.api("POST", "/vms", {"vmdef": vmdef("made", osdisk=disk("/vms/ds/made.qcow2", size=4)),
                                                      "host": h2.uuid}, timeout=400),
        }[self.operation]()

    # Afterwards

    def real(self):
        """What libvirt has: {uuid: [(host, off or running)]}."""
        found = {}
        for host in self.lab.hosts:
            on = host.virsh("list", "--uuid").stdout.split()
            for uuid in host.virsh("list", "--all", "--uuid").stdout.split():
                found.setdefault(uuid, []).append((host.uuid, "running" if uuid in on else "off"))
        return found

    def leases(self):
        """How many leases each host holds, by what the VMs are to hold and by sanlock."""
        seen = self.vms()
        wanted = {host.uuid: sum(len(DISKS[name]) + 1 for name, (_, at, state) in seen.items()
                                 if at == host.uuid and state == "running") for host in self.lab.hosts}
        return wanted, {host.uuid: len(host.sanlock_status()["resources"]) for host in self.lab.hosts}

    def left(self):
        """What is on the storage that no VM accounts for, or that a VM lacks."""
        wanted = set()
        for name, (uuid, host, _) in self.vms().items():
            wanted |= {f"xml/{host}/{uuid}.xml", f"lock/vm-{uuid}", f"lock/vm-{uuid}/vm-{uuid}"}
            for image in DISKS[name]:
                wanted |= {f"ds/{image}", f"lock/{resource(image)}", f"lock/{resource(image)}/{resource(image)}"}
        return wanted ^ set(on_server(self.lab, "ds", "lock", "xml"))

    def wrong(self):
        """What is not as it should be; None where all is."""
        views = [self.vms(host) for host in self.lab.hosts]
        if None in views or views[0] != views[1]:
            return views
        shown = {uuid: [(at, "off" if state in ("poweroff", "crashed") else state)] for uuid, at, state in views[0].values()}
        real = self.real()
        if shown != real:
            return shown, real
        wanted, held = self.leases()
        if wanted != held:
            return "leases", wanted, held
        for host in self.lab.hosts:
            going_on = host.api("GET", "/operations?state=started").json()["items"]
            problems = host.api("GET", f"/hosts/{host.uuid}").json().get("problems")
            if going_on or problems:
                return host.name, going_on, problems
        return self.left() or None

    def check_answer(self, answer):
        """What was answered is what came of it."""
        guest_is = self.vms().get("guest", (None, None, "gone"))
        made = "made" in self.vms()
        done = answer.status < 300
        TIMES.append(f"          answered {answer.status} {answer.text[:200]}; then {guest_is} {made}\n")
        if self.operation == "create":
            assert made == done, answer.text
        elif self.operation == "delete":
            assert (guest_is[2] == "gone") == done, answer.text
        elif self.operation == "boot" and not self.lethal:
            assert (guest_is[2] == "running") == done, answer.text
        elif self.operation == "migrate" and not self.lethal:
            assert guest_is[2] == "running", answer.text

    def check_guest(self):
        """It runs, or can be booted, once."""
        seen = self.vms().get("guest")
        if not seen:
            return
        host = next(host for host in self.lab.hosts if host.uuid == seen[1])
        if seen[2] != "running":
            self.boots += 1
            guest.boot(host, self.uuid)
        guest.wait_counting(self.lab, "guest")
        assert sum(host.virsh("list", "--uuid").stdout.split().count(self.uuid) for host in self.lab.hosts) == 1


def go(lab, point):
    h1, h2 = lab.hosts
    point.prepare()
    boots = [host.boot_id() for host in lab.hosts]
    with Latency(h1, h2) as latency, Counts(lab, "guest") as counts, ThreadPoolExecutor(1) as pool:
        time.sleep(6)
        request = pool.submit(point.request)
        time.sleep(point.after)
        latency.phase = "cut"
        point.host.cut("storage")
        time.sleep(point.seconds)
        point.host.cut("storage", False)
        mended = time.monotonic()
        latency.phase = "mended"
        each(lambda host: host.wait_ready(300), lab.hosts)
        TIMES.append(f"{time.monotonic() - mended:6.1f} s  until both were ready after {point}\n")
        try:
            answer = request.result(300)
        except (OSError, TimeoutError):
            assert point.lethal
            answer = None
        try:
            wait_for("all to be healed", lambda: not point.wrong(), 120, 1)
        except LabError as error:
            raise AssertionError(f"{error}: {point.wrong()}") from None
        TIMES.append(f"{time.monotonic() - mended:6.1f} s  until all was healed\n")
        if answer:
            point.check_answer(answer)
        point.check_guest()
        assert counts.restarts() <= point.boots, counts.seen
    for host in lab.hosts:
        for phase in ("cut", "mended"):
            TIMES.append(f"          {phase}: {latency.tell(host, phase)}\n")
        assert latency.figures(host, "cut")[1] < max(2, point.seconds / 8)
    was_reset = [host.boot_id() != boot for host, boot in zip(lab.hosts, boots, strict=True)]
    assert point.lethal or was_reset == [False, False]


@pytest.mark.parametrize("seed", range(SEED, SEED + POINTS))
def test_cut(running, seed):
    point = Point(running, seed)
    try:
        go(running, point)
    except BaseException:
        print(point)
        for host in running.hosts:
            print(host.name, host.readyz(), host.virtx("list", "operation").stdout)
            print(host.log("virtxd")[-6000:])
        raise
