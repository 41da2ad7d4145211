# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VM is wanted to be: who is asked for it, in libvirt's definition and in the registry, and what leaves it."""

import os
import re
import signal
import threading
import time

import pytest
from conftest import BUILD, create, delete, disk, oplog, runstate, vm_told, vmdef, wait_ready, wait_runstate
from lab import wait_for
from test_kill import jobs
from test_life import wait_for_line
from test_migrate import COLD, LIVE, detach_agent, ended

PROGRAM = f"{BUILD}/virtxd/virtxd"
WORDS = ("unknown", "off", "on")
POINTS = 8


def element(xml):
    """What the element of a definition says, which comes after VirtX's first one."""
    found = re.search(r"<(\S*:)?want [^>]*>(\w+)</", xml)
    if found:
        assert xml.index("data-vm") < found.start()
    return found.group(2) if found else "unknown"


def wants(lab, host, uuid):
    """By the API, by libvirt, and by the registry."""
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        registered = element(file.read())
    return (WORDS[vm_told(host, uuid)["want"]],
            element(host.virsh("dumpxml", "--inactive", uuid).stdout), registered)


def expect(lab, host, uuid, want):
    assert wants(lab, host, uuid) == (want,) * 3


def wait_want(lab, host, uuid, want):
    wait_for(f"VM {uuid} to be wanted {want}", lambda: wants(lab, host, uuid) == (want,) * 3, 30)


def boot(host, uuid):
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text


def shut(host, uuid, force=2):
    answer = host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": force})
    assert answer.status == (202 if force == 0 else 204), answer.text


def collected(host):
    """All that libvirt has was looked at anew."""
    ts = host.api("GET", f"/hosts/{host.uuid}").json()["ts"]
    wait_for("the VMs to be collected", lambda: host.api("GET", f"/hosts/{host.uuid}").json()["ts"] > ts, 60)


def test_by_the_api(lab1, host):
    """On when it is booted, off when a shutdown is accepted, be the guest deaf; in all three places when that is told."""
    uuid = create(host, vmdef("wanted"))
    expect(lab1, host, uuid, "unknown")
    for force in (2, 1):
        boot(host, uuid)
        expect(lab1, host, uuid, "on")
        for method in ("POST", "DELETE"):
            assert host.api(method, f"/vms/{uuid}/runstate/pause").status == 204
            expect(lab1, host, uuid, "on")
        shut(host, uuid, force)
        expect(lab1, host, uuid, "off")
    boot(host, uuid)
    shut(host, uuid, 0)
    expect(lab1, host, uuid, "off")
    assert runstate(host, uuid) == "running"
    collected(host)
    expect(lab1, host, uuid, "off")
    # It is to stay on after all.
    assert host.api("POST", f"/vms/{uuid}/runstate/boot?if_needed=true").status == 204
    expect(lab1, host, uuid, "on")
    assert oplog(host, uuid)["VmShutdown"]["status"] == "failed"
    assert "wanted" in host.virtx("get", "vm", uuid).stdout
    shut(host, uuid)
    definition = vm_told(host, uuid)["def"]
    boot(host, uuid)
    os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    wait_for("the VM to be off", lambda: runstate(host, uuid) in ("crashed", "poweroff"), 30)
    # What is changed meanwhile leaves it.
    answer = host.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "name": "renamed"}, "deletestorage": False})
    assert answer.status == 204, answer.text
    expect(lab1, host, uuid, "on")
    # Off already, and to stay so.
    shut(host, uuid)
    expect(lab1, host, uuid, "off")
    refused = host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    assert refused.status == 424 and "off already" in refused.text, refused.text
    delete(host, uuid)


@pytest.mark.parametrize("end", ["killed", "signalled", "destroyed"])
def test_not_by_what_ends_it(lab1, host, end):
    """Nobody who uses the API has asked for that, nor has the guest; also not where virtxd hears of it later."""
    uuid = create(host, vmdef("ended"))
    boot(host, uuid)
    if end == "destroyed":
        host.virsh("destroy", uuid)
    else:
        os.kill(host.qemu_pid(uuid), signal.SIGKILL if end == "killed" else signal.SIGTERM)
    wait_for("the VM to be off", lambda: runstate(host, uuid) in ("crashed", "poweroff"), 30)
    collected(host)
    expect(lab1, host, uuid, "on")
    host.restart("virtxd")
    wait_ready(host)
    collected(host)
    expect(lab1, host, uuid, "on")
    shut(host, uuid)
    delete(host, uuid)


def test_by_another_program(lab1, host):
    """What somebody starts with libvirt's tools is wanted on."""
    uuid = create(host, vmdef("started"))
    host.virsh("start", uuid)
    wait_want(lab1, host, uuid, "on")
    shut(host, uuid)
    host.kill("virtxd")
    host.virsh("start", uuid)
    host.start("virtxd")
    wait_ready(host)
    wait_want(lab1, host, uuid, "on")
    shut(host, uuid)
    delete(host, uuid)


def test_by_the_guest(lab1, host, guest_image):
    """A guest that powers itself off is wanted off; not where it goes with its host, as libvirt-guests has it."""
    os.makedirs(f"{lab1.vms}/ds", exist_ok=True)
    host.run(["qemu-img", "convert", "-O", "qcow2", guest_image, "/vms/ds/wish.qcow2"])
    uuid = create(host, vmdef("wish", osdisk=disk("/vms/ds/wish.qcow2", prov=0), memory={"total": 128, "hp": False}))

    def power_off():
        boot(host, uuid)
        expect(lab1, host, uuid, "on")
        wait_for_line(host.path(host.virsh("ttyconsole", uuid).stdout.strip()), b"virtx-guest: up")
        host.virsh("shutdown", "--mode", "acpi", uuid)
        wait_runstate(host, uuid, "poweroff")

    power_off()
    wait_want(lab1, host, uuid, "off")
    # What systemd has done as libvirt-guests stops, and when that was all.
    host.run([PROGRAM, "--guests", "down"])
    power_off()
    host.run([PROGRAM, "--guests", "up"])
    wait_for("it to be known why", lambda: "excused" in host.virsh("dumpxml", "--inactive", uuid).stdout, 30)
    host.run(["rm", "/run/virtx/guests"])
    host.restart("virtxd")
    wait_ready(host)
    collected(host)
    expect(lab1, host, uuid, "on")
    # It says so itself, while virtxd is not there.
    boot(host, uuid)
    assert "excused" not in host.virsh("dumpxml", "--inactive", uuid).stdout
    wait_for_line(host.path(host.virsh("ttyconsole", uuid).stdout.strip()), b"virtx-guest: up")
    host.kill("virtxd")
    host.virsh("shutdown", "--mode", "acpi", uuid)
    wait_for("the VM to be off", lambda: host.virsh("domstate", uuid).stdout.strip() == "shut off", 60)
    host.start("virtxd")
    wait_ready(host)
    wait_want(lab1, host, uuid, "off")
    delete(host, uuid)


def test_migrations_leave_it(lab3, hosts):
    """Live or off, it is what it was where the VM has gone."""
    one, two = hosts[:2]
    uuid = create(one, vmdef("moved"))
    boot(one, uuid)
    detach_agent(one, uuid)
    for source, target, kind, want in ((one, two, LIVE, "on"), (two, one, COLD, "off")):
        if kind == COLD:
            shut(two, uuid)
        answer = source.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": target.uuid, "migration_type": kind},
                            timeout=60)
        assert answer.status == 202, answer.text
        found = wait_for("the end", lambda: ended(source, answer), 120)
        assert found["state"] == "completed", found
        wait_for(f"VM {uuid} to be there", lambda: uuid in target.virsh("list", "--all", "--uuid").stdout, 30)
        wait_want(lab3, target, uuid, want)
    delete(one, uuid)


def test_usage(host):
    wrong = host.run([PROGRAM, "--guests", "leave"], check=False)
    assert wrong.returncode == 2 and "usage" in wrong.stderr


@pytest.mark.parametrize("virtxd", ["runs", "starts"])
def test_a_shutdown_that_libvirt_never_heard_of(lab1, host, virtxd):
    """Its job has written it down, and no more: it has failed, and the VM is wanted on, and so also after a crash."""
    uuid = create(host, vmdef("unheard"))
    boot(host, uuid)
    if virtxd == "starts":
        host.kill("virtxd")
    for key, element in (("virtx-op-VmShutdown", "<data-op><op>VmShutdown</op>"
                          f"<ts>{time.time_ns() // 1000000}</ts><te>0</te><status>started</status>"
                          "<msg>forced shutdown</msg></data-op>"), ("virtx-want", "<want>off</want>")):
        host.virsh("metadata", uuid, "--uri", key, "--key", key, "--set", element, "--live", "--config")
    if virtxd == "starts":
        host.start("virtxd")
        wait_ready(host)

    def has_failed():
        answer = host.api("GET", f"/vms/{uuid}")
        items = answer.json()["stats"]["oplog"]["items"] if answer.status == 200 else []
        return ("VmShutdown", "failed") in [(item["op"], item["status"]) for item in items]

    wait_for("it to have failed", has_failed, 30)
    wait_want(lab1, host, uuid, "on")
    os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    wait_for("the VM to be off", lambda: runstate(host, uuid) in ("crashed", "poweroff"), 30)
    collected(host)
    expect(lab1, host, uuid, "on")
    shut(host, uuid)
    delete(host, uuid)


def answers(host, method, uuid, body=None):
    """The request in a thread, and the list that its answer goes to; none where its virtxd was killed."""
    def run():
        try:
            found.append(host.api(method, f"/vms/{uuid}/runstate/boot", body, timeout=60))
        except OSError:
            pass
    found = []
    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


@pytest.mark.parametrize("victims", ["job", "job+virtxd"])
@pytest.mark.parametrize("operation", ["boot", "shutdown"])
def test_cut_off(lab1, host, operation, victims):
    """kill -9 at many points: what was answered is so, all three agree in the end, and what runs is wanted on."""
    uuid = create(host, vmdef("cut"))
    name = f"vm-{operation}"
    for point in range(POINTS):
        if operation == "shutdown":
            boot(host, uuid)
        body = {"force": 2} if operation == "shutdown" else None
        thread, found = answers(host, "POST" if operation == "boot" else "DELETE", uuid, body)
        if point:
            wait_for("the job", lambda: jobs(host, name) or not thread.is_alive(), 30, interval=0.001)
            threading.Event().wait(0.02 * (point - 1))
        for pid in jobs(host, name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if "virtxd" in victims:
            host.kill("virtxd")
            host.start("virtxd")
            wait_ready(host)
        thread.join()
        wait_for("the job to end", lambda: not jobs(host, name), 30)

        def agree():
            seen = set(wants(lab1, host, uuid))
            on = host.virsh("domstate", uuid).stdout.strip() == "running"
            settled = all(item["status"] != "started" for item in oplog(host, uuid).values())
            return len(seen) == 1 and settled and (runstate(host, uuid) == "running") == on and \
                (not on or seen == {"on"})

        wait_for(f"all to agree after point {point}", agree, 60)
        if found and found[0].status == 204:
            expect(lab1, host, uuid, "on" if operation == "boot" else "off")
        if runstate(host, uuid) == "running":
            shut(host, uuid)
    host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
    delete(host, uuid)
