# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations between two real hosts: the VM is on exactly one of them, before, after, and whatever happens meanwhile."""

import os

import pytest
from conftest import BUILD, PREFIX, RUNSTATES, create, delete, disk, oplog, vmdef, wait_ready
from lab import Lab, wait_for

COLD, LIVE = 0, 1


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}m") as lab:
        for host in lab.hosts:
            wait_ready(host)
            wait_for("both hosts", lambda: len(host.api("GET", "/hosts?cstate=active").json()["items"]) == 2, 30)
        yield lab


def migrate(host, uuid, target, kind, **more):
    return host.api("POST", f"/vms/{uuid}/runstate/migrate",
                    {"host": target.uuid, "migration_type": kind, **more}, timeout=60)


def operation(host, answer):
    """What a migration that was begun came to."""
    assert answer.status == 202, answer.text
    name = answer.headers["Location"]

    def ended():
        found = host.api("GET", name).json()
        return found if found["state"] != "started" else None
    return wait_for("the migration to end", ended, 60)


def domains(host):
    return set(host.virsh("list", "--all", "--uuid").stdout.split())


def check_place(lab, uuid, here, state):
    """The VM is on this host alone: by libvirt, by the registry, and by what every host answers."""
    wait_for(f"VM {uuid} to be {state} on {here.name}", lambda: all(
        host.api("GET", f"/vms/{uuid}/runstate").json() == {
            "runstate": RUNSTATES.index(state), "host": here.uuid} for host in lab.hosts), 30)
    for host in lab.hosts:
        assert (uuid in domains(host)) == (host is here), host.name
        wait_for("the registry", lambda: os.path.exists(
            f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") == (host is here), 20)
        assert not os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.journal")


def test_cold(lab2):
    one, two = lab2.hosts
    uuid = create(one, vmdef("cold"))
    before = one.api("GET", f"/vms/{uuid}").json()["def"]
    for source, target in ((one, two), (two, one)):
        done = operation(source, migrate(source, uuid, target, COLD))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, "poweroff")
        wait_for("its definition", lambda: one.api("GET", f"/vms/{uuid}").json()["def"] == before, 10)
    wait_for("the record", lambda: oplog(one, uuid)["VmMigrate"]["status"] == "completed", 20)
    delete(one, uuid)


def test_live(lab2):
    one, two = lab2.hosts
    uuid = create(one, vmdef("live"))
    before = one.api("GET", f"/vms/{uuid}").json()["def"]
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    for source, target in ((one, two), (two, one)):
        done = operation(source, migrate(source, uuid, target, LIVE))
        assert done["state"] == "completed", done
        check_place(lab2, uuid, target, "running")
        wait_for("its definition", lambda: one.api("GET", f"/vms/{uuid}").json()["def"] == before, 10)
        assert len(target.sanlock_status()["resources"]) == 1
        assert source.sanlock_status()["resources"] == []
        wait_for("the record", lambda: oplog(target, uuid)["VmMigrate"]["status"] == "completed", 20)
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(one, uuid)
