# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts that look often."""

import pytest
from conftest import BUILD, PREFIX, clear, wait_joined, wait_ready
from lab import Lab

PERIOD = 2  # seconds between collections


@pytest.fixture(scope="module")
def lab2():
    """Two hosts that look often."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}w", config={"jobs": {"collect_period": PERIOD}}) as lab:
        wait_joined(lab)
        yield lab


@pytest.fixture
def two(lab2):
    yield lab2.hosts
    for host in lab2.hosts:
        for daemon in ("sanlock", "virtxd"):
            if not host.alive(daemon):
                host.start(daemon)
        wait_ready(host, 120)
    for host in lab2.hosts:
        clear(host)


def held(host):
    """The names of the leases of disks that sanlock keeps."""
    names = [line.split(":")[1] for line in host.sanlock_status()["resources"]]
    return [name for name in names if not name.startswith("vm-")]
