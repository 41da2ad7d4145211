# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that goes down leaves the lockspace, and virtxd does not take it back."""

import pytest
from conftest import BUILD, create, delete, runstate, vmdef, wait_ready, wait_runstate
from lab import wait_for

PROGRAM = f"{BUILD}/virtxd/virtxd"


def ready(host):
    return host.api("GET", "/readyz").json()


def joined(host):
    return host.sanlock_status()["lockspaces"] != []


@pytest.fixture
def allowed(host):
    yield
    host.run([PROGRAM, "--lockspace", "allow"])
    wait_ready(host)


def test_leave_waits_for_vms(host, allowed):
    """Only once no VM holds a lease is the lockspace left, and no VM is hurt by it."""
    uuid = create(host, vmdef("guest"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    leaving = host.popen([PROGRAM, "--lockspace", "leave"])
    wait_for("the host to be going down", lambda: host.run(
        ["test", "-e", "/run/virtx/down"], check=False).returncode == 0)
    assert joined(host) and runstate(host, uuid) == "running"
    assert leaving.poll() is None
    shut = host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    assert shut.status == 204, shut.text
    wait_runstate(host, uuid, "poweroff")
    assert leaving.wait(30) == 0
    assert not joined(host)
    wait_for("/readyz to say it", lambda: "goes down" in ready(host)["lockspace"], 30)
    refused = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert refused.status == 503 and "goes down" in refused.json()["detail"], refused.text
    host.run([PROGRAM, "--lockspace", "allow"])
    wait_ready(host)
    assert joined(host)
    delete(host, uuid)


def test_sanlock_stops_after_it(host, allowed):
    """sanlock, which ignores SIGTERM in a lockspace, ends, and the host's id is free at once."""
    host.run([PROGRAM, "--lockspace", "leave"])
    assert not joined(host)
    host.stop("sanlock")
    host.start("sanlock")
    # A second time there is nothing to leave.
    host.run([PROGRAM, "--lockspace", "leave"])
    wait_for("/readyz to say it", lambda: "goes down" in ready(host)["lockspace"], 30)
    assert not joined(host)


def test_usage(host):
    wrong = host.run([PROGRAM, "--lockspace", "join"], check=False)
    assert wrong.returncode == 2 and "usage" in wrong.stderr
