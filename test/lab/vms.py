# SPDX-License-Identifier: GPL-2.0-or-later
"""What most tests do with VMs, on the hosts of either lab: all of it by the API."""

from .util import wait_for

RUNSTATES = ("none", "deleted", "poweroff", "startup", "running", "paused", "migrating",
             "terminating", "pmsuspended", "crashed")


def wait_ready(host, timeout=60):
    """Wait until virtxd has libvirt, serf and the lockspace."""
    wait_for(f"{host.name} to be ready", lambda: host.api("GET", "/readyz").status == 200, timeout)


def wait_joined(lab, timeout=100):
    """Wait until each host is ready and shows all as active.

    A change of tags that serf has lost it tells again within 30 seconds, and virtxd reads the members every minute.
    """
    for host in lab.hosts:
        wait_ready(host)
        wait_for(f"{host.name} to show all hosts as active",
                 lambda: len(host.api("GET", "/hosts?cstate=active").json()["items"]) == lab.n, timeout)


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


def runstate(host, uuid):
    """The run state in words."""
    answer = host.api("GET", f"/vms/{uuid}/runstate")
    assert answer.status == 200, answer.text
    return RUNSTATES[answer.json()["runstate"]]


def wait_runstate(host, uuid, wanted, timeout=60):
    """Wait until the API says so."""
    wait_for(f"VM {uuid} to be {wanted}", lambda: runstate(host, uuid) == wanted, timeout)
