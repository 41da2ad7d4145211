# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM's whole life through the API: create, boot, pause, resume, shut down, delete."""

import os

from conftest import (create, delete, disk, oplog, runstate, vmdef, wait_runstate)
from lab import wait_for


ROUNDS = int(os.environ.get("VIRTX_ROUNDS", "200"))


def leases(host):
    """Resources that the VMs' leases hold now."""
    return [line for line in host.sanlock_status()["resources"]]


def test_life(lab1, host):
    uuid = create(host, vmdef("life"))
    image = f"{lab1.vms}/ds/life.qcow2"
    registered = f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml"
    assert os.path.exists(image) and os.path.exists(registered)
    assert uuid in host.virsh("list", "--all", "--uuid").stdout
    assert leases(host) == []

    vm = host.api("GET", f"/vms/{uuid}").json()
    assert vm["def"]["name"] == "life" and vm["def"]["osdisk"]["size"] == 64
    assert vm["runinfo"] == {"runstate": 2, "host": host.uuid, "reason": ""}
    listed = host.api("GET", "/vms?name=life").json()["items"]
    assert [item["uuid"] for item in listed] == [uuid]

    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert runstate(host, uuid) == "running"
    assert len(leases(host)) == 1
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 424
    assert host.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert runstate(host, uuid) == "paused"
    assert host.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert runstate(host, uuid) == "running"
    assert host.api("DELETE", f"/vms/{uuid}").status == 422

    answer = host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    assert answer.status == 204
    assert runstate(host, uuid) == "poweroff"
    wait_for("the lease to be gone", lambda: leases(host) == [], 10)
    log = oplog(host, uuid)
    assert {op: item["status"] for op, item in log.items()} == {
        "VmBoot": "completed", "VmPause": "completed", "VmResume": "completed",
        "VmShutdown": "completed"}
    assert log["VmShutdown"]["msg"] == "forced shutdown"

    delete(host, uuid)
    assert host.api("GET", f"/vms/{uuid}").status == 404
    assert not os.path.exists(image) and not os.path.exists(registered)
    assert os.listdir(f"{lab1.vms}/lock") == ["__VIRTX__DISKS__"]
    assert uuid not in host.virsh("list", "--all", "--uuid").stdout


def test_acpi_shutdown(lab1, host, guest_image):
    os.makedirs(f"{lab1.vms}/ds", exist_ok=True)
    host.run(["qemu-img", "convert", "-O", "qcow2", guest_image, "/vms/ds/guest.qcow2"])
    definition = vmdef("guest", osdisk=disk("/vms/ds/guest.qcow2", prov=0),
                       memory={"total": 128, "hp": False})
    uuid = create(host, definition)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    console = host.path(host.virsh("ttyconsole", uuid).stdout.strip())
    wait_for_line(console, b"virtx-guest: up")
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 0}).status == 202
    wait_runstate(host, uuid, "poweroff")
    wait_for("the log to tell the end",
             lambda: oplog(host, uuid)["VmShutdown"]["status"] == "completed", 10)
    assert oplog(host, uuid)["VmShutdown"]["msg"] == "graceful shutdown"
    delete(host, uuid)


def wait_for_line(console, line, timeout=90):
    """Read a serial console until it has printed this."""
    seen = b""
    fd = os.open(console, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        def found():
            nonlocal seen
            try:
                seen += os.read(fd, 65536)
            except BlockingIOError:
                pass
            return line in seen
        wait_for(f"the guest to print {line}", found, timeout)
    finally:
        os.close(fd)


def test_read_your_writes(host):
    definition = vmdef("ryw")
    for n in range(ROUNDS):
        definition["osdisk"] = disk(f"/vms/ds/ryw{n % 4}.raw", size=1)
        uuid = create(host, definition)
        assert host.api("GET", f"/vms/{uuid}").status == 200
        delete(host, uuid)
        assert host.api("GET", f"/vms/{uuid}").status == 404


def test_respond_async(host):
    body = {"vmdef": vmdef("async"), "host": ""}
    answer = host.api("POST", "/vms", body, headers={"Prefer": "respond-async"})
    assert answer.status == 202
    location = answer.headers["Location"]
    wait_for("the operation to end", lambda: host.api("GET", location).json()["te"] > 0, 30)
    operation = host.api("GET", location).json()
    assert (operation["op"], operation["state"]) == ("VmCreate", "completed")
    assert host.api("GET", f"/vms/{operation['vm']}").status == 200
    assert operation in host.api("GET", "/operations").json()["items"]
    delete(host, operation["vm"])
