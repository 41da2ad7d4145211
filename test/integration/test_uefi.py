# SPDX-License-Identifier: GPL-2.0-or-later
"""UEFI variables are the VM's: on the shared storage, wherever it is, and gone with it."""

import json
import os
import re
import shutil
import time

import pytest
from conftest import BUILD, PREFIX, create, delete, vmdef, wait_joined, wait_runstate
from lab import Lab, wait_for
from test_migrate import COLD, LIVE, check_place, domains, migrate, operation, refused
from test_whose import job

LOCAL = "/var/lib/libvirt/qemu/nvram"


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}u") as lab:
        wait_joined(lab)
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
    assert os.stat(os.path.dirname(shared)).st_mode & 0o7777 == 0o2770
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


@pytest.mark.parametrize("last", ["shared", "local"])
def test_stale_definition(lab2, last):
    """One that somebody defines as it was long ago does not bring its variables of then back, unless it ran with them."""
    one, _ = lab2.hosts
    uuid = create(one, uefi(f"stale{last}"))
    shared = f"{lab2.vms}/nvram/{uuid}_VARS.fd"
    kept = f"{lab2.vms}/nvram/.{uuid}_VARS.fd.old"
    boot(one, uuid)
    stop(one, uuid)
    mark(shared, b"of the VM")
    shutil.copy(shared, local(one, uuid))
    mark(local(one, uuid), b"is before")
    os.utime(local(one, uuid), (1000, 1000))
    make_old(one, uuid)
    if last == "local":
        os.utime(shared, (999, 999))
    answer = one.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 200, answer.text
    warning = answer.headers["Warning"]
    assert ("changed last" if last == "local" else "changed after") in warning, warning
    assert has_mark(shared, b"is before" if last == "local" else b"of the VM")
    assert kept.removeprefix(lab2.vms) in warning and not os.path.exists(local(one, uuid))
    assert has_mark(kept, b"of the VM" if last == "local" else b"is before")
    stop(one, uuid)
    delete(one, uuid)
    assert not os.path.exists(shared) and not os.path.exists(kept)


@pytest.mark.parametrize("kind,on_storage", [("cold", True), ("live", False), ("cold", False)])
def test_left_by_a_move_that_was_cut_off(lab2, kind, on_storage):
    """The file of a VM that has moved goes with what ends its move, where its variables are elsewhere."""
    one, two = lab2.hosts
    uuid = create(two, uefi(f"cut{kind}{on_storage}"))
    if on_storage:
        boot(two, uuid)
        stop(two, uuid)
    with open(local(one, uuid), "wb") as file:
        file.write(b"left")
    journal = f"{lab2.vms}/xml/{one.uuid}/{uuid}.journal"
    with open(f"{lab2.vms}/journal.new", "w", encoding="utf-8") as file:
        json.dump({"op": "VmMigrate", "uuid": uuid, "target": two.uuid, "live": kind == "live",
                   "target_uri": f"qemu+tcp://{two.addr}/system", "ts": int(time.time() * 1000)}, file)
    os.rename(f"{lab2.vms}/journal.new", journal)
    assert job(one, "vm-heal", uuid) is None
    assert not os.path.exists(journal)
    assert os.path.exists(local(one, uuid)) == (kind == "cold" and not on_storage)
    one.run(["rm", "-f", f"{LOCAL}/{uuid}_VARS.fd"])
    delete(two, uuid)


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


def test_lost_variables(lab2):
    """A VM that has run before starts with new ones, and says so; other hosts know by the registry that it had some."""
    one, _ = lab2.hosts
    uuid = create(one, uefi("lost"))
    shared = f"{lab2.vms}/nvram/{uuid}_VARS.fd"
    boot(one, uuid)
    with open(f"{lab2.vms}/xml/{one.uuid}/{uuid}.xml") as file:
        assert "VmBoot" in file.read()
    stop(one, uuid)
    os.unlink(shared)
    answer = one.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 200 and f"nvram/{uuid}_VARS.fd' is not there" in answer.headers["Warning"], answer.text
    stop(one, uuid)
    boot(one, uuid)
    stop(one, uuid)
    delete(one, uuid)


@pytest.mark.parametrize("size", [0, 4096])
def test_short_variables(lab2, size):
    """A file that was cut off is told, and not booted with; without it there are new ones."""
    one, _ = lab2.hosts
    uuid = create(one, uefi(f"short{size}"))
    shared = f"{lab2.vms}/nvram/{uuid}_VARS.fd"
    boot(one, uuid)
    stop(one, uuid)
    os.truncate(shared, size)
    answer = one.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and f"'/vms/nvram/{uuid}_VARS.fd' is {'cut off' if size else 'empty'}" in answer.text, answer.text
    assert "remove the file" in answer.text
    os.unlink(shared)
    answer = one.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 200, answer.text
    stop(one, uuid)
    delete(one, uuid)


def test_variables_of_another(lab2):
    """A definition that names another VM's variables does not write to them, nor takes them along when it goes."""
    one, _ = lab2.hosts
    owner, copy = create(one, uefi("owner")), create(one, uefi("copy"))
    boot(one, owner)
    stop(one, owner)
    shared = f"{lab2.vms}/nvram/{owner}_VARS.fd"
    xml = one.virsh("dumpxml", "--inactive", "--security-info", copy).stdout
    for path in (f"/vms/nvram/{owner}_VARS.fd", f"{LOCAL}/{owner}_VARS.fd"):
        one.run(["tee", "/run/copy.xml"], input=xml.replace(f"/vms/nvram/{copy}_VARS.fd", path))
        one.virsh("define", "/run/copy.xml")
        assert f"{owner}_VARS.fd" in one.virsh("dumpxml", copy).stdout
        if path.startswith("/vms/"):
            refused(one.api("POST", f"/vms/{copy}/runstate/boot"), 422, f"names '{path}' for its UEFI variables",
                    "which are another's")
    kept = local(one, owner)
    shutil.copy(shared, kept)
    delete(one, copy)
    assert os.path.exists(kept) and os.path.exists(shared)
    os.unlink(kept)
    delete(one, owner)
    assert not os.path.exists(shared)


FOREIGN_UUID = "0be7a710-0000-4000-8000-0000000000ff"


def test_variables_of_a_foreign_domain_stay(lab2):
    """libvirt's own file does not go along with a domain that is off."""
    one, two = lab2.hosts
    uuid = create(one, uefi("like"))
    xml = one.virsh("dumpxml", "--inactive", uuid).stdout
    delete(one, uuid)
    xml = re.sub(r"<(metadata|devices)>.*?</\1>|<name>.*?</name>|<nvram.*?</nvram>", "", xml, flags=re.S)
    xml = xml.replace(f"<uuid>{uuid}</uuid>", f"<name>foreign</name><uuid>{FOREIGN_UUID}</uuid>")
    one.run(["tee", "/run/foreign.xml"], input=xml)
    one.virsh("define", "/run/foreign.xml")
    wait_for("it to be listed", lambda: one.api("GET", f"/vms/{FOREIGN_UUID}").status == 200, 10)
    kept = one.path(f"{LOCAL}/foreign_VARS.fd")
    boot(one, FOREIGN_UUID)
    stop(one, FOREIGN_UUID)
    mark(kept, b"of the VM")
    refused(migrate(one, FOREIGN_UUID, two, COLD), 422, "its UEFI variables are in '/var/lib/libvirt/qemu/nvram/",
            "boot it and migrate it live")
    assert has_mark(kept, b"of the VM") and domains(two) == set()
    boot(one, FOREIGN_UUID)
    wait_runstate(one, FOREIGN_UUID, "running")
    done = operation(one, migrate(one, FOREIGN_UUID, two, LIVE))
    assert done["state"] == "completed", done
    assert has_mark(two.path(f"{LOCAL}/foreign_VARS.fd"), b"of the VM")
    two.virsh("destroy", FOREIGN_UUID)
    two.virsh("undefine", "--nvram", FOREIGN_UUID)
    one.run(["rm", "-f", f"{LOCAL}/foreign_VARS.fd"])
