# SPDX-License-Identifier: GPL-2.0-or-later
"""The watchdog: hosts say whether it protects them, and it does, before another host may take a dead one's leases."""

import signal
import time

from conftest import TIMES
from lab import wait_for
from lab.util import PATIENCE
from lab.vms import RUNSTATES, create, vmdef, wait_joined, wait_runstate
from test_reboot import renewed
from vmlab import each, guest

COLLECTION = 15  # seconds, by default
IO_TIMEOUT = 10  # sanlock's, by default
RENEWAL = 8 * IO_TIMEOUT  # after which sanlock takes its host_id for lost
FIRE = 60  # the watchdog's, in wdmd
TEST = 10  # between two looks of wdmd at its clients, each of which makes the watchdog wait anew
BOOT = 10 * PATIENCE  # until the kernel counts its seconds, after the reset
IN_TIME = (RENEWAL + FIRE - TEST - 1, RENEWAL + FIRE + BOOT)  # from the last renewal to the reset


def why(host):
    """What a host says is missing of its own protection."""
    return host.api("GET", "/readyz").json()["watchdog"]


def column(host):
    """What the list of hosts shows, by host."""
    title, *lines = host.virtx("list", "host", check=True).stdout.splitlines()
    at = title.index("WATCHDOG")
    return {line.split()[0]: line[at:].split()[0] for line in lines}


def expect_on(lab, *hosts):
    for host in hosts:
        wait_for(f"{host.name} to say that it is protected", lambda: why(host) == "", 2 * COLLECTION)
    for host in lab.hosts:
        wait_for(f"{host.name} to show it", lambda: all(column(host)[other.uuid] == "on" for other in hosts), 60)


def expect_off(lab, host, text):
    """Within two collections it says what is missing; and all show it, as soon as serf has told them."""
    begin = time.monotonic()
    wait_for(f"'{text}' in /readyz of {host.name}", lambda: text in why(host), 2 * COLLECTION)
    TIMES.append(f"{time.monotonic() - begin:6.1f} s  until told: {text}\n")
    for other in lab.hosts:
        wait_for(f"{other.name} to show it", lambda: column(other)[host.uuid] == "off", 60)


def test_told(lab):
    """Of wdmd and its device each is told when it is missing, and when it is back; the log has it once for each change."""
    h1, h2 = lab.hosts
    expect_on(lab, h1, h2)
    # wdmd does not end while sanlock has a lockspace.
    h2.stop("virtx-lockspace")
    h2.stop("wdmd")
    expect_off(lab, h2, "wdmd does not run")
    expect_off(lab, h2, "no watchdog device is active: watchdog0 (Software Watchdog)")
    h2.run(["rmmod", "softdog"])
    expect_off(lab, h2, "the host has no watchdog device")
    h2.run(["modprobe", "softdog"])
    h2.start("wdmd")
    expect_on(lab, h1, h2)
    h2.start("virtx-lockspace")
    h2.wait_ready()
    lines = h2.log("virtxd").splitlines()
    process = f"[{h2.run(['systemctl', 'show', '--value', '-p', 'MainPID', 'virtxd']).stdout.strip()}]: "  # this one's alone
    said = [line.split(process, 1)[1] for line in lines if process in line and "watchdog protects this host" in line]
    assert said[-1].endswith("a watchdog protects this host"), said
    assert all(line != following for line, following in zip(said, said[1:])), said


def uptime(host):
    return float(host.read("/proc/uptime").split()[0])


def fall(lab, host, fault):
    """Do something to a host, and wait until it has booted again: seconds from its last renewal to the reset, about."""
    lockid = host.api("GET", f"/hosts/{host.uuid}").json()["lockid"]
    before = host.boot_id()
    zero = time.monotonic() - uptime(host)
    begin = time.monotonic()
    renewals = []

    def booted():
        if host.boot_id() not in (None, before):
            return True
        renewals.append(renewed(lab.storage, lockid, "/srv/vms"))
        return False

    fault()
    wait_for(f"{host.name} to be reset", booted, RENEWAL + FIRE + 60, 1)
    reset = time.monotonic() - uptime(host)
    last = zero + max(renewals)
    TIMES.append(f"{reset - begin:6.1f} s  from the fault to the reset of {host.name}, "
                 f"{reset - last:.1f} s from its last renewal\n")
    return reset - last


def check_back(lab, vms):
    """The hosts have joined again, and each VM is off where it was."""
    for host in lab.hosts:
        with lab.timed(f"{host.name} joins after that"):
            host.wait_ready(240)
    wait_joined(lab)
    for host, uuid in vms:
        wait_runstate(host, uuid, "poweroff")
    expect_on(lab, *lab.hosts)
    for host in lab.hosts:
        items = host.api("GET", "/vms").json()["items"]
        assert sorted((item["fields"]["host"], item["uuid"], item["fields"]["runstate"]) for item in items) == sorted(
            (other.uuid, uuid, RUNSTATES.index("poweroff")) for other, uuid in vms)


def test_sanlock_gone(running):
    """sanlock of one host is dead, and that of the other is stopped: the watchdogs reset them before another host may
    take their leases. Their VMs are off and not lost, and they join again, with nobody's help."""
    h1, h2 = running.hosts
    uuid = h1.api("GET", "/vms").json()["items"][0]["uuid"]
    other = create(h1, vmdef("other"))
    guest.boot(h1, other)
    expect_on(running, h1, h2)
    faults = {h1: lambda: h1.signal("sanlock", signal.SIGSTOP), h2: lambda: h2.kill("sanlock")}
    for took in each(lambda host: fall(running, host, faults[host]), running.hosts):
        assert IN_TIME[0] <= took <= IN_TIME[1]
    check_back(running, [(h1, other), (h2, uuid)])
    for host, vm in ((h1, other), (h2, uuid)):
        guest.boot(host, vm)
    guest.wait_counting(running, "guest")


def test_storage_cut(running):
    """The same of a host that has lost its storage; it joins when the storage is back."""
    h1, h2 = running.hosts
    uuid = h1.api("GET", "/vms").json()["items"][0]["uuid"]
    expect_on(running, h1, h2)
    took = fall(running, h2, lambda: h2.cut("storage"))
    h2.cut("storage", False)
    assert IN_TIME[0] <= took <= IN_TIME[1]
    check_back(running, [(h2, uuid)])
