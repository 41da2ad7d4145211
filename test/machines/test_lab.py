# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: machines go back to what they were, agree about the time, and leave nothing behind."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import PREFIX, ROOT
from lab import LabError, wait_for
from lab.net import NETNS_DIR
from vmlab import VmLab


@pytest.fixture(scope="module")
def bare():
    """One machine beside the storage, on which nothing is configured."""
    with VmLab(1, name=f"{PREFIX}bare", snapshot="bare") as lab:
        yield lab


def times(lab):
    """The clocks of the machines, in seconds."""
    return [float(machine.run(["date", "+%s.%N"]).stdout) for machine in lab.machines]


def test_snapshots(bare):
    h1 = bare.hosts[0]
    h1.write("/root/kept", "one")
    bare.snapshot("one")
    boot = h1.boot_id()
    h1.write("/root/kept", "two")
    h1.cut("storage")
    bare.restore("one")
    assert (h1.read("/root/kept"), h1.boot_id()) == ("one", boot)
    h1.run(["ping", "-c", "1", "-W", "20", "nfs"])
    with pytest.raises(LabError, match="there is a snapshot 'one'"):
        bare.snapshot("one")
    bare.forget("one")
    with pytest.raises(LabError, match="there is no snapshot 'one'"):
        bare.restore("one")


def test_time(bare):
    """Of a snapshot, and of a machine that is switched on later, it is the same."""
    bare.restore("bare")
    h1 = bare.hosts[0]
    assert max(times(bare)) - min(times(bare)) < 5
    for how in ("off", "on", "reset"):
        h1.power(how)
    assert max(times(bare)) - min(times(bare)) < 5
    h1.clock(+3600)
    assert 3590 < max(times(bare)) - min(times(bare)) < 3650


def made_of(machine):
    """How many CPUs and NUMA nodes it has, hugepages that its kernel was asked for, and CPUs with AVX2."""
    return machine.shell("nproc; ls -d /sys/devices/system/node/node? | wc -l; cat /proc/sys/vm/nr_hugepages; "
                         "grep -cw avx2 /proc/cpuinfo || true").stdout.split()


def test_equipment(bare):
    """A machine is made of something else, and of what it was in a snapshot."""
    bare.restore("bare")
    h1 = bare.hosts[0]
    h1.write("/root/kept", "kept")
    with pytest.raises(LabError, match="no machine has a 'wings'"):
        h1.equip(wings=2)
    before = made_of(h1)
    h1.equip(cpus=2, nodes=2, memory=1536, cpu="-avx2", cmdline="hugepages=8")
    assert h1.read("/root/kept") == "kept"
    assert made_of(h1) == ["2", "2", "8", "0"]
    bare.snapshot("equipped")
    h1.equip()
    assert made_of(h1) == before
    bare.restore("equipped")
    assert made_of(h1) == ["2", "2", "8", "0"]
    bare.forget("equipped")


def test_cables(bare):
    bare.restore("bare")
    h1 = bare.hosts[0]
    ping = ["ping", "-c", "1", "-W", "2", "nfs"]
    h1.cut("storage")
    assert h1.run(ping, check=False).returncode != 0
    h1.power("off")
    h1.power("on")
    assert h1.run(ping, check=False).returncode != 0
    h1.cut("storage", False)
    wait_for("the storage to be reached", lambda: h1.run(ping, check=False).returncode == 0, 30)


def test_nothing_is_left_of_a_test_that_died():
    name = f"{PREFIX}dies"
    namespace = f"{NETNS_DIR}/virtx-vmlab-{name}"
    code = ("import sys, time; from vmlab import VmLab; VmLab(1, name=sys.argv[1], snapshot='bare').up(); "
            "print('up', flush=True); time.sleep(600)")
    test = subprocess.Popen([sys.executable, "-c", code, name], env={**os.environ, "PYTHONPATH": f"{ROOT}/test"},
                            stdout=subprocess.PIPE)
    assert test.stdout.readline() == b"up\n"
    test.send_signal(signal.SIGKILL)
    test.wait()
    lab = VmLab.attach(name)
    pids = [machine.process() for machine in lab.machines]
    assert all(pids) and os.path.exists(namespace)
    lab.down()
    assert not any(machine.process() for machine in lab.machines)
    assert not os.path.exists(namespace)
