# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at many points of create and delete: nothing is lost, nothing is left."""

import os
import signal
import threading
import time

import pytest
from conftest import create, disk, vmdef, wait_ready
from lab import LabError, wait_for

POINTS = 20


def api_vms(host):
    return {item["uuid"] for item in host.api("GET", "/vms").json()["items"]}


def accounted(lab, host):
    """Everything on the storage and in libvirt is of a VM that the API lists, and of each VM all is there."""
    registry = f"{lab.vms}/xml/{host.uuid}"
    files = set(os.listdir(registry))
    vms = api_vms(host)
    domains = set(host.virsh("list", "--all", "--uuid").stdout.split())
    registered = {name[:-4] for name in files if name.endswith(".xml")}
    images = {name for _, _, names in os.walk(f"{lab.vms}/ds") for name in names
              if name.startswith("kill") or name.startswith(".")}
    answers = [host.api("GET", f"/vms/{uuid}") for uuid in vms]
    if any(answer.status != 200 for answer in answers):
        return False  # one went meanwhile: look again
    wanted = {answer.json()["def"]["osdisk"]["path"] for answer in answers}
    resources = set(os.listdir(f"{lab.vms}/lock")) - {"__VIRTX__DISKS__"}
    return (vms == domains == registered and not [f for f in files if f.endswith(".journal")] and
            images == {os.path.basename(path) for path in wanted} and
            len(resources) == len(wanted) and not [r for r in resources | files if r.startswith(".")])


def jobs(host, name):
    """Process ids of the jobs of that name on this host, whoever started them."""
    here = os.stat(f"/proc/{host.pid('sanlock')}/ns/net").st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if f"\0--job\0{name}\0".encode() not in file.read():
                    continue
            if os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                found.append(int(pid))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass
    return found


def send(host, method, path, body):
    """The request in a thread of its own; its connection may break."""
    def run():
        try:
            host.api(method, path, body, timeout=60)
        except (OSError, LabError):
            pass
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def kill(host, job, victims, delay):
    """Let the request come as far as the delay, and kill; whether the job was there."""
    time.sleep(delay)
    found = jobs(host, job)
    for pid in found if "job" in victims else []:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if "virtxd" in victims:
        host.kill("virtxd")
        host.start("virtxd")
        wait_ready(host)
    wait_for("the jobs to end", lambda: not jobs(host, job), 30)
    return bool(found)


def begin(host, operation, point):
    """A create or a delete on its way: its thread, the name of its job."""
    definition = vmdef("kill", osdisk=disk(f"/vms/ds/kill{point % 3}.qcow2"))
    if operation == "create":
        return send(host, "POST", "/vms", {"vmdef": definition, "host": ""}), "vm-create"
    uuid = create(host, definition)
    return send(host, "DELETE", f"/vms/{uuid}", {"deletestorage": True}), "vm-delete"


def delete_all(host):
    for uuid in api_vms(host):
        wait_for("the delete", lambda: host.api("DELETE", f"/vms/{uuid}",
                 {"deletestorage": True}).status in (204, 404), 30)


@pytest.mark.parametrize("victims", ["job", "virtxd", "job+virtxd"])
@pytest.mark.parametrize("operation", ["create", "delete"])
def test_kill(lab1, host, operation, victims):
    thread, _ = begin(host, operation, 0)
    started = time.monotonic()
    thread.join()
    took = time.monotonic() - started
    delete_all(host)
    met = 0
    for point in range(POINTS):
        thread, job = begin(host, operation, point)
        met += kill(host, job, victims, took * point / POINTS)
        thread.join()
        wait_for(f"all to be accounted for after point {point}", lambda: accounted(lab1, host), 60)
        delete_all(host)
        assert accounted(lab1, host)
    assert met > 0
