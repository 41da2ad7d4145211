# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that is shut down in order keeps its VMs for itself, or has them brought back by the other one at once; one
that takes none meanwhile is missing where another one dies.

What systemd has its units do is done by hand. The hosts are told to do without a watchdog.
"""

import os
import re
import signal
import time

import pytest
from conftest import BUILD, PREFIX, create, delete, disk, vmdef, wait_ready, wait_runstate
from lab import Lab, wait_for
from test_failover import come_back, defined, registered, state
from test_life import wait_for_line

PROGRAM = f"{BUILD}/virtxd/virtxd"
WAIT = 8 * 1 + 60  # s, with an io_timeout of 1 s, until the leases of a host that has died are free


def config(on_shutdown, enabled="yes"):
    return {"ha": {"enabled": enabled, "policy": "restart", "unsafe_without_watchdog": "yes", "on_shutdown": on_shutdown},
            "jobs": {"collect_period": 2}}


@pytest.fixture(scope="module")
def lab():
    lab = Lab(2, build_dir=BUILD, name=f"{PREFIX}hs", config=config("restart", enabled="no"))
    for host in lab.hosts:
        host.sanlock_name = None
    with lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


def ha(host, of):
    answer = host.api("GET", f"/hosts/{of.uuid}")
    return answer.json()["ha"] if answer.status == 200 else {"armed": False, "reasons": None}


def wait_armed(lab, host):
    for other in lab.hosts:
        wait_for(f"{other.name} to know that {host.name} is armed", lambda other=other: ha(other, host)["armed"], WAIT + 60)


def reload(host, **kwargs):
    """The configuration is read again."""
    said = host.log("virtxd").count("configuration read again")
    host.configure(config(**kwargs))
    host.signal("virtxd", signal.SIGHUP)
    wait_for("that to be said", lambda: host.log("virtxd").count("configuration read again") > said, 30)


def tag(by, of):
    """The tag as serf of the one has it of the other, None for none."""
    found = re.search(r"\bha=([0-9:]+)", by.serf("members", "-name", of.name).stdout)
    return found and found[1]


@pytest.fixture
def guest(lab, guest_image):
    """A VM that runs on h1, whose guest shuts down when it is asked to."""
    h1, h2 = lab.hosts
    os.makedirs(f"{lab.vms}/ds", exist_ok=True)
    h1.run(["qemu-img", "convert", "-O", "qcow2", guest_image, "/vms/ds/down.qcow2"])
    uuid = create(h1, vmdef("down", osdisk=disk("/vms/ds/down.qcow2", prov=0), memory={"total": 128, "hp": False}))
    assert h1.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    # One of the lines that come each second: who opens the console late does not see the first ones.
    wait_for_line(h1.path(h1.virsh("ttyconsole", uuid).stdout.strip()), b"virtx-guest: 1")
    yield uuid
    for host in (h1, h2):
        if defined(host, uuid) and registered(lab, uuid)[0] == [host.uuid]:
            host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
            delete(host, uuid)


def shut_down(host, *vms):
    """All units of the host are stopped, each when what it is after has stopped."""
    host.run([PROGRAM, "--guests", "down"])
    for uuid in vms:
        host.virsh("shutdown", "--mode", "acpi", uuid)
    for uuid in vms:
        wait_for("the guest to be off", lambda uuid=uuid: host.virsh("domstate", uuid).stdout.strip() == "shut off", 60)
    host.stop("virtxd")
    host.serf("leave")
    host.wait_dead("serf")
    host.run([PROGRAM, "--lockspace", "leave"])
    for daemon in ("libvirtd", "sanlock"):
        host.stop(daemon)


def boot_host(host):
    """The host is up again, with nothing in its run directory but what says so."""
    host.run([PROGRAM, "--lockspace", "allow"])
    host.run(["rm", "-f", "/run/virtx/guests", "/run/virtx/autostart", "/run/virtx/failover"])
    come_back(host)


def ready(lab, **kwargs):
    """Both may take over, and be taken over from, and serf of both has said so: what they tell each other comes sooner."""
    for host in lab.hosts:
        reload(host, **kwargs)
    for host in lab.hosts:
        wait_armed(lab, host)
        for other in lab.hosts:
            wait_for(f"the tag of {host.name} at {other.name}", lambda host=host, other=other: tag(other, host), 60)


def wait_running(host, uuid, timeout):
    wait_for(f"it to run on {host.name}", lambda: host.virsh("domstate", uuid, check=False).stdout.strip() == "running",
             timeout)


def want(lab, host, uuid):
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        return re.search(r">(on|off)</virtx-want:want>", file.read())[1]


def test_brought_back_at_once(lab, guest):
    """The guest goes off, stays wanted on, and runs on the other host long before it would after a death."""
    h1, h2 = lab.hosts
    ready(lab, on_shutdown="restart")
    number = tag(h2, h1)
    shut_down(h1, guest)
    began = time.monotonic()
    assert tag(h2, h1) == number
    wait_running(h2, guest, WAIT)
    took = time.monotonic() - began
    assert state(h2, h1) == 2
    assert registered(lab, guest) == ([h2.uuid], [])
    assert want(lab, h2, guest) == "on"
    boot_host(h1)
    wait_for("h1 to let go of it", lambda: not defined(h1, guest), 90)
    assert h2.virsh("domstate", guest).stdout.strip() == "running"

    # The other way round, by a death.
    ready(lab, on_shutdown="restart")
    h2.power_off()
    began = time.monotonic()
    wait_running(h1, guest, WAIT + 60)
    died = time.monotonic() - began
    print(f"handed over in {took:.1f} s, taken over in {died:.1f} s")
    assert took < died
    assert registered(lab, guest) == ([h1.uuid], [])
    boot_host(h2)


def test_stays_with_its_host(lab, guest):
    """With `stop`, the default, it is nobody else's, and its host boots it when that is up again."""
    h1, h2 = lab.hosts
    ready(lab, on_shutdown="stop")
    shut_down(h1, guest)
    wait_for("h2 to see it", lambda: state(h2, h1) == 2 and not ha(h2, h1)["armed"], 30)
    assert tag(h2, h1) is None
    assert registered(lab, guest) == ([h1.uuid], [])
    assert want(lab, h1, guest) == "on"
    boot_host(h1)
    wait_runstate(h1, guest, "running", 60)
    assert registered(lab, guest) == ([h1.uuid], [])


def test_back_before_it_is_taken(lab, guest):
    """What nobody has taken meanwhile is its host's still."""
    h1, h2 = lab.hosts
    ready(lab, on_shutdown="restart")
    reload(h2, on_shutdown="restart", enabled="no")
    shut_down(h1, guest)
    assert tag(h2, h1)
    boot_host(h1)
    reload(h2, on_shutdown="restart")
    wait_runstate(h1, guest, "running", 60)
    assert registered(lab, guest) == ([h1.uuid], [])
    assert not defined(h2, guest)


def test_in_maintenance(lab):
    """A host in maintenance hands nothing over, whatever is still on it."""
    h1, h2 = lab.hosts
    ready(lab, on_shutdown="restart")
    assert h1.api("POST", f"/hosts/{h1.uuid}/maintenance", timeout=60).status in (202, 204)
    h1.run([PROGRAM, "--guests", "down"])
    h1.stop("virtxd")
    wait_for("the tag to be gone", lambda: tag(h2, h1) is None, 30)
    h1.run(["rm", "-f", "/run/virtx/guests"])
    h1.start("virtxd")
    wait_ready(h1)
    assert h1.api("DELETE", f"/hosts/{h1.uuid}/maintenance", {"back": False}, timeout=60).status in (202, 204)


def test_nobody_else(lab):
    """Who puts a host into maintenance is told which VMs of the others nobody could bring back."""
    h1, h2 = lab.hosts
    ready(lab, on_shutdown="stop")
    os.makedirs(f"{lab.vms}/ds", exist_ok=True)
    uuid = create(h2, vmdef("alone"))
    assert h2.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    wait_for("h1 to know that it is wanted on", lambda: any(item["restarts"] for item in
                                                            h1.api("GET", "/ha/plan").json()["items"]), 30)
    answer = h1.api("POST", f"/hosts/{h1.uuid}/maintenance", {"dry_run": True}, timeout=60)
    assert answer.status == 200
    assert f"'alone' of host '{h2.name}'" in answer.headers["Warning"]
    for host in lab.hosts:
        reload(host, on_shutdown="stop", enabled="no")
    wait_for("nobody to take VMs over", lambda: "Warning" not in
             h1.api("POST", f"/hosts/{h1.uuid}/maintenance", {"dry_run": True}, timeout=60).headers, 30)
    h2.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    delete(h2, uuid)
