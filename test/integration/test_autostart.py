# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that are booted after their host was: which, in which order, once, and what is told of those that do not start."""

import json
import os
import signal

import pytest
from conftest import create, delete, disk, oplog, runstate, vm_told, vmdef, wait_ready
from lab import wait_for

DELAY = 2
KEPT = "/run/virtx/autostart"


@pytest.fixture
def booted(lab1, host):
    """A function that makes a VM with these custom fields, and boots it; all of them are deleted."""
    def make(name, **custom):
        fields = [{"name": key, "value": value} for key, value in custom.items()]
        uuid = create(host, vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2"), custom=fields))
        made.append(uuid)
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 204, answer.text
        return uuid

    made = []
    host.configure({"ha": {"boot_delay": DELAY}})
    yield make
    host.configure({})
    host.restart("virtxd")
    wait_ready(host)
    for uuid in made:
        host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        delete(host, uuid)


def lose_power(host, uuids):
    """All that a host loses with it, but its sanlock's generation."""
    if host.alive("virtxd"):
        host.kill("virtxd")
    for uuid in uuids:
        os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    for uuid in uuids:
        wait_for("the VM to be off", lambda: host.virsh("domstate", uuid).stdout.strip() == "shut off", 30)
    host.restart("libvirtd")
    host.run(["rm", "-f", KEPT])


def is_over(host):
    """Nothing is left to be booted."""
    if host.run(["test", "-e", KEPT], check=False).returncode:
        return False
    return not [vm for vm in json.loads(host.run(["cat", KEPT]).stdout)["vms"] or [] if not vm["why"]]


def start(host):
    host.start("virtxd")
    wait_ready(host)


def problems(host):
    """The details of VMs that were not started."""
    return {problem["vm"]: problem["detail"] for problem in host.api(
        "GET", f"/hosts/{host.uuid}").json()["problems"] or [] if problem["kind"] == "not-started"}


def collected(host):
    ts = host.api("GET", f"/hosts/{host.uuid}").json()["ts"]
    wait_for("the VMs to be collected", lambda: host.api("GET", f"/hosts/{host.uuid}").json()["ts"] > ts, 60)


def test_after_a_power_loss(host, booted):
    """Those that ran and are to be brought back, by their order and then by name, with a delay, and only once."""
    late = booted("late", ha="restart", ha_order="9")
    b = booted("b", ha="restart")
    a = booted("a", ha="restart")
    none = booted("none", ha="none")
    silent = booted("silent")
    off = booted("off", ha="restart")
    assert host.api("DELETE", f"/vms/{off}/runstate/boot", {"force": 2}).status == 204
    lose_power(host, [late, b, a, none, silent])
    start(host)
    for uuid in (a, b, late):
        wait_for(f"VM {uuid} to run", lambda: runstate(host, uuid) == "running", 60)
    wait_for("the end", lambda: is_over(host), 60)
    assert {runstate(host, uuid) for uuid in (none, silent, off)} <= {"poweroff", "crashed"}
    boots = [oplog(host, uuid)["VmBoot"] for uuid in (a, b, late)]
    for before, after in zip(boots, boots[1:]):
        assert after["ts"] - before["te"] >= DELAY * 1000
    done = [item for item in host.api("GET", "/operations").json()["items"] if item["user"] == "virtxd"]
    assert [(item["op"], item["state"], item["vm"]) for item in reversed(done)] == \
        [("VmBoot", "completed", uuid) for uuid in (a, b, late)]
    assert problems(host) == {}

    # A restart of virtxd alone boots nothing.
    host.virsh("destroy", b)
    wait_for("the VM to be off", lambda: runstate(host, b) == "poweroff", 30)
    host.restart("virtxd")
    wait_ready(host)
    collected(host)
    assert runstate(host, b) == "poweroff"
    assert vm_told(host, b)["want"] == 2
    # Nor does what was kept of another boot of the host keep it from that.
    kept = json.loads(host.run(["cat", KEPT]).stdout)
    host.stop("virtxd")
    host.run(["tee", KEPT], input=json.dumps({**kept, "boot": none}))
    start(host)
    wait_for(f"VM {b} to run", lambda: runstate(host, b) == "running", 60)


def test_one_that_does_not_start(lab1, host, booted):
    """It is told of, and not tried again; the others are booted."""
    broken = booted("broken", ha="restart", ha_order="1")
    fine = booted("fine", ha="restart")
    lose_power(host, [broken, fine])
    os.rename(f"{lab1.vms}/ds/broken.qcow2", f"{lab1.vms}/broken.away")
    try:
        start(host)
        wait_for(f"VM {fine} to run", lambda: runstate(host, fine) == "running", 60)
        wait_for("the end", lambda: is_over(host), 60)
        for again in (False, True):
            if again:
                host.restart("virtxd")
                wait_ready(host)
                wait_for("the problem", lambda: broken in problems(host), 30)
            else:
                failed = [item for item in host.api("GET", "/operations").json()["items"] if item["vm"] == broken]
                assert [(item["op"], item["state"], item["user"]) for item in failed] == [("VmBoot", "failed", "virtxd")]
            assert list(problems(host)) == [broken]
            assert "broken.qcow2" in problems(host)[broken] and "not tried again" in problems(host)[broken]
        assert f"VM '{broken}', which is wanted on, did not start" in host.log("virtxd")
    finally:
        os.rename(f"{lab1.vms}/broken.away", f"{lab1.vms}/ds/broken.qcow2")
    assert runstate(host, broken) in ("poweroff", "crashed")
    assert host.api("POST", f"/vms/{broken}/runstate/boot").status == 204
    wait_for("no problem", lambda: problems(host) == {}, 60)


def test_virtxd_killed_in_between(host, booted):
    """The next one goes on with what is left."""
    host.configure({"ha": {"boot_delay": 5, "policy": "restart"}})
    vms = [booted(name) for name in ("k1", "k2", "k3")]
    lose_power(host, vms)
    start(host)
    wait_for("the first one to run", lambda: runstate(host, vms[0]) == "running", 60)
    host.kill("virtxd")
    start(host)
    for uuid in vms:
        wait_for(f"VM {uuid} to run", lambda: runstate(host, uuid) == "running", 60)
    wait_for("the end", lambda: is_over(host), 60)


def test_bad_policy(host):
    """The field is named, at a create and at an update."""
    for name, value in (("ha", "always"), ("ha_order", "10")):
        definition = vmdef("bad", custom=[{"name": "x", "value": "y"}, {"name": name, "value": value}])
        answer = host.api("POST", "/vms", {"vmdef": definition, "host": host.uuid})
        assert answer.status == 400 and "vmdef.custom[1].value" in answer.json()["detail"], answer.text
    uuid = create(host, vmdef("bad"))
    definition = {**vm_told(host, uuid)["def"], "custom": [{"name": "ha", "value": "no"}]}
    answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": definition, "deletestorage": False})
    assert answer.status == 400 and "'restart' or 'none', not 'no'" in answer.json()["detail"], answer.text
    delete(host, uuid)
