# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts die in one way after another, VIRTX_ROUNDS (1) times each: their VMs are brought back, and none ever runs twice."""

import os
import signal
import time

import pytest
from conftest import FIGURES, F, T, is_armed
from lab import daemons, wait_for
from lab.vms import wait_ready

ROUNDS = int(os.environ.get("VIRTX_ROUNDS", "1"))
BACK = 8 * T + F + 2 * T + 15  # s, from the death of a host until all of its VMs run elsewhere


def kill(host):
    host.power_off()


def stop_sanlock(host):
    """It renews nothing any more, and neither does wdmd then: the watchdog resets the host."""
    host.signal("sanlock", signal.SIGSTOP)


def kill_sanlock(host):
    host.kill("sanlock")


def restart_sanlock(host):
    """It comes back by another name, and knows nothing of the VMs that run."""
    host.kill("sanlock")
    host.start("sanlock")


def kill_wdmd(host):
    """Nobody keeps the watchdog from its reset."""
    host.kill("wdmd")


FAULTS = [kill, stop_sanlock, kill_sanlock, restart_sanlock, kill_wdmd]
BOUND = {kill: BACK}  # s; of the others it is when the watchdog fires that counts


def come_back(host):
    """All is started that does not run, as after a boot."""
    if not all(host.alive(daemon) for daemon in ("wdmd", "sanlock")):
        host.power_off()
    for daemon in daemons.order(host.lab):
        if not host.alive(daemon):
            host.start(daemon, 60)
    wait_ready(host, 180)


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_host_dies(lab, guests, watch, fault, number):
    where = {uuid: watch.places(uuid) for uuid in guests}
    victim = max(lab.hosts, key=lambda host: sum(host in hosts for hosts in where.values()))
    for host in lab.hosts:
        wait_for(f"{host.name} to be armed", lambda host=host: is_armed(host), 150)
    theirs = [uuid for uuid in guests if victim in watch.places(uuid)]
    wait_for("its guests to count", lambda: all(watch.count(uuid) > 2 for uuid in theirs), 60)
    before = {uuid: watch.boots(uuid) for uuid in guests}
    began = time.monotonic()
    fault(victim)
    wait_for("its guests to count anew", lambda: all(watch.boots(uuid) > before[uuid] for uuid in theirs),
             BOUND.get(fault, BACK + 60))
    took = time.monotonic() - began
    FIGURES.append(f"{fault.__name__} {number}: {len(theirs)} VMs of {victim.name} count again {took:.1f} s later")
    assert watch.wrong == []
    come_back(victim)
    for uuid in guests:
        wait_for("the VM to be at one host", lambda uuid=uuid: [host for host in lab.hosts if uuid in host.virsh(
            "list", "--all", "--uuid").stdout.split()] == watch.places(uuid), 90)
    assert {uuid: watch.boots(uuid) - before[uuid] for uuid in guests} == {uuid: int(uuid in theirs) for uuid in guests}
    assert watch.wrong == []
