# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that was made with virsh: it is listed and can be led through its life, and its storage is left alone."""

import os
import re
import signal

from conftest import RUNSTATES, create, delete, runstate, vm_told, vmdef, wait_ready, wait_runstate
from lab import wait_for
from test_events import Watch

UUID = "00000000-1111-4222-8333-0000000f0e16"
XML = f"""<domain type='qemu'><name>strange</name><uuid>{UUID}</uuid>
<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='/vms/ds/strange.img'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


def test_foreign(lab1, host):
    os.makedirs(f"{lab1.vms}/ds", exist_ok=True)
    image = f"{lab1.vms}/ds/strange.img"
    with open(image, "wb") as file:
        file.truncate(1 << 20)
    os.chmod(image, 0o666)
    host.run(["tee", "/run/strange.xml"], input=XML)
    host.virsh("define", "/run/strange.xml")
    wait_for("it to be listed", lambda: host.api("GET", f"/vms/{UUID}").status == 200, 10)
    assert runstate(host, UUID) == "poweroff"
    assert host.api("POST", f"/vms/{UUID}/runstate/boot").status == 204
    assert host.api("POST", f"/vms/{UUID}/runstate/pause").status == 204
    assert host.api("DELETE", f"/vms/{UUID}/runstate/pause").status == 204
    assert host.api("DELETE", f"/vms/{UUID}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, UUID, "poweroff")
    refused = host.api("DELETE", f"/vms/{UUID}", {"deletestorage": True})
    assert refused.status == 422 and "VirtX" in refused.json()["detail"], refused.text
    refused = host.api("PUT", f"/vms/{UUID}", {"vmdef": vmdef("strange"), "deletestorage": False})
    assert refused.status == 422, refused.text
    assert host.api("DELETE", f"/vms/{UUID}").status == 204
    assert os.path.exists(image)
    os.unlink(image)


def problems(host):
    return {(p["kind"], p["vm"]) for p in host.api("GET", f"/hosts/{host.uuid}").json()["problems"]}


def repair(host, uuid, **options):
    """What was done about the VM."""
    answer = host.api("POST", f"/hosts/{host.uuid}/repair", {"apply": True, **options})
    assert answer.status == 200, answer.text
    return [(i["kind"], i["action"], i["done"]) for i in answer.json()["items"] if i["vm"] == uuid]


def is_persistent(host, uuid):
    return "Persistent:     yes" in host.virsh("dominfo", uuid).stdout


def test_undefined_while_it_runs(lab1, host):
    """It stays a VM of the host, is told of, and is defined again."""
    uuid = create(host, vmdef("transient"))
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    before = host.virsh("dumpxml", "--inactive", uuid).stdout
    host.virsh("undefine", uuid)
    assert not is_persistent(host, uuid)
    wait_for("it to be told", lambda: ("transient", uuid) in problems(host), 40)
    assert runstate(host, uuid) == "running"
    assert vm_told(host, uuid)["def"]["name"] == "transient"
    assert host.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    host.kill("virtxd")
    host.start("virtxd")
    wait_ready(host)
    wait_for("it to be listed", lambda: host.api("GET", f"/vms/{uuid}").status == 200, 20)
    assert repair(host, uuid) == [("transient", "define", True)]
    assert is_persistent(host, uuid) and runstate(host, uuid) == "running"
    assert repair(host, uuid) == []

    # Nor does the registry have it.
    host.virsh("undefine", uuid)
    os.unlink(f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml")
    assert repair(host, uuid) == [("transient", "define", True)]
    assert is_persistent(host, uuid)
    assert os.path.exists(f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml")
    after = host.virsh("dumpxml", "--inactive", uuid).stdout
    assert "<lease>" in after and after.count("<disk ") == before.count("<disk ")

    # It stops before anybody looks.
    host.virsh("undefine", uuid)
    wait_for("it to be told", lambda: ("transient", uuid) in problems(host), 40)
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_for("it to be missed", lambda: ("not-in-libvirt", uuid) in problems(host), 40)
    assert repair(host, uuid, define=True) == [("not-in-libvirt", "define", True)]
    wait_for("it to be listed", lambda: host.api("GET", f"/vms/{uuid}").status == 200, 20)
    wait_runstate(host, uuid, "poweroff")
    delete(host, uuid)


def test_transient_of_others(lab1, host):
    """It is nobody's business."""
    host.run(["tee", "/run/strange.xml"], input=re.sub("<disk.*</disk>", "", XML, flags=re.S))
    host.virsh("create", "/run/strange.xml")
    try:
        uuid = create(host, vmdef("beside"))
        host.virsh("define", "/run/strange.xml")
        wait_for("it to be listed once it is defined", lambda: host.api("GET", f"/vms/{UUID}").status == 200, 20)
        host.virsh("undefine", UUID)
        wait_for("it to be gone", lambda: host.api("GET", f"/vms/{UUID}").status == 404, 40)
        assert ("transient", UUID) not in problems(host)
        delete(host, uuid)
    finally:
        host.virsh("destroy", UUID)


def test_unreadable_metadata_never_fails_a_listing(host):
    """A VM whose virtx metadata is damaged is still listed."""
    xml = XML.replace("<memory ", "<metadata><virtx-vm:data-vm xmlns:virtx-vm='virtx-vm'>"
                      "<field/><nonsense/></virtx-vm:data-vm></metadata><memory ", 1)
    host.run(["tee", "/run/strange.xml"], input=xml)
    host.virsh("define", "/run/strange.xml")
    wait_for("it to be listed", lambda: host.api("GET", f"/vms/{UUID}").status == 200, 10)
    assert host.api("GET", "/vms").status == 200
    host.virsh("undefine", UUID)
    wait_for("it to be gone", lambda: host.api("GET", f"/vms/{UUID}").status == 404, 20)


def test_reasons(lab1, host, tmp_path):
    """Why a VM stands still."""
    lines = Watch(host, tmp_path / "text")
    lines.wait("reset")

    def is_told(uuid, state, reason):
        def told():
            answer = host.api("GET", f"/vms/{uuid}/runstate").json()
            return RUNSTATES[answer["runstate"]] == state and answer["reason"] == reason
        wait_for(f"'{reason}'", told, 20)

    uuid = create(host, vmdef("reasons"))
    boot = f"/vms/{uuid}/runstate/boot"
    assert host.api("POST", boot).status == 204
    assert host.api("GET", f"/vms/{uuid}/runstate").json()["reason"] == ""
    assert host.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    is_told(uuid, "paused", "it was paused by VmPause")
    assert vm_told(host, uuid)["runinfo"]["reason"] == "it was paused by VmPause"
    lines.wait(f"vm {uuid} 'reasons' is paused on host {host.uuid}: it was paused by VmPause$")
    for args in ("runstate", "vm"), ("vm",):
        assert re.search("^reason: +it was paused by VmPause$", host.virtx("get", *args, uuid).stdout, re.M), args
    assert host.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert host.api("DELETE", boot, {"force": 2}).status == 204
    is_told(uuid, "poweroff", "it was ended by force by VmShutdown")
    assert host.api("POST", boot).status == 204
    os.kill(host.qemu_pid(uuid), signal.SIGKILL)
    is_told(uuid, "crashed", "its process died")

    # A start that fails leaves nothing that starts up.
    image = f"{lab1.vms}/ds/reasons.qcow2"
    os.rename(image, image + ".away")
    for _ in range(3):
        answer = wait_for("an answer", lambda: (a := host.api("POST", boot)).status != 409 and a, 10)
        assert answer.status >= 400, answer.text
        for _ in range(20):
            assert runstate(host, uuid) in ("poweroff", "crashed")
    os.rename(image + ".away", image)
    delete(host, uuid)
    lines.close()
