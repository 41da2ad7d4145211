# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that crashed are booted again on their host: which, and which not."""

import os
import signal

import pytest
from conftest import create, delete, disk, runstate, vmdef, wait_ready, wait_runstate
from lab import wait_for


@pytest.fixture
def booted(host):
    """A function that makes a VM with this policy, and boots it; all of them are deleted."""
    def make(name, policy):
        uuid = create(host, vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2"), custom=[{"name": "ha", "value": policy}]))
        made.append(uuid)
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 204, answer.text
        return uuid

    made = []
    yield make
    wait_ready(host)
    for uuid in made:
        host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        delete(host, uuid)


def boots(host, uuid):
    """The boots of the VM: who asked for each, and how it ended."""
    return [(item["user"], item["state"]) for item in host.api("GET", f"/operations?vm={uuid}").json()["items"]
            if item["op"] == "VmBoot"]


def is_up(host, uuid):
    return host.virsh("domstate", uuid).stdout.strip() == "running" and runstate(host, uuid) == "running"


@pytest.mark.parametrize("virtxd", ["up", "down"])
def test_killed(lab1, host, booted, virtxd):
    uuid = booted(f"crash{virtxd}", "restart")
    other = booted(f"stays{virtxd}", "none")
    before = host.qemu_pid(uuid)
    if virtxd == "down":
        host.kill("virtxd")
    for vm in (uuid, other):
        os.kill(host.qemu_pid(vm), signal.SIGKILL)
    if virtxd == "down":
        wait_for("the crash", lambda: "crashed" in host.virsh("domstate", "--reason", uuid).stdout, 30)
        host.start("virtxd")
        wait_ready(host)
    wait_for("the VM to be booted again", lambda: ("virtxd", "completed") in boots(host, uuid), 60)
    wait_for("the VM to be up", lambda: is_up(host, uuid), 20)
    assert host.qemu_pid(uuid) != before
    # It would have been at the same time.
    assert runstate(host, other) == "crashed" and ("virtxd", "completed") not in boots(host, other)


def test_ended(lab1, host, booted):
    """Whoever destroys a VM wants it to be off, by whatever means."""
    ended, crashed = booted("destroyed", "restart"), booted("crashed", "restart")
    host.virsh("destroy", ended)
    wait_runstate(host, ended, "poweroff")
    os.kill(host.qemu_pid(crashed), signal.SIGKILL)
    wait_for("the other one to be booted again", lambda: ("virtxd", "completed") in boots(host, crashed), 60)
    assert runstate(host, ended) == "poweroff"
    # One that was shut down after its crash stays off.
    os.kill(host.qemu_pid(crashed), signal.SIGKILL)
    wait_runstate(host, crashed, "crashed")
    answer = host.api("DELETE", f"/vms/{crashed}/runstate/boot", {"force": 2})
    assert answer.status in (200, 204), answer.text
    third = booted("third", "restart")
    for vm in (third, third):
        pid = host.qemu_pid(vm)
        os.kill(pid, signal.SIGKILL)
        wait_for("the VM to be booted again", lambda: host.qemu_pid(vm) not in (None, pid) and is_up(host, vm), 90)
    assert runstate(host, crashed) in ("crashed", "poweroff")
    assert boots(host, crashed).count(("virtxd", "completed")) == 1
