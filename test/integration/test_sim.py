# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster of simulated hosts: real virtxd and serf, VMs that are none (see test/bench/sim)."""

import os
import subprocess

from conftest import BUILD

SIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench/sim")
CALLS = os.path.join(os.path.dirname(SIM), "calls")


def test_small_cluster():
    done = subprocess.run(
        [SIM, "--build", BUILD, "--hosts", "6", "--vms", "20", "--percent", "50", "--seconds", "12",
         "--settle", "4", "steady", "storm"], capture_output=True, text=True, timeout=120)
    print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all bars hold\n")


def test_system_calls():
    done = subprocess.run([CALLS, BUILD], capture_output=True, text=True, timeout=120)
    print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr
