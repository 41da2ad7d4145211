# SPDX-License-Identifier: GPL-2.0-or-later
"""virtx for several VMs and virtx that waits, on two real hosts."""

import json
import os
import signal
import subprocess

import pytest
from conftest import ROOT, create, disk, oplog, runstate, vmdef, wait_runstate
from lab import wait_for, wrapped
from two_hosts import lab2, two  # noqa: F401

NAMES = ("one", "two", "three")


def rows(result):
    """The lines of the YAML that is printed for several VMs: {name: (exit code, what is said)}."""
    items = [json.loads(line.removeprefix("- ")) for line in result.splitlines()]
    assert all(item["vm"] and item["status"] == 0 and item["operation"] == "" for item in items), items
    return {item["name"]: (item["code"], item["detail"]) for item in items}


def lines(said):
    """What is on standard error, but for the warning that comes with hosts, since the lab's are open."""
    return [line for line in said.splitlines() if "whoever gets there controls the VMs" not in line]


def done(host, *args, said=None, warned=()):
    """It does it to all three: its YAML, or its lines where nothing is said of an output."""
    result = host.virtx(*args, timeout=120)
    assert result.returncode == 0, result
    *warnings, summary = lines(result.stderr)
    assert summary == "virtx: 3 done"
    assert sorted(warnings) == sorted(warned)
    if "yaml" in args:
        assert rows(result.stdout) == {name: (0, said) for name in NAMES}
    else:
        assert sorted(result.stdout.splitlines()) == sorted(f"{name}: {said}" for name in NAMES)


def begin(host, *args):
    """The same in the background."""
    return host.popen(wrapped([f"{host.lab.build_dir}/virtx/virtx", *args]), text=True, stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def three(two):
    vms = {name: create(two[0], vmdef(name)) for name in NAMES}
    wait_for("h2 to know them", lambda: len(two[1].api("GET", "/vms").json()["items"]) == len(vms), 30)
    return vms


def test_from_boot_to_delete(two, three):
    h1, h2 = two

    def states(state):
        for uuid in three.values():
            wait_runstate(h2, uuid, state)

    waiting = begin(h2, "wait", "vm", "--for", "running", *three.values())
    done(h1, "boot", "vm", *NAMES, said="running")
    out, said = waiting.communicate(timeout=120)
    assert (waiting.returncode, said) == (0, "virtx: 3 done\n")
    assert sorted(out.splitlines()) == sorted(f"{uuid}: running" for uuid in three.values())
    done(h1, "boot", "vm", "--all", "-o", "yaml", said="already running")
    refused = h1.virtx("boot", "vm", *NAMES)
    assert (refused.returncode, refused.stderr) == (1, "virtx: 0 done, 3 failed\n")
    done(h1, "pause", "vm", *NAMES, "-o", "yaml", said="paused")
    states("paused")
    done(h1, "pause", "vm", "--all", said="already paused")
    done(h2, "resume", "vm", "--filter", "state=paused", said="running")
    done(h2, "resume", "vm", "--all", "-o", "yaml", said="already running")
    done(h1, "migrate", "vm", "--live", "--wait", "-h", h2.name, *NAMES, "-o", "yaml", said="moved")
    for uuid in three.values():
        assert h2.api("GET", f"/vms/{uuid}/runstate").json()["host"] == h2.uuid

    # No guest is in them that would obey.
    done(h1, "shutdown", "vm", "--then-kill", "1", "--yes", *NAMES, "-o", "yaml", said="poweroff",
         warned=[f"virtx: warning: vm {name} is not off after 1 s: it is ended by force" for name in NAMES])
    states("poweroff")
    done(h1, "shutdown", "vm", "--all", said="already off")
    waiting = begin(h1, "wait", "vm", "--for", "gone", "-o", "yaml", *NAMES)
    done(h1, "delete", "vm", "--storage", "--yes", "--all", "-o", "yaml", said="deleted")
    out, said = waiting.communicate(timeout=120)
    assert (waiting.returncode, said) == (0, "virtx: 3 done\n")
    assert set(rows(out).values()) == {(0, "gone")}
    assert h2.api("GET", "/vms").json()["items"] == []


def test_sigterm(two, three):
    """Who waits is ended, what it has asked for goes on, and nothing more is begun."""
    h1, h2 = two
    done(h1, "boot", "vm", "--all", "--parallel", "1", said="running")
    shutting = begin(h2, "shutdown", "vm", "--wait", "--parallel", "1", *NAMES, "-o", "yaml")
    wait_for("the first to be asked", lambda: "VmShutdown" in oplog(h1, three["one"]), 60)
    shutting.send_signal(signal.SIGTERM)
    out, said = shutting.communicate(timeout=60)
    assert shutting.returncode == 8
    assert rows(out) == {"one": (8, "may go on"), "two": (1, "not begun"), "three": (1, "not begun")}
    assert said == ("virtx: interrupted: 0 done, 0 failed, 1 may go on, 2 not begun; 'virtx list operation' shows what "
                    "goes on\n")
    assert [name for name, uuid in three.items() if "VmShutdown" in oplog(h1, uuid)] == ["one"]

    late = h2.virtx("wait", "vm", "--for", "poweroff", "--timeout", "1", *NAMES)
    assert late.returncode == 8 and late.stderr == "virtx: 0 done, 3 failed\n"


def test_an_operation(two):
    """Whoever began it, on whichever host, ends as it does."""
    h1, h2 = two
    uuid = create(h1, vmdef("one"))

    def boot():
        answer = h1.api("POST", f"/vms/{uuid}/runstate/boot", headers={"Prefer": "respond-async"})
        assert answer.status == 202, answer.text
        return answer.headers["Location"].removeprefix("/operations/")

    result = h2.virtx("wait", "operation", boot())
    assert (result.returncode, result.stdout, lines(result.stderr)) == (0, "", [])
    assert runstate(h1, uuid) == "running"
    failing = boot()
    result = h2.virtx("wait", "operation", failing)
    assert (result.returncode, result.stdout, lines(result.stderr)) == (
        1, "", [f"virtx: operation '{failing}' failed: VM '{uuid}' is running already"])
    assert h2.virtx("wait", "operation", uuid).returncode == 3


def test_a_guest_that_obeys(lab2, two):
    h1, h2 = two
    # It is as fast as the machine is: a boot sector that counts on its second disk.
    images = subprocess.run([os.path.join(ROOT, "test", "guest", "build")], check=True, text=True, stdout=subprocess.PIPE)
    image = next(path for path in images.stdout.split() if "counter" in path)
    os.makedirs(f"{lab2.vms}/ds", exist_ok=True)
    h1.run(["qemu-img", "convert", "-O", "qcow2", image, "/vms/ds/guest.qcow2"])
    uuid = create(h1, vmdef("guest", osdisk=disk("/vms/ds/guest.qcow2", prov=0), disks=[disk("/vms/ds/count.raw", size=1)]))
    assert h1.virtx("boot", "vm", "guest").returncode == 0

    def counts():
        with open(f"{lab2.vms}/ds/count.raw", "rb") as file:
            return file.read(1) != b"\0"

    wait_for("the guest to count", counts, 90)
    result = h2.virtx("shutdown", "vm", "--then-kill", "120", "guest", timeout=150)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert runstate(h2, uuid) == "poweroff"
    wait_for("the log to tell the end", lambda: oplog(h1, uuid)["VmShutdown"]["status"] == "completed", 10)
    assert oplog(h1, uuid)["VmShutdown"]["msg"] == "graceful shutdown"
