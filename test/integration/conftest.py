# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs that the tests share, and what most tests do with a VM."""

import contextlib
import os
import re
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from lab import Lab, wait_for  # noqa: E402

PREFIX = os.environ.get("VIRTX_LAB_PREFIX", "it")  # of the labs' names: two runs at once need two

BUILD = os.path.abspath(os.environ.get("VIRTX_BUILD", os.path.join(ROOT, "build")))

RUNSTATES = ("none", "deleted", "poweroff", "startup", "running", "paused", "migrating",
             "terminating", "pmsuspended", "crashed")


def wait_ready(host, timeout=60):
    """Wait until virtxd has libvirt, serf and the lockspace."""
    wait_for(f"{host.name} to be ready", lambda: host.api("GET", "/readyz").status == 200, timeout)


def disk(path, **fields):
    """A managed, thin disk of 64 MiB unless told otherwise."""
    return {"path": path, "device": 0, "bus": 0, "man": 1, "prov": 1, "size": 64, **fields}


def vmdef(name, **fields):
    """A VM that starts under software emulation."""
    return {"name": name, "cpudef": {"model": "maximum", "nodes": 1, "sockets": 1, "cores": 1,
                                     "threads": 1},
            "memory": {"total": 64, "hp": False}, "numa": {"placement": False},
            "osdisk": disk(f"/vms/ds/{name}.qcow2"), "disks": [], "nets": [], "vlanid": 0,
            "firmware": 0, "genid": "", "custom": [], **fields}


@contextlib.contextmanager
def bridge(host, name):
    """The host has this bridge meanwhile."""
    host.run(["ip", "link", "add", name, "type", "bridge"])
    try:
        yield
    finally:
        host.run(["ip", "link", "del", name])


@contextlib.contextmanager
def network(host, name):
    """The host has this network, on a bridge of that name, meanwhile."""
    host.run(["tee", f"/run/{name}.xml"], input=f"<network><name>{name}</name><forward mode='bridge'/>"
             f"<bridge name='{name}'/></network>")
    host.virsh("net-define", f"/run/{name}.xml")
    host.virsh("net-start", name)
    try:
        yield
    finally:
        host.virsh("net-destroy", name)
        host.virsh("net-undefine", name)


def net(name, nettype):
    """A network device: 0 for a libvirt network, 1 for a bridge."""
    return {"name": name, "nettype": nettype, "model": 0, "mac": ""}


def create(host, definition):
    """Create a VM on the host; its uuid."""
    answer = host.api("POST", "/vms", {"vmdef": definition, "host": host.uuid})
    assert answer.status == 201, answer.text
    return answer.json()


def delete(host, uuid, storage=True):
    """Delete a VM that is off."""
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": storage})
    assert answer.status == 204, answer.text


def clear(host):
    """Delete the host's VMs with their storage, whatever a failed test has left them in the middle of."""
    def gone(uuid):
        host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        return host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status in (204, 404)

    listed = wait_for("a list of the VMs", lambda: (answer := host.api("GET", f"/vms?host={host.uuid}")).status == 200 and
                      answer, 60)
    for item in listed.json()["items"]:
        wait_for(f"VM {item['uuid']} to be deleted", lambda: gone(item["uuid"]), 60)


def runstate(host, uuid):
    """The run state in words."""
    answer = host.api("GET", f"/vms/{uuid}/runstate")
    assert answer.status == 200, answer.text
    return RUNSTATES[answer.json()["runstate"]]


def wait_runstate(host, uuid, wanted, timeout=60):
    """Wait until the API says so."""
    wait_for(f"VM {uuid} to be {wanted}", lambda: runstate(host, uuid) == wanted, timeout)


def oplog(host, uuid):
    """The operation log by operation."""
    items = host.api("GET", f"/vms/{uuid}").json()["stats"]["oplog"]["items"]
    return {item["op"]: item for item in items}


def save(host, uuid):
    """Boot the VM and save its memory; QEMU refuses that while there is the agent's channel."""
    xml = host.virsh("dumpxml", "--inactive", "--security-info", uuid).stdout
    host.run(["tee", "/run/save.xml"],
             input=re.sub(r"<channel type='qemu-vdagent'>.*?</channel>", "", xml, flags=re.S))
    host.virsh("define", "/run/save.xml")
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text
    host.virsh("managedsave", uuid)
    wait_runstate(host, uuid, "poweroff")


@pytest.fixture(scope="session")
def lab1():
    """One host."""
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}1") as lab:
        wait_ready(lab.hosts[0])
        yield lab


@pytest.fixture(scope="session")
def lab3():
    """Three hosts."""
    with Lab(3, build_dir=BUILD, name=f"{PREFIX}3") as lab:
        for host in lab.hosts:
            wait_ready(host)
        yield lab


@pytest.fixture
def host(lab1):
    """The one host, with its daemons alive as the last test found them."""
    yield lab1.hosts[0]
    if lab1.hosts[0].alive("virtxd"):
        clear(lab1.hosts[0])


@pytest.fixture(scope="session")
def guest_image():
    """Path of a raw image that boots by BIOS."""
    paths = subprocess.run([os.path.join(ROOT, "test", "guest", "build")], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    return next(path for path in paths if "bios" in path)


def memory_left(hosts):
    """What each of the hosts has for VMs at least, in MiB."""
    return min(host.api("GET", f"/hosts/{host.uuid}").json()["resources"]["memory"]["availablevms"] for host in hosts)


@pytest.fixture
def hosts(lab3):
    """Three hosts that know each other, without VMs."""
    for host in lab3.hosts:
        wait_for("all hosts", lambda: len([item for item in host.api(
            "GET", "/hosts?cstate=active").json()["items"] if item["fields"]["memoryavailable"] > 0]) == 3, 60)
        wait_for("no VMs", lambda: host.api("GET", "/vms").json()["items"] == [], 30)
    yield lab3.hosts
    for host in lab3.hosts:
        if not host.alive("virtxd"):
            host.start("virtxd")
            wait_ready(host)
        clear(host)
