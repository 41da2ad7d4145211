# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live migration can be told, what it tells meanwhile, and how the command line shows it."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess

import pytest
from conftest import BUILD, oplog, runstate, vm_told
from lab import wait_for
from test_events import Stream
from test_kill import jobs
from test_migrate import (LIVE, check_place, counter, counting, ended, lab2, migrate, operation)  # noqa: F401

SLOW = 4  # MiB/s


def transfer(host, uuid):
    """How far it is, None while there is nothing to tell."""
    answer = host.api("GET", f"/vms/{uuid}/runstate/migrate")
    progress = answer.json()["progress"] if answer.status == 200 else None
    return progress if progress and progress["total"] else None


def hurry(host, uuid):
    """Lets a slow migration end: QEMU that emulates a CPU misses some of what the guest writes meanwhile."""
    host.virsh("migrate-setspeed", uuid, "10000")


@pytest.fixture
def home(lab2, counting):  # noqa: F811
    """Afterwards the VM is on the first host again, and counts."""
    one, two = lab2.hosts
    yield one, two, counting
    wait_for("what a failed test began to end", lambda: not [
        item for host in lab2.hosts for item in host.api("GET", "/operations").json()["items"]
        if item["vm"] == counting and item["state"] == "started"], 120)
    where = next(host for host in lab2.hosts if host.uuid == one.api(
        "GET", f"/vms/{counting}/runstate").json()["host"])
    if where is not one:
        wait_for("the agent's channel", lambda: "vdagent" in two.virsh("dumpxml", counting).stdout, 30)
        done = operation(two, migrate(two, counting, one, LIVE))
        assert done["state"] == "completed", done
    check_place(lab2, counting, one, "running")
    before = counter(lab2)
    wait_for("the guest to count on", lambda: counter(lab2) > before, 30)
    wait_for("the agent's channel", lambda: "vdagent" in one.virsh("dumpxml", counting).stdout, 30)


def test_progress(home):
    """By the statistics, by the operation, and by the events that every host streams."""
    one, two, uuid = home
    stream = Stream(two)
    begun = migrate(one, uuid, two, LIVE, bandwidth=SLOW, downtime=500)
    first = wait_for("the transfer", lambda: transfer(one, uuid), 30)
    assert 0 < first["remaining"] <= first["total"] and first["iteration"] >= 1
    wait_for("it to get on", lambda: (now := transfer(one, uuid)) and
             now["transferred"] > first["transferred"], 30)
    # What the statistics count is a little more than the memory; it begins with a burst.
    wait_for("it to keep to its bandwidth", lambda: 0 < transfer(one, uuid)["rate"] < 2 * SLOW, 10)
    known = vm_told(one, uuid)
    assert known["runinfo"]["runstate"] in (4, 6)
    wait_for("the operation to tell", lambda: one.api("GET", begun.headers["Location"]).json()["progress"] > 0, 10)
    hurry(one, uuid)
    done = operation(one, begun)
    assert done["state"] == "completed" and done["progress"] == 100, done
    seen = []
    while not seen or not seen[-1]["te"]:
        _, data = stream.until(lambda kind, data: kind == "operation" and data["id"] == done["id"])
        seen.append(data)
    stream.close()
    steps = [data["progress"] for data in seen]
    assert steps == sorted(steps) and [step for step in steps if 0 < step < 100], steps
    # Of the one that is over: how long the VM stood still.
    last = wait_for("the new host to tell", lambda: transfer(two, uuid), 30)
    assert last["downtime"] > 0 and last["expected_downtime"] == 0 and last["transferred"] > 0, last
    assert two.api("GET", f"/vms/{uuid}/runstate/migrate").json()["state"] == 8
    print(f"\nsteps {steps}, stood still for {last['downtime']} ms")


@pytest.mark.parametrize("action", ["abort", "pause"])
def test_timeout(home, action):
    """Of one that takes too long: it is given up, or the guest is held until it is over."""
    one, two, uuid = home
    words = ("abort", "pause", "post-copy")
    begun = migrate(one, uuid, two, LIVE, bandwidth=SLOW, timeout=2, timeout_action=words.index(action))
    if action == "pause":
        wait_for("the guest to be held", lambda: runstate(one, uuid) == "migrating", 30)
        assert not ended(one, begun)
    done = operation(one, begun)
    if action == "abort":
        assert done["state"] == "failed" and re.search("abort|cancel", done["msg"]), done
        wait_for("the record", lambda: oplog(one, uuid)["VmMigrate"]["status"] == "failed", 20)
    else:
        assert done["state"] == "completed", done
    # home sees to it that it runs, wherever it is.
    wait_for("it to run", lambda: runstate(one, uuid) == "running", 30)


def test_timeout_before_it_begins(home):
    """What the timeout asks for is asked again until it can be had."""
    one, two, uuid = home
    begun = migrate(one, uuid, two, LIVE, bandwidth=SLOW, timeout=1, timeout_action=0)
    job = wait_for("the job", lambda: jobs(one, "vm-migrate"), 10, interval=0)[0]
    os.kill(job, signal.SIGSTOP)
    refused = f"migration {begun.headers['Location'].split('/')[-1]} took too long: VM '{uuid}' does not migrate"
    try:
        # A job that was stopped too late migrates by now, and the timeout finds it.
        wait_for("the timeout", lambda: refused in one.log("virtxd") or
                 "Outgoing" in one.virsh("domjobinfo", uuid).stdout, 30)
    finally:
        os.kill(job, signal.SIGCONT)
    done = operation(one, begun)
    assert done["state"] == "failed" and re.search("abort|cancel", done["msg"]), done


def test_healed_meanwhile(home):
    """What virtxd does by itself leaves a VM that still comes in alone: it arrives whole."""
    one, two, uuid = home
    begun = migrate(one, uuid, two, LIVE, bandwidth=SLOW)
    wait_for("the transfer", lambda: transfer(one, uuid), 30)
    request = {"env": {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx", "host": two.uuid,
                       "io_timeout": 1}, "uuid": uuid}
    healed = two.run([os.path.join(BUILD, "virtxd", "virtxd"), "--job", "vm-heal"], input=json.dumps(request),
                     timeout=60).stdout
    assert json.loads(healed.splitlines()[-1].removeprefix("result "))["gone"], healed
    assert not ended(one, begun)
    hurry(one, uuid)
    assert operation(one, begun)["state"] == "completed"
    # home sees to it that it has all of its devices there.


def may_fault():
    """Whether this machine lets QEMU's user handle page faults, without which there is no post-copy."""
    return subprocess.run(["/usr/bin/python3", "-c", "import ctypes, sys; "
                           "sys.exit(ctypes.CDLL(None).syscall(323, 0) < 0)"],
                          user="libvirt-qemu", group="libvirt-qemu", extra_groups=[]).returncode == 0


@pytest.mark.parametrize("by", ["user", "timeout"])
def test_post_copy(home, by):
    """The guest goes on there before its memory is there; where the machine cannot, it says why and stays."""
    one, two, uuid = home
    more = {"timeout": 1, "timeout_action": 2} if by == "timeout" else {}
    done = operation(one, migrate(one, uuid, two, LIVE, bandwidth=0 if by == "user" else SLOW,
                                  post_copy=True, **more))
    if may_fault():
        assert done["state"] == "completed", done
    else:
        assert done["state"] == "failed" and "ostcopy" in done["msg"], done
        assert runstate(one, uuid) == "running"


def virtx(host, *args, **more):
    return host.popen([os.path.join(BUILD, "virtx", "virtx"), *args], text=True, stdout=subprocess.PIPE, **more)


def test_command_line(home):
    """--wait draws a bar, asked of whichever host; get and abort tell of the same migration."""
    one, two, uuid = home
    master, slave = pty.openpty()
    # Asked of the host that it goes to, which passes it on.
    process = virtx(two, "migrate", "vm", uuid, "-h", two.uuid, "-l", "-w", "-B", str(SLOW), stderr=slave,
                    env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    seen, slow = b"", True
    with contextlib.suppress(OSError):
        while data := os.read(master, 65536):
            seen += data
            if slow and re.search(rb" [1-9]\d?%", seen):
                hurry(one, uuid)
                slow = False
    os.close(master)
    process.stdout.read()
    assert process.wait(20) == 0, seen
    shown = [int(percent) for percent in re.findall(rb"VmMigrate \[=*>? *\] +(\d+)%", seen)]
    assert shown == sorted(shown) and [percent for percent in shown if 0 < percent < 100], seen
    told = one.virtx("get", "migrate", "vm", uuid).stdout
    assert "completed" in told and "downtime" in told, told
    wait_for("the agent's channel", lambda: "vdagent" in two.virsh("dumpxml", uuid).stdout, 30)

    assert two.virtx("migrate", "vm", uuid, "-h", one.uuid, "-l", "-B", str(SLOW)).stdout == ""
    wait_for("the transfer", lambda: transfer(two, uuid), 30)
    told = one.virtx("get", "migrate", "vm", uuid).stdout
    assert "active" in told and "MiB/s" in told, told
    one.virtx("abort", "migrate", "vm", uuid)
    wait_for("the abort", lambda: "failed" in one.virtx("get", "migrate", "vm", uuid).stdout, 30)
