# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that dies has its VMs brought back by the others, each once; one that is only not reached keeps them.

There is no watchdog here: the hosts are told to do without.
"""

import time

import pytest
from conftest import BUILD, PREFIX, create, delete, disk, vmdef, wait_ready
from lab import Lab, wait_for
from test_failover import come_back, defined, qemus, registered, state

WAIT = 8 * 1 + 60  # s, with an io_timeout of 1 s, until the leases of a host that is gone are free


@pytest.fixture(scope="module")
def lab():
    lab = Lab(3, build_dir=BUILD, name=f"{PREFIX}hf", config={
        "ha": {"enabled": "yes", "policy": "restart", "unsafe_without_watchdog": "yes"}, "jobs": {"collect_period": 2}})
    for host in lab.hosts:
        host.sanlock_name = None
    with lab:
        for host in lab.hosts:
            wait_ready(host)
        for host in lab.hosts:
            for other in lab.hosts:
                wait_for(f"{host.name} to know that {other.name} is armed",
                         lambda host=host, other=other: ha(host, other)["armed"], WAIT + 60)
        yield lab


def ha(host, other):
    answer = host.api("GET", f"/hosts/{other.uuid}")
    return answer.json()["ha"] if answer.status == 200 else {"armed": False, "reasons": None}


def told(host, other):
    """What a host tells of another one that may be dead."""
    return "; ".join(reason["detail"] for reason in ha(host, other)["reasons"] or [])


def make(host, name, on, custom=()):
    uuid = create(host, {**vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2")),
                         "custom": [{"name": key, "value": value} for key, value in custom]})
    if on:
        answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
        assert answer.status == 204, answer.text
    return uuid


def runs_on(hosts, uuid):
    return [host for host in hosts if host.virsh("domstate", uuid, check=False).stdout.strip() == "running"]


def wanted(lab, host, uuid):
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        return ">on</virtx-want:want>" in file.read()


def planned(host, lost):
    """Which VMs would be brought back, in their order, if that host died, as one says."""
    item, = host.api("GET", f"/ha/plan?host={lost.uuid}").json()["items"]
    return [vm["vm"] for vm in item["vms"] if vm["host"] and vm["host"] != lost.uuid]


def booted(hosts):
    """How many VMs of dead hosts they have booted."""
    return sum(int(line.split()[-1]) for host in hosts for line in host.api("GET", "/metrics").text.splitlines()
               if line.startswith('virtx_failovers_total{result="booted"}'))


def test_a_partition(lab):
    """h1 is not reached by anybody, for longer than its leases would count if it were dead."""
    h1, h2, h3 = lab.hosts
    on = make(h1, "far", True)
    # Wanted on, and off: no lease keeps anybody from it.
    off = make(h1, "faroff", True)
    wait_for("the registry to tell what is wanted", lambda: wanted(lab, h1, on) and wanted(lab, h1, off), 30)
    h1.virsh("destroy", off)
    h1.link(False)
    try:
        for host in (h2, h3):
            wait_for("serf to give h1 up", lambda host=host: state(host, h1) == 3, 60)
            wait_for("that to be told", lambda host=host: "sanlock says LIVE" in told(host, h1), 30)
            for uuid in (on, off):
                assert host.api("GET", f"/vms/{uuid}/runstate").json()["runstate"] == 0
            assert {item["last"] for item in host.api("GET", "/vms?name=far").json()["items"]} == {4}
        end = time.monotonic() + WAIT + 20
        while time.monotonic() < end:
            for uuid in (on, off):
                assert registered(lab, uuid) == ([h1.uuid], [])
            time.sleep(1)
        assert runs_on(lab.hosts, on) == [h1] and booted((h2, h3)) == 0
    finally:
        h1.link(True)
    for host in (h2, h3):
        wait_for("h1 to be seen again", lambda host=host: state(host, h1) == 1, 90)
        wait_for("nothing to be told of it", lambda host=host: told(host, h1) == "", 30)
    assert h1.api("DELETE", f"/vms/{on}/runstate/boot", {"force": 2}).status == 204
    for uuid in (on, off):
        delete(h1, uuid)


def test_a_host_dies(lab):
    """What was wanted on runs on the others, once each, and nothing else moves; then it comes back."""
    h1, h2, h3 = lab.hosts
    survivors = (h2, h3)
    on = [make(h1, f"on{i}", True, [("ha_order", str(i + 1))]) for i in range(3)]
    stays = [make(h1, "off", False), make(h1, "none", True, [("ha", "none")])]
    wait_for("the registry to tell what is wanted", lambda: all(wanted(lab, h1, uuid) for uuid in on), 30)
    for host in lab.hosts:
        wait_for("the plan for the loss of h1", lambda host=host: planned(host, h1) == on, 60)
        assert host.virtx("ha", "plan", h1.uuid).returncode == 0
        answer = host.api("GET", "/ha/plan").json()
        assert answer["enabled"] and answer["possible"], answer
        assert {item["name"]: item["restarts"] for item in answer["items"]} == {"h1": 3, "h2": 0, "h3": 0}
    h1.power_off()
    died = time.monotonic()
    wait_for("that to be told", lambda: "its 3 VMs restart from" in told(h2, h1), 60)
    wait_for("all to run again", lambda: all(runs_on(survivors, uuid) for uuid in on), WAIT + 60)
    print(f"all run again {time.monotonic() - died:.1f} s after the death of their host")
    for uuid in on:
        place, = runs_on(survivors, uuid)
        assert registered(lab, uuid) == ([place.uuid], [])
    for uuid in stays:
        assert registered(lab, uuid) == ([h1.uuid], [])
        assert not any(defined(host, uuid) for host in survivors)
    wait_for("all to be counted", lambda: booted(survivors) == len(on), 30)
    assert sum(len(qemus(host)) for host in survivors) == len(on)
    operations = [item for host in survivors for item in host.api("GET", "/operations").json()["items"]
                  if item["vm"] in on and item["op"] == "VmBoot"]
    assert {item["user"] for item in operations} == {"virtxd"}

    come_back(h1)
    for uuid in on:
        wait_for("h1 to let go of it", lambda uuid=uuid: not defined(h1, uuid), 90)
        assert len(runs_on(lab.hosts, uuid)) == 1
        place, = runs_on(survivors, uuid)
        assert place.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
        delete(place, uuid)
    for uuid in stays:
        assert registered(lab, uuid) == ([h1.uuid], [])
        delete(h1, uuid)
