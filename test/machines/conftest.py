# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab of whole machines that the tests share, and what most of them do with a VM."""

import glob
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "test"))

from lab.vms import create  # noqa: E402
from vmlab import VmLab, guest  # noqa: E402

PREFIX = os.environ.get("VIRTX_LAB_PREFIX", "it")  # of the labs' names: two runs at once need two

BUILD = os.path.abspath(os.environ.get("VIRTX_BUILD", os.path.join(ROOT, "build-vmlab")))


VMS = int(os.environ.get("VIRTX_VMS", "5"))  # of the fixture 'several'

TIMES = []


def pytest_terminal_summary(terminalreporter):
    """What the lab took how long for is part of the result."""
    for text in TIMES:
        terminalreporter.write(text)


def packages(folder):
    """The packages that are installed, of a folder."""
    found = [path for name in ("virtx", "virtx-client", "virtx-doc") for path in glob.glob(f"{folder}/{name}_*.deb")]
    assert len(found) == 3, found
    return found


@pytest.fixture(scope="session")
def new():
    """The packages of the tree; VIRTX_PACKAGES is a folder with others."""
    folder = os.environ.get("VIRTX_PACKAGES")
    if not folder:
        folder = f"{BUILD}/packages"
        subprocess.run(["rm", "-rf", folder], check=True)
        subprocess.run([f"{ROOT}/test/package", "deb", folder], check=True)
    return packages(folder)


@pytest.fixture(scope="session")
def machines():
    """Two hosts and their storage, as the last test left them."""
    with VmLab(2, build_dir=BUILD, name=f"{PREFIX}vm") as lab:
        yield lab
        TIMES.append(lab.times())


@pytest.fixture
def lab(machines):
    """Two hosts that are ready, without VMs."""
    machines.restore("ready")
    yield machines


@pytest.fixture
def running(machines):
    """The same with a VM named 'guest', which runs on h2."""
    machines.restore("running")
    yield machines


@pytest.fixture
def several(machines):
    """The same with VMS VMs on h2; a snapshot of the lab's own, since it takes long to boot them."""
    snapshot = f"{VMS}vms"
    if snapshot not in machines.snapshots():
        machines.restore("ready")
        h2 = machines.hosts[1]
        names = [f"vm{i}" for i in range(1, VMS + 1)]
        with machines.timed(f"create and boot {VMS} VMs"):
            for name in names:
                h2.wait_ready()
                guest.boot(h2, create(h2, guest.definition(machines, name)))
            for name in names:
                guest.wait_counting(machines, name)
        machines.snapshot(snapshot)
    machines.restore(snapshot)
    yield machines
