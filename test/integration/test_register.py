# SPDX-License-Identifier: GPL-2.0-or-later
"""Register in both directions: into the registry what libvirt has, and the other way round."""

import os
import uuid as uuids

from conftest import create, delete, runstate, vm_told, vmdef
from lab import wait_for
from repairs import repair, wait_problem


def register(at, uuid, **options):
    return at.api("PUT", f"/vms/{uuid}/register", options)


def test_register_from_libvirt(lab1, host):
    uuid = create(host, vmdef("reg"))
    path = f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml"
    with open(path, encoding="utf-8") as file:
        before = file.read()
    os.unlink(path)
    wait_problem(host, "not-registered", uuid)
    assert repair(host)["not-registered", uuid]["action"] == "register"
    answer = register(host, uuid)
    assert (answer.status, answer.text) == (200, "")
    with open(path, encoding="utf-8") as file:
        assert file.read() == before
    # It is fine to do it again, running or not, and repair does it too.
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    os.unlink(path)
    assert register(host, uuid, host=host.uuid.upper()).status == 200
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    os.unlink(path)
    item = repair(host, apply=True)["not-registered", uuid]
    assert item["done"] and os.path.exists(path)
    delete(host, uuid)


def test_register_into_libvirt(lab1, host):
    uuid = create(host, vmdef("reg"))
    seen = vm_told(host, uuid)["def"]
    for way in ("register", "repair", "virtx"):
        host.virsh("undefine", uuid)
        wait_for("it to be gone", lambda: host.api("GET", f"/vms/{uuid}").status == 404, 30)
        if way == "register":
            answer = register(host, uuid)
            assert (answer.status, answer.text) == (201, "")
        elif way == "virtx":
            assert host.virtx("register", "vm", uuid, "--host", host.uuid).stdout == ""
        else:
            item = repair(host, apply=True)["not-in-libvirt", uuid]
            assert (item["action"], item["done"]) == ("none", False) and "define" in item["detail"]
            item = repair(host, apply=True, define=True)["not-in-libvirt", uuid]
            assert (item["action"], item["done"]) == ("define", True), item
            wait_for("the API to have it", lambda: host.api("GET", f"/vms/{uuid}").status == 200)
        # Who registered it sees it at once.
        vm = vm_told(host, uuid)
        assert vm["def"]["name"] == "reg" and runstate(host, uuid) == "poweroff"
    wait_for("its size to be known", lambda: vm_told(host, uuid)["def"] == seen)
    assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert host.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    delete(host, uuid)


def test_register_refused(lab1, host):
    uuid, stranger = create(host, vmdef("reg")), str(uuids.uuid4())
    answer = register(host, stranger)
    assert answer.status == 404 and stranger in answer.json()["detail"]
    assert register(host, uuid, host="x").status == 400
    answer = register(host, uuid, host=stranger)
    assert answer.status == 404 and "no host" in answer.json()["detail"]

    own = f"{lab1.vms}/xml/{host.uuid}/{uuid}.xml"
    other = f"{lab1.vms}/xml/{stranger}"
    os.mkdir(other)
    os.rename(own, f"{other}/{uuid}.xml")
    answer = register(host, uuid)
    assert answer.status == 422 and stranger in answer.json()["detail"], answer.text
    # What is left of it here goes by itself; the registry decides.
    wait_for("it to be undefined", lambda: uuid not in host.virsh("list", "--all", "--uuid").stdout, 60)
    assert os.path.exists(f"{other}/{uuid}.xml")
    os.rename(f"{other}/{uuid}.xml", own)
    os.rmdir(other)

    with open(own, encoding="utf-8") as file:
        good = file.read()
    for bad, why in (("<domain", "cannot be used"), (good.replace(uuid, stranger), "another VM"),
                     (good.replace("<os>", "<os firmware='nonsense'>"), "libvirt refuses")):
        with open(own, "w", encoding="utf-8") as file:
            file.write(bad)
        answer = register(host, uuid)
        assert answer.status == 424 and why in answer.json()["detail"], answer.text
    with open(own, "w", encoding="utf-8") as file:
        file.write(good)
    assert register(host, uuid).status == 201
    delete(host, uuid)
