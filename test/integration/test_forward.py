# SPDX-License-Identifier: GPL-2.0-or-later
"""Any host answers for all."""

import hashlib
import os

import conftest
from lab import wait_for

SHUT_OFF = 2


def seen(host, uuid, wanted):
    """Whether this host knows the VM in that run state."""
    answer = host.api("GET", f"/vms/{uuid}/runstate")
    return answer.status == 200 and conftest.RUNSTATES[answer.json()["runstate"]] == wanted


def wait_seen(lab, uuid, wanted):
    for host in lab.hosts:
        wait_for(f"{host.name} to see VM {uuid} {wanted}", lambda h=host: seen(h, uuid, wanted), 30)


def wait_members(lab):
    def complete(host):
        items = host.api("GET", "/hosts").json()["items"]
        return [item["fields"]["cstate"] for item in items] == [1] * len(lab.hosts)
    for host in lab.hosts:
        wait_for(f"{host.name} to see all hosts", lambda h=host: complete(h), 60)


def test_repair_by_another(lab3):
    """All that a repair may do arrives at the host that does it, and what no repair knows is refused."""
    wait_members(lab3)
    asked, owner = lab3.hosts[:2]
    path = f"/hosts/{owner.uuid}/repair"
    uuid = conftest.create(owner, conftest.vmdef("lost"))
    owner.virsh("undefine", uuid)

    def found(**options):
        """What is done about the VM that libvirt has lost."""
        answer = asked.api("POST", path, options, timeout=120)
        assert answer.status == 200, answer.text
        return [(i["kind"], i["action"], i["done"]) for i in answer.json()["items"] if i["vm"] == uuid]

    for host in (asked, owner):
        for typed, meant in (("aply", "apply"), ("delete_storage", "deletestorage"), ("defines", "define")):
            answer = host.api("POST", path, {typed: True})
            assert answer.status == 400, answer.text
            assert f"unknown key '{typed}', did you mean '{meant}'?" in answer.json()["detail"], answer.text
        answer = host.api("DELETE", f"/hosts/{owner.uuid}/maintenance", {"bak": True})
        assert answer.status == 400 and "unknown key 'bak'" in answer.json()["detail"], answer.text
        answer = host.api("POST", f"/hosts/{owner.uuid}/maintenance", {"dryrun": True})
        assert answer.status == 400 and "unknown key 'dryrun'" in answer.json()["detail"], answer.text
    assert found() == found(apply=True) == [("not-in-libvirt", "none", False)]
    assert found(define=True) == [("not-in-libvirt", "define", False)]
    assert found(apply=True, define=True) == [("not-in-libvirt", "define", True)]
    assert uuid in owner.virsh("list", "--all", "--uuid").stdout

    # And an image is deleted by that option alone.
    image, lock = f"{lab3.vms}/ds/lost.qcow2", f"{lab3.vms}/lock/{hashlib.md5(b'lost.qcow2').hexdigest()}"
    owner.virsh("undefine", uuid)
    os.unlink(f"{lab3.vms}/xml/{owner.uuid}/{uuid}.xml")
    wait_for("the API to forget it", lambda: owner.api("GET", f"/vms/{uuid}").status == 404, 60)
    os.utime(lock, (0, 0))
    assert ("image-without-vm", "none", False) in found(apply=False)
    assert ("image-without-vm", "delete-image", False) in found(deletestorage=True)
    assert os.path.exists(image) and os.path.exists(lock)
    assert ("image-without-vm", "delete-image", True) in found(apply=True, deletestorage=True)
    assert not os.path.exists(image) and not os.path.exists(lock)


def test_every_host_for_every_vm(lab3):
    wait_members(lab3)
    vms = {}
    for number, owner in enumerate(lab3.hosts):
        # Asked of another host than the one it is for.
        asked = lab3.hosts[(number + 1) % 3]
        answer = asked.api("POST", "/vms", {"vmdef": conftest.vmdef(f"fw{number}"),
                                            "host": owner.uuid})
        assert answer.status == 201, answer.text
        vms[answer.json()] = owner
    for uuid, owner in vms.items():
        wait_seen(lab3, uuid, "poweroff")
        bodies = [host.api("GET", f"/vms/{uuid}").json() for host in lab3.hosts]
        assert bodies[0] == bodies[1] == bodies[2]
        assert bodies[0]["runinfo"]["host"] == owner.uuid
        assert bodies[0]["def"]["memory"]["total"] == 64
    for owner in lab3.hosts:
        bodies = [host.api("GET", f"/hosts/{owner.uuid}").json() for host in lab3.hosts]
        assert all(body["def"] == bodies[0]["def"] and body["uuid"] == owner.uuid
                   and body["resources"]["memory"]["total"] > 0 for body in bodies)
    # Life from elsewhere.
    for number, uuid in enumerate(vms):
        asked = lab3.hosts[(number + 2) % 3]
        assert asked.api("POST", f"/vms/{uuid}/runstate/boot", {"cloud_init": []}).status == 204
        wait_seen(lab3, uuid, "running")
        assert asked.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
        wait_seen(lab3, uuid, "paused")
        answer = asked.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
        assert answer.status == 422, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["vm"] == uuid and answer.json()["host"] == vms[uuid].uuid
        answer = asked.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2})
        assert answer.status == 204, answer.text
        wait_seen(lab3, uuid, "poweroff")
    for number, uuid in enumerate(vms):
        asked = lab3.hosts[(number + 1) % 3]
        answer = asked.api("DELETE", f"/vms/{uuid}", {"deletestorage": True},
                           headers={"Prefer": "respond-async"})
        assert answer.status == 202, answer.text
        assert answer.headers["Location"].startswith("/operations/")
        where = vms[uuid].api("GET", answer.headers["Location"])
        assert where.json()["user"] == "127.0.0.1"  # who asked, not who forwarded
        wait_for("the VM to be gone",
                 lambda: all(h.api("GET", f"/vms/{uuid}").status == 404 for h in lab3.hosts), 30)


def test_loop_is_508(lab3):
    h1, h2, _ = lab3.hosts
    wait_members(lab3)
    answer = h1.api("GET", f"/hosts/{h2.uuid}", headers={"X-VirtX-Loop": "1"})
    assert answer.status == 508, answer.text
    assert answer.json()["host"] == h2.uuid
    # Its own it answers.
    answer = h2.api("GET", f"/hosts/{h2.uuid}", headers={"X-VirtX-Loop": "1"})
    assert answer.status == 200


def test_host_without_virtxd_is_502_then_back(lab3):
    h1, _, h3 = lab3.hosts
    wait_members(lab3)
    h3.stop("virtxd")
    answer = h1.api("GET", f"/hosts/{h3.uuid}")
    assert answer.status == 502, answer.text
    problem = answer.json()
    assert problem["host"] == h3.uuid
    assert "Connection refused" in problem["detail"] and h3.addr in problem["detail"]
    h3.start("virtxd")
    conftest.wait_ready(h3)
    assert h1.api("GET", f"/hosts/{h3.uuid}").status == 200


def test_failed_host_is_503(lab3):
    h1, _, h3 = lab3.hosts
    wait_members(lab3)
    uuid = h1.api("POST", "/vms", {"vmdef": conftest.vmdef("fwdown"), "host": h3.uuid}).json()
    wait_seen(lab3, uuid, "poweroff")
    # What hosts ask of each other is for those that are there, and for whoever is on the host.
    for host in lab3.hosts:
        assert host.api("GET", "/gossip/vms", addr=h1.addr).status == 200
    h3.kill("serf")
    wait_for("h3 to be failed", lambda: any(
        item["uuid"] == h3.uuid and item["fields"]["cstate"] == 3
        for item in h1.api("GET", "/hosts").json()["items"]), 60)
    answer = h3.api("GET", "/gossip/vms", addr=h1.addr)
    assert answer.status == 403 and h3.addr in answer.json()["detail"], answer.text
    assert answer.json()["type"] == "/problems/not-a-member", answer.text
    assert h1.api("GET", "/gossip/vms").status == 200
    answer = h1.api("GET", f"/vms/{uuid}")
    assert answer.status == 503, answer.text
    assert answer.json()["host"] == h3.uuid and "failed" in answer.json()["detail"]
    # What is remembered is still shown.
    assert h1.api("GET", f"/vms/{uuid}/runstate").status == 200
    assert h1.api("GET", f"/hosts/{h3.uuid}").json()["cstate"] == 3
    h3.start("serf")
    wait_members(lab3)
    wait_for("h3 to answer", lambda: h1.api("GET", f"/vms/{uuid}").status == 200, 30)
    assert h1.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204
