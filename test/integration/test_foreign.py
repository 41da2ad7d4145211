# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that was made with virsh: it is listed and can be led through its life, and its storage is left alone."""

import os

from conftest import runstate, vmdef, wait_runstate
from lab import wait_for

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
