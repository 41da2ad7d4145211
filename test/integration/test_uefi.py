# SPDX-License-Identifier: GPL-2.0-or-later
"""UEFI variables are the VM's: on the shared storage, wherever it is, and gone with it."""

import os

import pytest
from conftest import BUILD, PREFIX, create, delete, vmdef, wait_ready, wait_runstate
from lab import Lab, wait_for
from test_migrate import COLD, LIVE, check_place, migrate, operation

LOCAL = "/var/lib/libvirt/qemu/nvram"


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}u") as lab:
        for host in lab.hosts:
            wait_ready(host)
            wait_for("both hosts", lambda: len(host.api("GET", "/hosts?cstate=active").json()["items"]) == 2, 30)
        yield lab


def boot(host, uuid):
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 204, answer.text


def stop(host, uuid):
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    wait_runstate(host, uuid, "poweroff")


def local(host, uuid):
    return host.path(f"{LOCAL}/{uuid}_VARS.fd")


def mark(path, text):
    """Write into the end of the variables, where the firmware looks last."""
    with open(path, "r+b") as file:
        file.seek(-len(text), os.SEEK_END)
        file.write(text)


def has_mark(path, text):
    with open(path, "rb") as file:
        file.seek(-len(text), os.SEEK_END)
        return file.read() == text


def uefi(name):
    return vmdef(name, firmware=1, memory={"total": 160, "hp": False})


def test_variables_follow(lab2):
    """From one host to the other, off and live, and to their end."""
    one, two = lab2.hosts
    uuid = create(one, uefi("follow"))
    shared = f"{lab2.vms}/nvram/{uuid}_VARS.fd"
    # Before there are any.
    assert operation(one, migrate(one, uuid, two, COLD))["state"] == "completed"
    assert operation(two, migrate(two, uuid, one, COLD))["state"] == "completed"
    boot(one, uuid)
    assert os.stat(shared).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(shared)).st_mode & 0o777 == 0o750
    assert not os.path.exists(local(one, uuid))
    done = operation(one, migrate(one, uuid, two, LIVE))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, two, "running")
    stop(two, uuid)
    mark(shared, b"of the VM")
    done = operation(two, migrate(two, uuid, one, COLD))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, one, "poweroff")
    boot(one, uuid)
    assert has_mark(shared, b"of the VM")
    stop(one, uuid)
    delete(one, uuid, storage=False)
    assert not os.path.exists(shared)
    os.unlink(f"{lab2.vms}/ds/follow.qcow2")
    assert [name for host in lab2.hosts for name in os.listdir(host.path(LOCAL))] == []


def make_old(host, uuid):
    """The definition as it was made before: libvirt chooses where the variables are."""
    xml = host.virsh("dumpxml", "--inactive", "--security-info", uuid).stdout
    lines = [line for line in xml.splitlines() if "<nvram>" not in line and "<backingStore/>" not in line]
    assert len(lines) == len(xml.splitlines()) - 2
    host.run(["tee", "/run/old.xml"], input="\n".join(lines))
    host.virsh("define", "/run/old.xml")


@pytest.mark.parametrize("way", ["boot", "cold"])
def test_old_definition(lab2, way):
    """One that was made before has its variables moved when it is next off."""
    one, two = lab2.hosts
    uuid = create(one, uefi(f"old{way}"))
    shared = f"{lab2.vms}/nvram/{uuid}_VARS.fd"
    make_old(one, uuid)
    one.virsh("start", uuid)
    wait_runstate(one, uuid, "running")
    assert os.path.exists(local(one, uuid)) and not os.path.exists(shared)
    stop(one, uuid)
    mark(local(one, uuid), b"of the VM")
    host = one
    if way == "cold":
        done = operation(one, migrate(one, uuid, two, COLD))
        assert done["state"] == "completed", done
        host = two
    boot(host, uuid)
    assert has_mark(shared, b"of the VM")
    assert not os.path.exists(local(one, uuid)) and not os.path.exists(local(two, uuid))
    xml = host.virsh("dumpxml", "--inactive", uuid).stdout
    assert f"/vms/nvram/{uuid}_VARS.fd" in xml and "<backingStore/>" in xml
    with open(f"{lab2.vms}/xml/{host.uuid}/{uuid}.xml") as file:
        assert f"/vms/nvram/{uuid}_VARS.fd" in file.read()
    stop(host, uuid)
    delete(host, uuid)


def test_old_definition_live(lab2):
    """One that runs takes its variables along as it is, and leaves none behind."""
    one, two = lab2.hosts
    uuid = create(one, uefi("oldlive"))
    make_old(one, uuid)
    one.virsh("start", uuid)
    wait_runstate(one, uuid, "running")
    done = operation(one, migrate(one, uuid, two, LIVE))
    assert done["state"] == "completed", done
    check_place(lab2, uuid, two, "running")
    assert not os.path.exists(local(one, uuid)) and os.path.exists(local(two, uuid))
    stop(two, uuid)
    boot(two, uuid)
    assert not os.path.exists(local(two, uuid))
    assert os.path.exists(f"{lab2.vms}/nvram/{uuid}_VARS.fd")
    stop(two, uuid)
    delete(two, uuid)
