# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a VM on whole machines, and what becomes of it when its host loses power."""

from lab import wait_for
from lab.vms import delete, runstate, wait_runstate
from vmlab import guest

CSTATES = ("unknown", "active", "left", "failed")


def leases(host):
    """How many leases are held on the host."""
    return len(host.sanlock_status()["resources"])


def host_state(lab, of, by):
    """The state of a host in the eyes of another, which may not have heard of it."""
    items = by.api("GET", "/hosts").json()["items"]
    return CSTATES[next((item["fields"]["cstate"] for item in items if item["uuid"] == of.uuid), 0)]


def place(host, uuid):
    """The host that a VM is on, in the eyes of this one."""
    return host.api("GET", f"/vms/{uuid}/runstate").json()["host"]


def test_life(machines):
    """Boot, live migration, and power loss of the host: the guest is where VirtX says, and its disks are leased once."""
    lab = machines
    h1, h2 = lab.hosts
    with lab.timed("create and boot a VM"):
        uuid = guest.start(lab, "smoke")
    assert (leases(h1), leases(h2)) == (0, 3)
    assert "<domain type='kvm'" in h2.virsh("dumpxml", uuid).stdout

    with lab.timed("migrate it live"):
        moved = h1.virtx("migrate", "vm", uuid, "-h", h1.uuid, "--live", "--wait", timeout=180)
        assert moved.returncode == 0, moved.stderr
        wait_for("h2 to know that it runs on h1", lambda: (place(h2, uuid), runstate(h2, uuid)) == (h1.uuid, "running"), 30, 0.2)
    guest.wait_counting(lab, "smoke")
    assert (leases(h1), leases(h2)) == (3, 0)

    h1.power("off")
    with lab.timed("see that the host has failed"):
        wait_for("h2 to miss h1", lambda: host_state(lab, h1, h2) == "failed", 60, 0.2)
    assert h2.readyz()[0] == 200
    with lab.timed("switch it on"):
        h1.power("on")
    # As a host that has died it waits until its number in the lockspace is free.
    with lab.timed("have it ready again"):
        h1.wait_ready(300)
    wait_for("h2 to see h1 again", lambda: host_state(lab, h1, h2) == "active", 60, 0.2)
    for host in lab.hosts:
        wait_runstate(host, uuid, "poweroff")
        assert place(host, uuid) == h1.uuid
    assert (leases(h1), leases(h2)) == (0, 0)

    with lab.timed("boot the VM again"):
        guest.boot(h1, uuid)
        guest.wait_counting(lab, "smoke")
    with lab.timed("shut it down and delete it"):
        assert h1.virtx("shutdown", "vm", uuid).returncode == 0
        wait_runstate(h2, uuid, "poweroff")
        delete(h1, uuid)
    assert lab.storage.run(["ls", "/srv/vms/ds"]).stdout == ""
