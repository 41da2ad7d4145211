# SPDX-License-Identifier: GPL-2.0-or-later
"""A dead host's VMs are brought back on another one by hand; while it lives that is refused, and what it does not end
itself is recalled."""

import os
import signal

import pytest
from conftest import BUILD, PREFIX, RUNSTATES, clear, create, delete, disk, oplog, vmdef, wait_joined, wait_ready
from lab import Lab, daemons, net, wait_for

PERIOD = 2  # seconds between collections
EXPIRY = 100  # s, until a lease of a host that is gone is free: 8 io_timeouts of 1 s, and 60 s for its watchdog


@pytest.fixture(scope="module")
def lab3():
    """Three hosts that look often."""
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}f", config={"jobs": {"collect_period": PERIOD}}) as lab:
        wait_joined(lab)
        yield lab


@pytest.fixture
def three(lab3):
    yield lab3.hosts
    for host in lab3.hosts:
        come_back(host)
    for host in lab3.hosts:
        clear(host)


def qemus(host):
    """The processes of QEMU on the host."""
    found = []
    for pid in net.pids(host.netns):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if "qemu-system" in file.read().split("\0")[0]:
                    found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def come_back(host):
    for daemon in daemons.order(host.lab):
        if not host.alive(daemon):
            host.start(daemon, 60)
    wait_ready(host, 120)


def boot(host, name, **kwargs):
    uuid = create(host, vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2"), **kwargs))
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text
    return uuid


def seen(host, uuid):
    """On which host it is, and in which state, as this one knows it."""
    return [(item["fields"]["host"], item["fields"]["runstate"]) for item in
            host.api("GET", "/vms").json()["items"] if item["uuid"] == uuid]


def state(host, other):
    """What serf tells of the other host: 1 for active, 3 for failed."""
    item, = [item for item in host.api("GET", "/hosts").json()["items"] if item["uuid"] == other.uuid]
    return item["fields"]["cstate"]


def registered(lab, uuid):
    """The hosts that have it in the registry, and those that have a journal of it."""
    found = {".xml": [], ".journal": []}
    for name in os.listdir(f"{lab.vms}/xml"):
        for suffix, hosts in found.items():
            if os.path.exists(f"{lab.vms}/xml/{name}/{uuid}{suffix}"):
                hosts.append(name)
    return found[".xml"], found[".journal"]


def defined(host, uuid):
    return uuid in host.virsh("list", "--all", "--uuid").stdout.split()


def refusal(host, uuid):
    answer = host.api("POST", f"/vms/{uuid}/failover", timeout=60)
    assert answer.status == 409, answer.text
    return answer.json()["detail"]


def test_by_hand(lab3, three):
    """One that runs is its host's while that lives, whatever serf thinks; then it runs on another one, once, and
    the host that comes back has it no more."""
    h1, h2, h3 = three
    uuid, other = boot(h1, "mine"), boot(h1, "other")
    off = create(h1, vmdef("off", osdisk=disk("/vms/ds/off.qcow2")))
    for vm in (uuid, other, off):
        wait_for("h2 to know it", lambda vm=vm: seen(h2, vm), 30)
    assert "alive, and sanlock does not say that it" in refusal(h2, uuid)
    assert "alive, and sanlock does not say that it" in refusal(h2, off)
    h1.kill("serf")
    wait_for("serf to give h1 up", lambda: state(h2, h1) == 3, 60)
    assert "is held by host_id" in refusal(h2, uuid)
    asked = h2.virtx("failover", "vm", uuid)
    assert asked.returncode in (1, 3, 4, 5, 6, 7) and "--yes does it" in asked.stderr, asked.stderr
    assert registered(lab3, uuid) == ([h1.uuid], []) and not defined(h2, uuid)
    assert h1.virsh("domstate", uuid).stdout.strip() == "running"

    h1.power_off()
    # sanlock gives h1 up in its own time.
    assert "is held by host_id" in refusal(h2, uuid)
    done = []
    wait_for("the VM to be claimed", lambda: done.append(
        h2.virtx("failover", "vm", "--yes", "--to", h3.uuid, uuid, timeout=60)) or done[-1].returncode == 0, EXPIRY)
    assert h3.virsh("domstate", uuid).stdout.strip() == "running"
    assert registered(lab3, uuid) == ([h3.uuid], []) and not defined(h2, uuid)
    assert oplog(h3, uuid)["VmFailover"]["status"] == "completed"
    for host in (h2, h3):
        wait_for(f"{host.name} to know it", lambda host=host: seen(host, uuid) == [(h3.uuid, RUNSTATES.index("running"))], 60)

    rest = h2.virtx("failover", "host", "--yes", h1.uuid, timeout=120)
    assert rest.returncode == 0, (rest.stdout, rest.stderr)
    assert "mine" not in rest.stdout and "other" in rest.stdout and "off" in rest.stdout
    places = {vm: host for vm in (other, off) for host in (h2, h3) if registered(lab3, vm) == ([host.uuid], [])}
    assert len(places) == 2
    assert places[other].virsh("domstate", other).stdout.strip() == "running"
    assert places[off].virsh("domstate", off).stdout.strip() == "shut off"

    come_back(h1)
    for vm in (uuid, other, off):
        wait_for("h1 to let go of it", lambda vm=vm: not defined(h1, vm), 60)
        wait_for("h1 to know it", lambda vm=vm: seen(h1, vm) and seen(h1, vm)[0][0] != h1.uuid, 60)
    assert qemus(h1) == [] and len(qemus(h2)) + len(qemus(h3)) == 2
    assert registered(lab3, uuid) == ([h3.uuid], [])
    for host in three:
        wait_for("nothing to be wrong", lambda host=host: not host.api(
            "GET", f"/hosts/{host.uuid}").json()["problems"], 60)
    for vm, host in ((uuid, h3), (other, places[other])):
        assert host.api("DELETE", f"/vms/{vm}/runstate/boot", {"force": 2}).status == 204
    for vm in (uuid, other, off):
        delete(h1, vm)


def test_one_that_nobody_knows_any_more(lab3, three):
    """The others were restarted since: whose it was is for the registry to tell. Not all that was wanted on starts."""
    h1, h2, h3 = three
    uuid = boot(h1, "lost")
    wait_for("the registry to tell that it is wanted on", lambda: ">on</virtx-want:want>" in open(
        f"{lab3.vms}/xml/{h1.uuid}/{uuid}.xml").read(), 30)
    h1.power_off()
    for host in (h2, h3):
        host.restart("virtxd")
        wait_ready(host)
    answers = []
    wait_for("the VM to be claimed", lambda: answers.append(
        h2.api("POST", f"/vms/{uuid}/failover", timeout=60)) or answers[-1].status == 200, EXPIRY)
    assert f"nothing here proves that VM '{uuid}' has ended" in answers[-1].headers["Warning"]
    wait_for("the VM to run", lambda: h2.virsh("domstate", uuid).stdout.strip() == "running", 30)
    assert registered(lab3, uuid) == ([h2.uuid], [])
    assert h2.api("POST", f"/vms/{uuid}/failover").status == 409
    assert h2.api("POST", "/vms/9d7d0f1c-95a4-4a55-8b6e-3f3a53f7a001/failover").status == 404


@pytest.mark.parametrize("force", [False, True])
def test_recall(lab3, three, force):
    """virtxd of its host is stopped, and QEMU as well where that takes force: sanlock ends it all the same."""
    h1, h2, h3 = three
    uuid = boot(h1, f"recalled{int(force)}")
    wait_for("h2 to know it", lambda: seen(h2, uuid), 30)
    h1.signal("virtxd", signal.SIGSTOP)
    try:
        if force:
            os.kill(h1.qemu_pid(uuid), signal.SIGSTOP)
            late = h2.virtx("recall", "vm", "--yes", uuid, timeout=60)
            assert late.returncode in (1, 3, 4, 5, 6, 7) and "it was asked back 18 s ago" in late.stderr, late.stderr
        done = h2.virtx("recall", "vm", "--yes", *(["--force"] if force else []), "--to", h3.uuid, uuid, timeout=60)
        assert done.returncode == 0, done.stderr
        assert qemus(h1) == []
        assert h3.virsh("domstate", uuid).stdout.strip() == "running"
        assert registered(lab3, uuid) == ([h3.uuid], [])
    finally:
        h1.signal("virtxd", signal.SIGCONT)
    wait_for("h1 to let go of it", lambda: not defined(h1, uuid), 60)
    assert qemus(h1) == [] and len(qemus(h3)) == 1
    for host in three:
        wait_for(f"{host.name} to know it", lambda host=host: seen(host, uuid) == [(h3.uuid, RUNSTATES.index("running"))], 60)
