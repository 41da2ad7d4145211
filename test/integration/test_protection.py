# SPDX-License-Identifier: GPL-2.0-or-later
"""sanlock that dies, stops, starts again or is taken out of the lockspace while VMs run."""

import os
import signal
import threading

import pytest
from conftest import BUILD, PREFIX, create, delete, runstate, vm_told, vmdef, wait_ready, wait_runstate
from lab import Lab, LabError, wait_for
from test_migrate import LIVE, detach_agent, ended

SPACE = "__VIRTX__DISKS__"


@pytest.fixture(scope="module")
def lab():
    """Two hosts of their own, which are mistreated."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}protect") as lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


def ready(host):
    return host.api("GET", "/readyz").json()


def wait_unready(host, text, seconds=2):
    """/readyz is 503 within so many seconds, and the lockspace's reason comes to be this."""
    wait_for("/readyz to be 503", lambda: host.api("GET", "/readyz").status == 503, seconds)
    wait_for(f"'{text}' in /readyz", lambda: text in ready(host)["lockspace"], 30)


def leave(host):
    """Take the host out of the lockspace, as an administrator may."""
    space = next(line.split()[0] for line in host.sanlock_status()["lockspaces"])
    host.run(["sanlock", "client", "rem_lockspace", "-s", space])


def stop(host):
    host.signal("sanlock", signal.SIGSTOP)


def resume(host):
    host.signal("sanlock", signal.SIGCONT)


def unprotected(host):
    """VM and detail of each that the host says is unprotected."""
    return {problem["vm"]: problem["detail"] for problem in host.api(
        "GET", f"/hosts/{host.uuid}").json()["problems"] or [] if problem["kind"] == "unprotected"}


@pytest.mark.parametrize("break_it, mend, text", [
    (lambda host: host.kill("sanlock"), lambda host: host.start("sanlock"), "sanlock"),
    (stop, resume, "stopped"),
    (leave, lambda host: None, ""),
], ids=["killed", "stopped", "lockspace-removed"])
def test_loss_is_told(lab, break_it, mend, text):
    host = lab.hosts[0]
    wait_ready(host)
    uuid = create(host, vmdef("off"))
    break_it(host)
    wait_unready(host, text)
    if text:
        for answer in (host.api("POST", "/vms", {"vmdef": vmdef("refused"), "host": host.uuid}),
                       host.api("POST", f"/vms/{uuid}/runstate/boot")):
            assert answer.status == 503 and "lockspace: " in answer.json()["detail"], answer.text
    mend(host)
    wait_ready(host)
    delete(host, uuid)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_restarted_under_a_vm(lab, paused):
    """virtxd does not join while a VM is on that sanlock does not know, so that no other host gets its lease."""
    one, two = lab.hosts
    uuid = create(one, vmdef("zombie"))
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    if paused:
        assert one.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert unprotected(one) == {}
    one.kill("sanlock")
    wait_unready(one, "sanlock")
    wait_for("the problem", lambda: "sanlock does not answer" in unprotected(one).get(uuid, ""), 30)
    one.start("sanlock")
    wait_for("the reason", lambda: uuid in ready(one)["lockspace"], 30)
    assert "kill_unprotected" in ready(one)["lockspace"]
    wait_for("the problem", lambda: "does not know its process" in unprotected(one).get(uuid, ""), 30)
    assert one.sanlock_status()["lockspaces"] == []
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_ready(one)
    wait_for("no problem", lambda: unprotected(one) == {}, 30)
    wait_runstate(one, uuid, "poweroff")
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(one, uuid, "poweroff")
    delete(one, uuid)


def test_migration_to_a_host_that_just_lost_it(lab):
    """What the others know of a host is a moment old: it looks afresh when a VM comes."""
    one, two = lab.hosts
    uuid = create(one, vmdef("stays"))
    assert one.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    detach_agent(one, uuid)
    wait_ready(two)
    two.signal("virtxd", signal.SIGSTOP)
    leave(two)
    # Whatever it has to do first: the request and the news come at the same time.
    answers = []
    asking = threading.Thread(target=lambda: answers.append(one.api(
        "POST", f"/vms/{uuid}/runstate/migrate", {"host": two.uuid, "migration_type": LIVE}, timeout=60)))
    asking.start()
    two.signal("virtxd", signal.SIGCONT)
    asking.join()
    if answers[0].status == 202:
        found = wait_for("the end", lambda: ended(one, answers[0]), 60)
        assert found["state"] == "failed" and "lockspace" in found["msg"], found
    else:
        assert answers[0].status == 503 and "lockspace" in answers[0].text, answers[0].text
    assert uuid not in two.virsh("list", "--all", "--uuid").stdout
    assert len(one.sanlock_status()["resources"]) == 2
    wait_ready(two)
    assert one.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(one, uuid, "poweroff")
    delete(one, uuid)


def test_kill_unprotected(lab):
    """The configuration has such a VM ended, loudly."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("killed"))
    host.configure({"sanlock": {"kill_unprotected": "yes"}})
    try:
        host.restart("virtxd")
        wait_ready(host)
        assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        host.kill("sanlock")
        wait_unready(host, "sanlock")
        assert runstate(host, uuid) == "running"
        host.start("sanlock")
        wait_ready(host)
        wait_runstate(host, uuid, "poweroff")
        assert f"VM '{uuid}' was ended by kill_unprotected" in host.log("virtxd")
        wait_reason(host, uuid, "it was ended by force by kill_unprotected: sanlock does not keep the leases of its process ")
        delete(host, uuid)
    finally:
        host.configure({})
        host.restart("virtxd")
        wait_ready(host)


def test_ended_by_sanlock(lab):
    """The reason of a VM that sanlock ended is that its leases were lost, and stays so."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("ended"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    leave(host)
    wait_for("the VM to be off", lambda: runstate(host, uuid) in ("poweroff", "crashed"), 60)
    wait_reason(host, uuid, "its leases were lost: ")
    wait_ready(host)
    assert reason(host, uuid).startswith("its leases were lost: ")
    assert "its leases were lost: " in host.virtx("get", "vm", uuid).stdout
    delete(host, uuid)


def reason(host, uuid):
    """Why it is in its state, by both ways to ask."""
    told = vm_told(host, uuid)["runinfo"]["reason"]
    wait_for("the same reason", lambda: host.api("GET", f"/vms/{uuid}/runstate").json()["reason"] == told, 1)
    return told


def wait_reason(host, uuid, why):
    """Wait until its reason begins so; what it is instead is shown where it does not."""
    told = [""]

    def is_told():
        told[0] = reason(host, uuid)
        return told[0].startswith(why)

    try:
        wait_for("the reason", is_told)
    except LabError as error:
        raise AssertionError(f"the reason is '{told[0]}'") from error


HOOK = """#!/bin/sh
[ "$2" = started ] && kill -KILL %d
exit 0
"""


def test_leases_not_recorded(lab):
    """sanlock dies as the VM begins to run: it runs, and the answer says what that is without."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("norecord"))
    hook = host.path("/etc/libvirt/hooks/qemu")
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    with open(hook, "w") as file:
        file.write(HOOK % host.pid("sanlock"))
    os.chmod(hook, 0o755)
    try:
        host.restart("libvirtd")
        wait_ready(host)
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 200, answer.text
        assert f"VM '{uuid}' runs, and its leases are not recorded" in answer.headers["Warning"]
        assert "cannot ask sanlock" in answer.headers["Warning"]
        assert runstate(host, uuid) == "running"
    finally:
        os.unlink(hook)
        host.restart("libvirtd")
        host.virsh("destroy", uuid, check=False)
        host.start("sanlock")
    wait_ready(host)
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_lease_not_held(lab):
    """A VM that runs without its lease while the lockspace is joined is told as well."""
    host = lab.hosts[0]
    uuid = create(host, vmdef("bare"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    lease = host.sanlock_status()["resources"][0]
    resource, _, pid = lease.partition(" p ")
    host.run(["sanlock", "client", "release", "-r", resource.rpartition(":")[0], "-p", pid])
    wait_for("the problem", lambda: "holds 1 of its 2 leases" in unprotected(host).get(uuid, ""), 60)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("no problem", lambda: unprotected(host) == {}, 60)
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_listens_on_loopback_alone(lab):
    """A host that the others cannot reach is no part of a cluster, and says where it would have to listen."""
    one, two = lab.hosts
    two.configure({"http": {"listen": ["127.0.0.1:8080 open"]}})
    two.restart("virtxd")
    wait_for("the reason", lambda: ready(two)["listen"] ==
             f"others cannot reach this host: listen on {two.addr}", 60)
    assert two.api("GET", "/readyz").status == 503
    assert f"others cannot reach this host: listen on {two.addr}" in two.log("virtxd")
    assert ready(one)["listen"] == ""
    two.configure({})
    two.restart("virtxd")
    wait_ready(two)


def test_joining_is_called_joining(lab):
    """What is said while virtxd joins anew is that it does."""
    host = lab.hosts[0]
    leave(host)
    host.restart("virtxd")
    said = set()

    def is_ready():
        answer = host.api("GET", "/readyz")
        said.add(answer.json()["lockspace"])
        return answer.status == 200
    wait_for("the host to be ready", is_ready, 60)
    assert "it is being joined" in said
    assert said <= {"", "it is being joined", "it is joined when libvirt has told this host's uuid",
                    "it is joined when the storage is there"}, said
