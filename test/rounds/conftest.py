# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with watchdogs, and VMs on them whose guests count their seconds."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from lab import Lab, wait_for  # noqa: E402
from lab.vms import create, disk, vmdef, wait_ready  # noqa: E402
from rounds.watch import Watch  # noqa: E402

PREFIX = os.environ.get("VIRTX_LAB_PREFIX", "it")  # of the labs' names: two runs at once need two
BUILD = os.path.abspath(os.environ.get("VIRTX_BUILD", os.path.join(ROOT, "build")))
T, F = 2, 60  # s: sanlock's io_timeout, which wdmd, that looks every 10 s, takes for none if it is 1; a watchdog's fire timeout
VMS = int(os.environ.get("VIRTX_VMS", "8"))

FIGURES = []


def pytest_terminal_summary(terminalreporter):
    """What was measured is part of the result."""
    for text in FIGURES:
        terminalreporter.write(f"{text}\n")


def is_armed(host):
    answer = host.api("GET", f"/hosts/{host.uuid}")
    return answer.status == 200 and answer.json()["ha"]["armed"]


@pytest.fixture(scope="session")
def lab():
    lab = Lab(3, build_dir=BUILD, name=f"{PREFIX}rounds", watchdog=True, config={
        "ha": {"enabled": "yes", "policy": "restart"}, "jobs": {"collect_period": 2},
        "sanlock": {"io_timeout": T}})
    for host in lab.hosts:
        host.sanlock_name = None
    with lab:
        for host in lab.hosts:
            wait_ready(host)
        for host in lab.hosts:
            wait_for(f"{host.name} to be armed", lambda host=host: is_armed(host), 150)
        yield lab


@pytest.fixture(scope="session")
def guests(lab):
    """VMs that are wanted on, all on the first host: {uuid: name}."""
    paths = subprocess.run([os.path.join(ROOT, "test", "guest", "build")], check=True, text=True, stdout=subprocess.PIPE)
    image = next(path for path in paths.stdout.split() if "counter" in path)
    host = lab.hosts[0]
    found = {}
    for number in range(VMS):
        name = f"guest{number}"
        boot = f"/vms/ds/{name}.qcow2"
        host.run(["qemu-img", "convert", "-O", "qcow2", image, boot])
        uuid = create(host, vmdef(name, osdisk={"path": boot, "man": 1}, disks=[disk(f"/vms/ds/{name}-count.raw", size=1)],
                                  custom=[{"name": "ha_order", "value": str(number % 9 + 1)}]))
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 204, answer.text
        found[uuid] = name
    return found


@pytest.fixture(scope="session")
def watch(lab, guests):
    with Watch(lab, guests) as watch:
        wait_for("all guests to count", lambda: all(watch.count(uuid) > 2 for uuid in guests), 120)
        yield watch
