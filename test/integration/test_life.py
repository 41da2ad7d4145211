# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM's whole life through the API: create, boot, pause, resume, shut down, delete."""

import os
import re
import time

import pytest
from conftest import create, delete, disk, oplog, runstate, save, vm_told, vmdef, wait_ready, wait_runstate
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

    vm = vm_told(host, uuid)
    assert vm["def"]["name"] == "life" and vm["def"]["osdisk"]["size"] == 64
    assert vm["runinfo"] == {"runstate": 2, "host": host.uuid, "reason": "", "last": 0}
    listed = host.api("GET", "/vms?name=life").json()["items"]
    assert [item["uuid"] for item in listed] == [uuid]

    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert runstate(host, uuid) == "running"
    assert len(leases(host)) == 2
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


def make_counting(lab, host, image):
    """A VM that is on, and whose guest counts the seconds on its second disk; its uuid, and what tells how far it is."""
    os.makedirs(f"{lab.vms}/ds", exist_ok=True)
    host.run(["qemu-img", "convert", "-O", "qcow2", image, "/vms/ds/guest.qcow2"])
    uuid = create(host, vmdef("guest", osdisk=disk("/vms/ds/guest.qcow2", prov=0),
                              disks=[disk("/vms/ds/counter.raw", size=1)], memory={"total": 32, "hp": False}))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204

    def count():
        with open(f"{lab.vms}/ds/counter.raw", "rb") as file:
            return int(re.match(rb"\d*", file.read(16)).group(0) or b"0")

    return uuid, count


def test_reset(lab1, host, counter_image):
    """The guest starts anew in the same process, which keeps its leases; the VM stays wanted on."""
    uuid, count = make_counting(lab1, host, counter_image)
    wait_for("the guest to count", lambda: count() > 8, 120)
    pid, held = host.qemu_pid(uuid), leases(host)
    assert len(held) == 3
    answer = host.api("POST", f"/vms/{uuid}/runstate/reset")
    assert answer.status == 204, answer.text
    wait_for("the guest to count anew", lambda: 0 < count() <= 8, 120)
    wait_for("the guest to count on", lambda: count() > 8, 120)
    assert (host.qemu_pid(uuid), leases(host)) == (pid, held)
    assert runstate(host, uuid) == "running" and vm_told(host, uuid)["want"] == 2
    log = oplog(host, uuid)
    assert {op: item["status"] for op, item in log.items()} == {"VmBoot": "completed", "VmReset": "completed"}
    done = host.virtx("reset", "vm", uuid)
    assert done.returncode == 0, done.stderr
    wait_for("the guest to count anew", lambda: 0 < count() <= 8, 120)

    assert host.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    answer = host.api("POST", f"/vms/{uuid}/runstate/reset")
    assert answer.status == 424 and "it is paused, not running" in answer.text, answer.text
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    answer = host.api("POST", f"/vms/{uuid}/runstate/reset")
    assert answer.status == 424 and "it is poweroff, not running" in answer.text, answer.text
    operations = host.api("GET", f"/operations?vm={uuid}").json()["items"]
    assert [o["state"] for o in operations if o["op"] == "VmReset"] == ["failed", "failed", "completed", "completed"]
    delete(host, uuid)


def test_reboot(lab1, host, counter_image):
    """The guest goes off as it is asked to, and is booted again; nobody takes that for a wish that it be off."""
    uuid, count = make_counting(lab1, host, counter_image)
    for restarted in (False, True):
        wait_for("the guest to count", lambda: count() > 8, 120)
        pid, held = host.qemu_pid(uuid), leases(host)
        answer = host.api("POST", f"/vms/{uuid}/runstate/reboot")
        assert answer.status == 204, answer.text
        assert oplog(host, uuid)["VmReboot"]["status"] in ("started", "completed")
        if restarted:
            # What was asked is not forgotten with virtxd.
            host.restart("virtxd")
            wait_ready(host)
        wait_for("another process", lambda: host.qemu_pid(uuid) not in (None, pid), 120)
        wait_for("the guest to count anew", lambda: 0 < count() <= 8, 120)
        wait_runstate(host, uuid, "running")
        assert vm_told(host, uuid)["want"] == 2
        assert [line.split(":")[1] for line in leases(host)] == [line.split(":")[1] for line in held]
        wait_for("the log to tell the end", lambda: oplog(host, uuid)["VmReboot"]["status"] == "completed", 60)
        assert oplog(host, uuid)["VmBoot"]["status"] == "completed" and "VmShutdown" not in oplog(host, uuid)

    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    answer = host.api("POST", f"/vms/{uuid}/runstate/reboot")
    assert answer.status == 424 and "it is poweroff, not running" in answer.text, answer.text
    assert vm_told(host, uuid)["want"] == 1
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


def test_restored_paused(host):
    """A VM whose memory was restored, and that waits, is paused, and goes on; not where its disk was used meanwhile."""
    uuid = create(host, vmdef("kept"))
    save(host, uuid, "/run/kept.save")
    host.virsh("restore", "--paused", "/run/kept.save")
    wait_runstate(host, uuid, "paused")
    for again in (False, True):
        if again:
            host.restart("virtxd")
            wait_ready(host)
        ts = host.api("GET", f"/hosts/{host.uuid}").json()["ts"]
        wait_for("the VMs to be collected", lambda: host.api("GET", f"/hosts/{host.uuid}").json()["ts"] > ts, 60)
        assert runstate(host, uuid) == "paused"
        assert vm_told(host, uuid)["runinfo"]["reason"] == "its memory was restored"
    answer = host.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 204, answer.text
    assert runstate(host, uuid) == "running"

    host.virsh("save", uuid, "/run/kept.save")
    wait_runstate(host, uuid, "poweroff")
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    host.virsh("restore", "--paused", "/run/kept.save")
    wait_runstate(host, uuid, "paused")
    answer = host.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 409 and "was taken by another since" in answer.text, answer.text
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(host, uuid)


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


def test_shutdown_is_over_when_it_is_told(host):
    """Who sees that a forced shutdown has completed can begin the next operation."""
    prefer = {"Prefer": "respond-async"}
    uuid = create(host, vmdef("over"))
    for force in (1, 2) * 3:
        assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
        answer = host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": force}, headers=prefer)
        location = answer.headers["Location"]
        due = time.monotonic() + 30
        # Without a pause between two looks, as the moment after the end is what counts.
        while (operation := host.api("GET", location).json())["state"] == "started":
            assert time.monotonic() < due
        assert operation["state"] == "completed", operation
    delete(host, uuid)


def test_hugepages_that_are_not_there(host):
    """A boot for which there are too few is refused with the figures, and nothing is started."""
    definition = vmdef("huge", memory={"total": 3001, "hp": True})
    uuid = create(host, definition)
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    found = re.search(rf"host '{host.uuid}' has (\d+) MiB of free hugepages \((\d+) of 2048 KiB\), and the VM needs 3002 MiB$",
                      answer.json()["detail"])
    assert answer.status == 422 and found and int(found[1]) == 2 * int(found[2]), answer.text
    assert runstate(host, uuid) == "poweroff" and host.sanlock_status()["resources"] == []
    # One that somebody has given a size of its own.
    definition["memory"]["total"] = 64
    assert host.api("PUT", f"/vms/{uuid}", {"vmdef": definition}).status == 204
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    assert "<hugepages/>" in xml
    host.run(["tee", "/run/huge.xml"], input=xml.replace(
        "<hugepages/>", "<hugepages><page size='1' unit='GiB'/></hugepages>"))
    host.virsh("define", "/run/huge.xml")
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422, answer.text
    assert f"a hugepage of host '{host.uuid}' has 1024 MiB, and the VM has 64 MiB" in answer.json()["detail"]
    delete(host, uuid)


@pytest.mark.skipif(os.path.exists("/usr/bin/numad"), reason="numad is installed")
def test_numad_that_is_not_there(host):
    """libvirt's own words do not say that it is missing."""
    uuid = create(host, vmdef("placed", numa={"placement": True}))
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and f"is not installed on host '{host.uuid}'" in answer.json()["detail"], answer.text
    assert runstate(host, uuid) == "poweroff" and host.sanlock_status()["resources"] == []
    delete(host, uuid)
