# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that stand still: who has their leases meanwhile, and whether they may go on."""

import os
import re

import pytest
from conftest import create, runstate, vmdef, wait_ready
from disks import resource
from lab import wait_for
from test_migrate import LIVE, migrate, operation
from two_hosts import held, lab2, two  # noqa: F401


def taken_elsewhere(host, path):
    """Somebody on this host takes the lease of a disk, and gives it back."""
    name = resource(path)
    host.run(["sanlock", "client", "command", "-r", f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0",
              "-c", "/bin/true"])


def test_pause_holds(lab2, two):
    """What virtxd has paused nobody else can run; it can be moved, ended and deleted all the same."""
    here, there = two
    uuid = create(here, vmdef("held"))
    name = resource("/vms/ds/held.qcow2")
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    for _ in range(2):
        assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
        assert held(here) == [name]
        done = there.run(["sanlock", "client", "command", "-r", f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0",
                          "-c", "/bin/true"], check=False)
        assert "acquire fail" in done.stdout + done.stderr or done.returncode != 0, (done.stdout, done.stderr)
        assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
        assert held(here) == [name]
    assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    done = operation(here, migrate(here, uuid, there, LIVE))
    assert done["state"] == "completed", done
    wait_for("the leases to be free here", lambda: held(here) == [], 10)
    assert runstate(there, uuid) == "paused"
    assert there.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert held(there) == [name]
    assert there.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert there.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    answer = there.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 204 and not answer.headers["Warning"], answer.headers
    assert not os.path.exists(f"{lab2.vms}/ds/held.qcow2") and not os.path.exists(f"{lab2.vms}/lock/{name}")


def recorded(host, uuid):
    """The version at which the lease of the VM's disk is recorded to have been held, or None."""
    done = host.virsh("metadata", uuid, "--uri", "virtx-leases", check=False)
    return int(re.search(r"\b(\d+):(?!vm-)", done.stdout).group(1)) if done.returncode == 0 else None


def record(host, uuid, version):
    """Write another version of it."""
    text = re.search(r">(.+)<", host.virsh("metadata", uuid, "--uri", "virtx-leases").stdout).group(1)
    host.virsh("metadata", uuid, "--uri", "virtx-leases", "--key", "virtx-leases", "--live", "--set",
               f"<held>{re.sub(r'[0-9]+:(?!vm-)', f'{version}:', text)}</held>")


def wait_recorded(host, uuid, but=None):
    wait_for("the lease to be recorded", lambda: recorded(host, uuid) not in (None, but), 20)
    return recorded(host, uuid)


def test_resume_after_others(lab2, two):
    """Another has used the disk while the VM was paused."""
    here, there = two
    uuid = create(here, vmdef("memory"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert recorded(here, uuid), "it is not recorded when the boot has been answered"
    here.virsh("suspend", uuid)
    assert held(here) == []
    # Nobody did: fine.
    assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    for _ in range(2):
        was = recorded(here, uuid)
        here.virsh("suspend", uuid)
        here.virsh("resume", uuid)
        wait_recorded(here, uuid, but=was)
    here.virsh("suspend", uuid)
    assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    assert recorded(here, uuid) is None
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    here.virsh("suspend", uuid)
    taken_elsewhere(there, "/vms/ds/memory.qcow2")
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 409 and "was taken by another since" in answer.json()["detail"], answer.text
    assert runstate(here, uuid) == "paused" and held(here) == []
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204


@pytest.mark.parametrize("way", ["taken", "untouched", "unrecorded", "resumed meanwhile"])
def test_resume_after_nobody_looked(lab2, two, way):
    """Paused by virsh, and its lease taken elsewhere and given back, while no virtxd was here to see it."""
    here, there = two
    uuid = create(here, vmdef("unseen"))
    here.virsh("start", uuid)
    was = wait_recorded(here, uuid)
    here.stop("virtxd")
    here.virsh("suspend", uuid)
    if way == "taken":
        taken_elsewhere(there, "/vms/ds/unseen.qcow2")
    if way == "unrecorded":
        here.virsh("metadata", uuid, "--uri", "virtx-leases", "--remove", "--live")
    if way == "resumed meanwhile":
        here.virsh("resume", uuid)
    here.start("virtxd")
    wait_ready(here)
    if way == "resumed meanwhile":
        assert wait_recorded(here, uuid, but=was) == was + 1
        here.virsh("suspend", uuid)
    wait_for("it to be seen paused", lambda: runstate(here, uuid) == "paused", 20)
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    if way in ("taken", "unrecorded"):
        why = "was taken by another since" if way == "taken" else "nothing is recorded of the lease"
        assert answer.status == 409 and why in answer.json()["detail"], answer.text
        assert "/vms/ds/unseen.qcow2" in answer.json()["detail"] and "force" in answer.json()["detail"], answer.text
        assert runstate(here, uuid) == "paused" and held(here) == []
        assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    else:
        assert answer.status == 204, answer.text


def test_new_virtxd_records(lab2, two):
    """VMs that were running before there was a virtxd that records their leases; and what is recorded is never another's
    doing, so that a VM whose leases nobody keeps gets no record."""
    here, there = two
    uuid = create(here, vmdef("older"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    was = recorded(here, uuid)
    here.stop("virtxd")
    here.virsh("metadata", uuid, "--uri", "virtx-leases", "--remove", "--live")
    here.start("virtxd")
    assert wait_recorded(here, uuid) == was
    # One that moves has the leases of its new host.
    done = operation(here, migrate(here, uuid, there, LIVE))
    assert done["state"] == "completed", done
    assert wait_recorded(there, uuid, but=was) == was + 1
    # Paused by virtxd, it is held without a gap, wherever a job ends.
    assert there.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert recorded(there, uuid) == was + 2
    record(there, uuid, was + 1)
    assert there.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert recorded(there, uuid) == was + 3


def test_pause_gap(lab2, two):
    """What virtxd holds tells nothing of what was before: a version that was skipped was another's."""
    here, _ = two
    uuid = create(here, vmdef("gap"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    wait_recorded(here, uuid)
    assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    record(here, uuid, recorded(here, uuid) - 2)
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 409 and "was taken by another since" in answer.json()["detail"], answer.text
    assert runstate(here, uuid) == "paused" and held(here) == [resource("/vms/ds/gap.qcow2")]


def test_resume_after_sanlock(lab2, two):
    """sanlock was killed and started again while the VM was paused."""
    here, _ = two
    uuid = create(here, vmdef("lost"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    here.kill("sanlock")
    here.start("sanlock")
    wait_for("the VM to be named", lambda: uuid in here.api("GET", "/readyz").json()["lockspace"], 60)
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 503 and "sanlock does not keep" in answer.json()["detail"], answer.text
    assert runstate(here, uuid) == "paused"
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
