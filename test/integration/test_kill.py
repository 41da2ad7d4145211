# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at many points of create and delete: nothing is lost, nothing is left."""

import contextlib
import os
import signal
import threading
import time

import pytest
from conftest import clear, create, disk, vmdef, wait_ready
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
              if name.startswith("kill") or (name.startswith(".") and name != ".virtx-storage")}
    answers = [host.api("GET", f"/vms/{uuid}") for uuid in vms]
    if any(answer.status != 200 for answer in answers):
        return False  # one went meanwhile: look again
    wanted = {answer.json()["def"]["osdisk"]["path"] for answer in answers}
    resources = set(os.listdir(f"{lab.vms}/lock")) - {"__VIRTX__DISKS__"}
    return (vms == domains == registered and not [f for f in files if f.endswith(".journal")] and
            images == {os.path.basename(path) for path in wanted} and
            len(resources) == len(wanted) + len(vms) and not [r for r in resources | files if r.startswith(".")])


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


class Asked:
    """A request in a thread, with its answer."""

    def __init__(self, host, method, path, body=None):
        def run():
            self.answer = host.api(method, path, body, timeout=120)
        self.answer = None
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def wait(self):
        self.thread.join()
        return self.answer


def operations(host, uuid):
    """Those of a VM, the newest first."""
    return [item for item in host.api("GET", "/operations").json()["items"] if item["vm"] == uuid]


def truth(host, uuid, name):
    """Whether libvirt says that what the operation wanted is so."""
    if name == "create":
        return host.virsh("list", "--all", "--uuid").stdout.strip() != ""
    if name == "update":
        return "killb.qcow2" in host.virsh("dumpxml", uuid).stdout
    state = host.virsh("domstate", uuid, check=False)
    if name == "delete":
        return state.returncode != 0
    return {"boot": ("running",), "pause": ("paused",), "resume": ("running",),
            "shutdown": ("shut off",)}[name].count(state.stdout.strip()) == 1


ROUTES = {
    "boot": ("POST", "/runstate/boot", None), "pause": ("POST", "/runstate/pause", None),
    "resume": ("DELETE", "/runstate/pause", None), "shutdown": ("DELETE", "/runstate/boot", {"force": 2}),
    "delete": ("DELETE", "", {"deletestorage": True}),
    "update": ("PUT", "", {"vmdef": vmdef("kill", disks=[disk("/vms/ds/killb.qcow2")])}),
}


@pytest.mark.parametrize("name", ["create", "boot", "shutdown", "pause", "update", "delete"])
def test_what_is_told_of_a_killed_job_is_true(host, name):
    """At whatever instruction the job is killed: done is success, and failed is not done."""
    met = 0
    for point in range(6):
        uuid = create(host, vmdef("kill")) if name != "create" else ""
        if name in ("shutdown", "pause"):
            assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        if name == "create":
            method, path, body = "POST", "/vms", {"vmdef": vmdef("kill"), "host": ""}
        else:
            method, path, body = ROUTES[name]
            path = f"/vms/{uuid}{path}"
        host.signal("libvirtd", signal.SIGSTOP)  # so that the job is met before it has done anything
        try:
            asked = Asked(host, method, path, body)
            wait_for("the job", lambda: jobs(host, f"vm-{name}"), 20)
        finally:
            host.signal("libvirtd", signal.SIGCONT)
        time.sleep((0.004 if name == "pause" else 0.04) * point)
        for pid in jobs(host, f"vm-{name}"):
            met += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        answer = asked.wait()
        assert answer.status in (200, 201, 204, 500), answer.text
        assert (answer.status != 500) == truth(host, uuid, name), (point, answer.text)
        operation = host.api("GET", "/operations").json()["items"][0]
        assert operation["state"] == ("failed" if answer.status == 500 else "completed"), operation
        if answer.status == 500:
            assert "killed by signal 9" in answer.json()["detail"], answer.text
        clear(host)
    assert met > 0


def being_found_out(host, uuid):
    return any("being found out" in item["msg"] for item in operations(host, uuid))


def test_delete_whose_libvirt_died(lab1, host):
    """The answer waits until libvirt is back and the delete is over."""
    for _ in range(10):
        uuid = create(host, vmdef("kill"))
        journal = f"{lab1.vms}/xml/{host.uuid}/{uuid}.journal"
        asked = Asked(host, "DELETE", f"/vms/{uuid}", {"deletestorage": True})
        while not os.path.exists(journal) and asked.answer is None:
            pass  # the journal is there for some milliseconds
        host.kill("libvirtd")
        try:
            wait_for("the end of the job", lambda: asked.answer or being_found_out(host, uuid), 30)
            met = asked.answer is None
            if met:
                assert operations(host, uuid)[0]["state"] == "started"
                assert host.api("DELETE", f"/vms/{uuid}").status in (409, 503)
        finally:
            host.start("libvirtd")
        answer = asked.wait()
        assert answer.status in (200, 204), answer.text
        assert any(item["state"] == "completed" for item in operations(host, uuid))
        assert host.api("GET", f"/vms/{uuid}").status == 404
        wait_for("all to be accounted for", lambda: accounted(lab1, host), 30)
        wait_ready(host)
        if met:
            return
    pytest.fail("libvirtd was never killed in the middle of a delete")
