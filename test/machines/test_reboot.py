# SPDX-License-Identifier: GPL-2.0-or-later
"""A host goes down and comes back: what becomes of its VMs, and what the other host sees. VIRTX_REBOOTS=20 reboots so
often (once), with VIRTX_VMS VMs (5)."""

import json
import os
import re
import time
from datetime import datetime

from conftest import TIMES, VMS
from lab import PATIENCE, wait_for
from lab.vms import wait_runstate
from test_smoke import leases
from vmlab import each, guest
from vmlab.watch import Watch

REBOOTS = int(os.environ.get("VIRTX_REBOOTS", "1"))
WRONG = 10 * PATIENCE  # seconds for which the other host may say what is not so any more
DOWN = 60 * PATIENCE  # seconds in which a host is down, beside those of its guests
JOIN = 30 * PATIENCE  # seconds in which a host joins, once it has what it needs
ON = 2  # what a VM is wanted to be that has run, and has not asked to be off itself
EXPIRY = 8 * 10 + 60  # seconds after its last renewal when the leases of a host may be taken
# Seconds: of the units, and 90 of systemd's own for each thing that does not end, of which one is left.
HUNG = 320
LOCKSPACE = "__VIRTX__DISKS__"


def renewed(host, lockid, root="/vms"):
    """The last renewal of a host_id in the lockspace, as it is on the disk; 0 when its host has left."""
    for line in host.run(["sanlock", "direct", "dump", f"{root}/lock/{LOCKSPACE}"]).stdout.splitlines():
        words = line.split()  # offset, lockspace, name of the host, time, host_id, generation
        if len(words) > 4 and words[1] == LOCKSPACE and int(words[-2]) == lockid:
            return int(words[-3])
    raise AssertionError(f"host_id {lockid} is not in the lockspace")


def lockid(host):
    return host.api("GET", f"/hosts/{host.uuid}").json()["lockid"]


def test_poweroff(running):
    """A host that is switched off has left, for as long as it is off; its guest is off as it was asked."""
    h1, h2 = running.hosts
    uuid = h1.api("GET", "/vms").json()["items"][0]["uuid"]
    number = lockid(h2)
    with Watch(h1) as watch:
        with running.timed("power a host off"):
            h2.run(["systemctl", "poweroff"])
            wait_for("h2 to be off", lambda: h2.process() is None, 300, 0.2)
        assert renewed(h1, number) == 0
        wait_for("h1 to see it", lambda: watch.said(h2.uuid)[-1] == "left", 30)
        with running.timed("power it on"):
            h2.power("on")
            h2.wait_ready(180)
        wait_for("h1 to see h2 again", lambda: watch.said(h2.uuid)[-1] == "active", 30)
    assert watch.said(h2.uuid) == ["active", "left", "active"], watch.changes
    assert [state for state in watch.said(uuid) if state != "terminating"] == ["running", "poweroff"], watch.changes
    wait_runstate(h2, uuid, "poweroff")
    assert h2.api("GET", f"/vms/{uuid}").json()["want"] == ON
    guest.boot(h2, uuid)
    guest.wait_counting(running, "guest")


# Reboots

def ahead(host):
    """By how many seconds the machine's clock is ahead of this one."""
    begin = time.time()
    there = float(host.run(["date", "+%s.%N"]).stdout)
    return there - (begin + time.time()) / 2


def stopped(host):
    """Of the boot before this one: when each unit began to stop, and when it had stopped, by the machine's clock."""
    begun, ended = {}, {}
    for line in host.run(["journalctl", "-b", "-1", "-o", "json", "--output-fields=UNIT,JOB_RESULT", "_PID=1",
                          "JOB_TYPE=stop"]).stdout.splitlines():
        entry = json.loads(line)
        times = ended if "JOB_RESULT" in entry else begun
        times[entry["UNIT"]] = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return begun, ended


def went_off(host, uuid):
    """When QEMU of that VM ended last, by the machine's clock, as libvirtd has noted."""
    said = re.findall(r"^(\S+ \S+): shutting down, reason=(\w+)", host.read(f"/var/log/libvirt/qemu/{uuid}.log"), re.M)
    assert said and said[-1][1] == "shutdown", said
    return datetime.strptime(said[-1][0], "%Y-%m-%d %H:%M:%S.%f%z").timestamp()


def has_cluster(host):
    """Whether virtxd has libvirt and serf, so that the others may see the host."""
    said = host.readyz()[1]
    return said.startswith("{") and (parts := json.loads(said))["libvirt"] == parts["serf"] == ""


def active(host, unit):
    """How many seconds after the start of its kernel a unit of the host was active."""
    return float(host.show(unit, "ActiveEnterTimestampMonotonic")) / 1e6


class Reboot:
    """The reboot of a host, in the eyes of the other one: what it took, and what was said meanwhile."""

    def __init__(self, host, other, vms):
        self.host, self.clock = host, ahead(host)
        number, before, begin = lockid(host), host.boot_id(), time.time()
        with Watch(other) as self.watch:
            host.run(["systemctl", "reboot"])
            wait_for(f"{other.name} to see it", lambda: self.watch.said(host.uuid)[-1] != "active", 300, 0.2)
            wait_for(f"{host.name} to leave the lockspace", lambda: renewed(other, number) == 0, 60, 0.5)
            host.wait_boot(before)
            self.booted = time.time() - float(host.read("/proc/uptime").split()[0])
            wait_for(f"{host.name} to have libvirt and serf", lambda: has_cluster(host), 300, 0.2)
            back = time.time()
            host.wait_ready(300)
            ready = time.time()
            wait_for(f"{other.name} to see {host.name} again", lambda: self.watch.said(host.uuid)[-1] == "active", 60)
        stops, ends = self.stops, self.ends = stopped(host)
        # virtxd joins when the last of these is there.
        parts = self.booted + max(active(host, unit) for unit in ("virtxd", "libvirtd", "sanlock", "vms.mount"))
        self.guests = ends["libvirt-guests.service"] - stops["libvirt-guests.service"]
        self.down = self.booted - begin - self.guests
        self.boot, self.join = parts - self.booted, ready - parts
        self.wrong_host = self.watch.wrong(host.uuid, [
            (begin, {"active"}), (self.here(stops["virtxd.service"]), {"active", "left"}),
            (self.here(ends["serf.service"]), {"left"}), (self.booted, {"active", "left"}), (back, {"active"})])
        self.wrong_vms = {uuid: self.watch.wrong(uuid, [
            (begin, {"running", "terminating"}), (self.here(went_off(host, uuid)), {"poweroff"})]) for uuid in vms}

    def here(self, at):
        """A time of the machine's clock before the reboot by this one's."""
        return at - self.clock

    def tell(self, what):
        TIMES.append(f"{self.down:6.1f} s  to go down in {what}, beside {self.guests:.1f} s of the guests; "
                     f"{self.boot:.1f} s to boot, {self.join:.1f} s to join; wrong on the other host for "
                     f"{max(self.wrong_vms.values(), default=0):.1f} s (VMs), {self.wrong_host:.1f} s (host); silent for {self.watch.silence:.1f} s\n")

    def check(self):
        """Nothing was said that was not so, and what stopped waited for what had to go before it."""
        watch = self.watch
        assert watch.said(self.host.uuid) == ["active", "left", "active"], watch.changes
        for uuid in self.wrong_vms:
            assert [state for state in watch.said(uuid) if state != "terminating"] == ["running", "poweroff"], watch.changes
            assert watch.first(uuid, "poweroff") < self.booted, "virtxd has not told before it stopped"
        assert max(self.wrong_host, watch.silence, *self.wrong_vms.values()) < WRONG, watch.changes
        # Where the host is slow, it is so both down and up.
        assert self.down < max(DOWN, self.boot)
        for first, then in ORDER:
            assert self.ends[first] <= self.stops[then], (first, then, self.stops, self.ends)


# What has to have stopped before the next is asked to.
ORDER = (("virtx-guests.service", "libvirt-guests.service"), ("libvirt-guests.service", "virtxd.service"),
         ("libvirt-guests.service", "libvirtd.service"),
         ("libvirt-guests.service", "virtx-lockspace.service"), ("virtxd.service", "serf.service"),
         ("virtx-lockspace.service", "sanlock.service"), ("sanlock.service", "wdmd.service"),
         ("virtx-lockspace.service", "vms.mount"))


def rejoin(host):
    """How long it takes to join a lockspace that was left, on a host that does nothing else."""
    host.stop("virtxd")
    host.run(["virtxd", "--lockspace", "leave"])
    host.run(["virtxd", "--lockspace", "allow"])
    begin = time.time()
    host.start("virtxd")
    host.wait_ready()
    return time.time() - begin


def test_reboot(several):
    """A host with VMs is rebooted: they are asked first, the other host is told, and the next join does not wait."""
    h1, h2 = several.hosts
    for number in range(1, REBOOTS + 1):
        if number > 1:
            several.restore(f"{VMS}vms")
        vms = [item["uuid"] for item in h1.api("GET", "/vms").json()["items"]]
        assert len(vms) == VMS and leases(h2) == 3 * VMS
        reboot = Reboot(h2, h1, vms)
        reboot.tell(f"reboot {number} of {REBOOTS}")
        reboot.check()
        join = rejoin(h2)
        TIMES.append(f"{join:6.1f} s  to join by a host that did nothing else\n")
        assert reboot.join < max(1.5 * join, JOIN)
        for host in several.hosts:
            for uuid in vms:
                wait_runstate(host, uuid, "poweroff")
                assert host.api("GET", f"/vms/{uuid}").json()["want"] == ON
        assert leases(h2) == 0


def end_hung(host):
    """Reboot a host whose storage does not answer any more; after how long its next boot began, and what had ended it."""
    before, said = host.boot_id(), len(host.console())
    host.cut("storage")
    begin = time.time()
    host.run(["systemctl", "reboot"])
    host.wait_boot(before, 600)
    took = time.time() - float(host.read("/proc/uptime").split()[0]) - begin
    by = "the watchdog" if "softdog: Initiating system reboot" in host.console()[said:] else "systemd"
    TIMES.append(f"{took:6.1f} s  until the reboot of {host.name} with hung storage was ended by {by}\n")
    host.cut("storage", False)
    host.wait_ready(300)
    return took, by


def test_hung(several):
    """Both hosts go down while their storage hangs: the one with VMs before others may take its leases."""
    h1, h2 = several.hosts
    vms = [item["uuid"] for item in h2.api("GET", "/vms").json()["items"]]
    (without, _), (took, by) = each(end_hung, several.hosts)
    # These are sanlock's own times, and those of units, which nothing stretches.
    assert not vms or took < EXPIRY and by == "the watchdog"
    assert without < HUNG
    for host in several.hosts:
        for uuid in vms:
            wait_runstate(host, uuid, "poweroff")
    for uuid in vms[:1]:
        guest.boot(h2, uuid)
        wait_runstate(h1, uuid, "running")
