# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a VM is: definitions that are left over, and VMs that somebody else has taken meanwhile."""

import json
import os
import re
import shutil
import time

import pytest
from conftest import BUILD, RUNSTATES, clear, create, disk, vm_told, vmdef, wait_ready
from disks import resource
from lab import wait_for
from test_migrate import domains
from two_hosts import PERIOD, held, lab2, two  # noqa: F401


def definition(host, uuid):
    return host.virsh("dumpxml", uuid, "--inactive", "--security-info").stdout


def define(host, xml):
    host.run(["tee", "/run/stale.xml"], input=xml)
    host.virsh("define", "/run/stale.xml")


def registered(lab, uuid):
    """The hosts under which the VM has a file."""
    return [host for host in lab.hosts if os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml")]


def job(host, name, uuid, **more):
    """Run one job by hand, as virtxd would, after those of its own: its error as (status, detail), or None."""
    host.wait_jobs()
    env = {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx", "host": host.uuid, "io_timeout": 1}
    done = host.run([f"{BUILD}/virtxd/virtxd", "--job", name], input=json.dumps({"env": env, "uuid": uuid, **more}),
                    check=False)
    kind, _, rest = done.stdout.splitlines()[-1].partition(" ")
    answer = json.loads(rest)
    return (answer["status"], answer["detail"]) if kind == "error" else None


def journal_of(lab, here, there, uuid, **more):
    """Write that of a cold migration that was cut off: returns its path, and when it began."""
    path, began = f"{lab.vms}/xml/{here.uuid}/{uuid}.journal", int(time.time() * 1000)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"op": "VmMigrate", "uuid": uuid, "target": there.uuid,
                   "target_uri": f"qemu+tcp://{there.addr}/system", "ts": began} | more, file)
    return path, began


def record_migration(host, uuid, target, began):
    """Put the record of a migration into the definition, as it is there before libvirt begins."""
    host.virsh("metadata", uuid, "--config", "--uri", "virtx-op-VmMigrate", "--key", "virtx-op-VmMigrate", "--set",
               f"<data-op><op>VmMigrate</op><ts>{began}</ts><te>0</te><status>started</status><msg>{target.uuid}</msg>"
               "</data-op>")


def test_stale_definition(lab2, two):
    """What libvirt has of another host's VM changes nothing, moves nothing, deletes nothing."""
    here, there = two
    uuid = create(there, vmdef("stale"))
    image, lease = f"{lab2.vms}/ds/stale.qcow2", f"{lab2.vms}/lock/{resource('/vms/ds/stale.qcow2')}"
    here.stop("virtxd")
    define(here, definition(there, uuid))
    new = vmdef("stale", osdisk=disk("/vms/ds/other.qcow2"))
    for name, more in (("vm-delete", {"deletestorage": True}),
                       ("vm-update", {"def": new, "deletestorage": True}),
                       ("vm-boot", {"cloud_init": []}),
                       ("vm-migrate", {"live": False, "target": there.uuid, "target_uri": "qemu+tcp://h2/system"}),
                       ("vm-register", {})):
        status, detail = job(here, name, uuid, **more)
        assert status == 422 and f"registered under host '{there.uuid}'" in detail, (name, status, detail)
        assert os.path.exists(image) and os.path.exists(lease) and registered(lab2, uuid) == [there], name
    # A delete of it that was cut off, before it went to the other host, goes no further.
    with open(f"{lab2.vms}/xml/{here.uuid}/{uuid}.journal", "w", encoding="utf-8") as file:
        json.dump({"op": "VmDelete", "uuid": uuid, "deletestorage": True, "ts": int(time.time() * 1000),
                   "dropped": [disk("/vms/ds/stale.qcow2")]}, file)
    assert job(here, "vm-heal", uuid) is None
    assert os.path.exists(image) and os.path.exists(lease) and registered(lab2, uuid) == [there]
    assert not os.path.exists(f"{lab2.vms}/xml/{here.uuid}/{uuid}.journal")
    assert uuid not in domains(here) and uuid in domains(there)


def test_registered_twice(lab2, two):
    """While two hosts have a VM's file nobody goes on with what one of them had begun."""
    here, there = two
    uuid = create(here, vmdef("twice"))
    image = f"{lab2.vms}/ds/twice.qcow2"
    here.stop("virtxd")
    with open(f"{lab2.vms}/xml/{here.uuid}/{uuid}.journal", "w", encoding="utf-8") as file:
        json.dump({"op": "VmDelete", "uuid": uuid, "deletestorage": True, "ts": int(time.time() * 1000),
                   "dropped": [disk("/vms/ds/twice.qcow2")]}, file)
    shutil.copy(f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml", f"{lab2.vms}/xml/{there.uuid}/{uuid}.xml")
    status, detail = job(here, "vm-heal", uuid)
    assert status == 409 and "registered under two hosts" in detail, detail
    assert os.path.exists(image) and uuid in domains(here)
    os.unlink(f"{lab2.vms}/xml/{there.uuid}/{uuid}.xml")
    assert job(here, "vm-heal", uuid) is None
    assert not os.path.exists(image) and uuid not in domains(here) and registered(lab2, uuid) == []


def late_journal(lab, host, op, uuid, made):
    """As a job leaves it that was killed before it tidied up: what it made has the name that it was made under, too."""
    for item in made:
        staged = f".{resource(item['path'])}.{uuid}.new"
        if item["man"] == 1:
            os.link(f"{lab.vms}{item['path'].removeprefix('/vms')}", f"{lab.vms}/ds/{staged}")
    with open(f"{lab.vms}/xml/{host.uuid}/{uuid}.journal", "w", encoding="utf-8") as file:
        json.dump({"op": op, "uuid": uuid, "made": made, "ts": int(time.time() * 1000)}, file)


@pytest.mark.parametrize("op", ["VmCreate", "VmUpdate"])
def test_changed_before_it_was_healed(lab2, two, op):
    """A VM that was made is used before what made it has tidied up, and others change its disks: it stays, with them."""
    here, _ = two
    path = lab2.vms + "/ds/"
    iso = disk("/vms/ds/late.iso", device=1, bus=2, man=0, prov=0)
    with open(path + "late.iso", "wb") as file:
        file.truncate(1 << 20)
    os.chmod(path + "late.iso", 0o666)
    second = disk(f"/vms/ds/late-{op}.qcow2")
    new = vmdef("late", disks=[second, iso])
    uuid = create(here, new)
    here.stop("virtxd")
    late_journal(lab2, here, op, uuid, [new["osdisk"], second, iso] if op == "VmCreate" else [second, iso])
    here.virsh("change-media", uuid, iso["path"], "--eject", "--config")
    here.virsh("snapshot-create-as", uuid, "s1", "--disk-only", "--no-metadata", "--diskspec",
               f"{new['osdisk']['path']},snapshot=no", "--diskspec", f"{second['path']},snapshot=external")
    assert job(here, "vm-heal", uuid) is None
    assert os.path.exists(path + "late.qcow2") and os.path.exists(f"{path}late-{op}.qcow2") and uuid in domains(here)
    assert registered(lab2, uuid) == [here]
    assert not os.path.exists(f"{lab2.vms}/xml/{here.uuid}/{uuid}.journal")
    assert not [name for name in os.listdir(path) if name.endswith(".new")]
    here.start("virtxd")
    wait_ready(here)
    clear(here)
    # The snapshot is not VirtX's, and what it stands on stays.
    shutil.rmtree(f"{lab2.vms}/lock/{resource(second['path'])}")
    for name in os.listdir(path):
        if name.startswith("late"):
            os.unlink(path + name)


def test_lease_is_not_in_the_definition(lab2, two):
    """libvirt would start it, and another host could as well: it is refused, and an update puts the lease back."""
    here, _ = two
    uuid = create(here, vmdef("unleased"))
    xml = definition(here, uuid)
    without = re.sub(r"<lease>.*?</lease>", "", xml, flags=re.S)
    assert without != xml
    define(here, without)
    answer = here.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 507 and "the VM's definition has lost it: `virtx update vm" in answer.text, answer.text
    assert here.sanlock_status()["resources"] == []
    shown = vm_told(here, uuid)["def"]
    assert here.api("PUT", f"/vms/{uuid}", {"vmdef": shown}).status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert held(here) == [resource("/vms/ds/unleased.qcow2")]


def views(hosts, uuid):
    """Where and how each host says that the VM is."""
    found = set()
    for host in hosts:
        answer = host.api("GET", f"/vms/{uuid}/runstate")
        if answer.status == 200:
            found.add((answer.json()["host"], RUNSTATES[answer.json()["runstate"]]))
        elif answer.status != 503:
            found.add(answer.status)
    return found


@pytest.mark.parametrize("moment", ["running", "start"])
def test_never_told(lab2, two, moment):
    """A copy that is off is undefined before anybody hears of it, also by a host that comes back."""
    here, there = two
    uuid = create(there, vmdef("told"))
    assert there.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    wait_for("the other host to know it", lambda: views(two, uuid) == {(there.uuid, "running")}, 20)
    if moment == "start":
        here.stop("virtxd")
    define(here, definition(there, uuid))
    if moment == "start":
        here.start("virtxd")
    seen = set()

    def gone():
        seen.update(views(two, uuid))
        return uuid not in domains(here)

    wait_for("it to be undefined", gone, 20)
    deadline = time.monotonic() + 2 * PERIOD
    while time.monotonic() < deadline:
        seen.update(views(two, uuid))
    # A host that has just started does not know it yet.
    assert seen - {404} == {(there.uuid, "running")} and (moment == "start" or 404 not in seen), seen
    wait_for("all to know it", lambda: views(two, uuid) == {(there.uuid, "running")}, 20)
    assert registered(lab2, uuid) == [there]
    assert os.path.exists(f"{lab2.vms}/ds/told.qcow2")


def test_taken_over(lab2, two):
    """A VM that another host has taken over while it was off is let go of; the other host may define it."""
    here, there = two
    uuid = create(here, vmdef("over"))
    os.rename(f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml", f"{lab2.vms}/xml/{there.uuid}/{uuid}.xml")
    wait_for("it to be undefined", lambda: uuid not in domains(here), 30)
    wait_for("it to be forgotten", lambda: views(two, uuid) == {404}, 20)
    answer = there.api("PUT", f"/vms/{uuid}/register", {"host": there.uuid})
    assert answer.status == 201, answer.text
    wait_for("all to know it", lambda: views(two, uuid) == {(there.uuid, "poweroff")}, 20)
    assert there.api("POST", f"/vms/{uuid}/runstate/boot").status == 204


def test_storage_unreadable(lab2, two):
    """Where the registry cannot be read nothing is undefined, and nothing is done."""
    here, there = two
    uuid = create(there, vmdef("unread"))
    here.stop("virtxd")
    define(here, definition(there, uuid))
    os.rename(f"{lab2.vms}/xml", f"{lab2.vms}/lmx")
    with open(f"{lab2.vms}/xml", "w", encoding="utf-8"):
        pass
    try:
        for name, more in (("vm-delete", {"deletestorage": True}), ("vm-boot", {}), ("vm-heal", {})):
            status, detail = job(here, name, uuid, **more)
            assert status in (503, 507) and "Not a directory" in detail, (name, status, detail)
        assert job(here, "whose", "", vms=[{"uuid": uuid}])[0] == 507
        assert uuid in domains(here) and os.path.exists(f"{lab2.vms}/ds/unread.qcow2")
    finally:
        os.unlink(f"{lab2.vms}/xml")
        os.rename(f"{lab2.vms}/lmx", f"{lab2.vms}/xml")
    assert job(here, "whose", "", vms=[{"uuid": uuid}]) is None
    assert uuid not in domains(here)


def test_zombie(lab2, two):
    """A VM that was deleted elsewhere, and whose path has become another's."""
    here, there = two
    uuid = create(here, vmdef("zombie"))
    xml = definition(here, uuid)
    assert here.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204
    heir = create(there, vmdef("heir", osdisk=disk("/vms/ds/zombie.qcow2")))
    define(here, xml)
    wait_for("it to be listed", lambda: here.api("GET", f"/vms/{uuid}").status == 200, 20)

    answer = here.api("PUT", f"/vms/{uuid}/register", {"host": here.uuid})
    assert answer.status == 409 and f"belongs to VM '{heir}'" in answer.json()["detail"], answer.text
    items = here.api("POST", f"/hosts/{here.uuid}/repair", {"apply": True}).json()["items"]
    item, = [i for i in items if i["vm"] == uuid]
    assert not item["done"] and f"belongs to VM '{heir}'" in item["detail"], item
    answer = here.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and "registered under no host" in answer.json()["detail"], answer.text
    assert not registered(lab2, uuid)
    # With a file in the registry it still does not run on another's image.
    with open(f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml", "w", encoding="utf-8") as file:
        file.write(xml)
    for way, path, body in (("POST", "/runstate/boot", None), ("PUT", "", {"vmdef": vmdef("zombie")})):
        answer = here.api(way, f"/vms/{uuid}{path}", body)
        assert answer.status == 409 and f"belongs to VM '{heir}'" in answer.json()["detail"], answer.text
    os.unlink(f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml")

    answer = here.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 200 and heir in answer.headers["Warning"], (answer, answer.headers)
    assert os.path.exists(f"{lab2.vms}/ds/zombie.qcow2") and uuid not in domains(here)
    assert there.api("POST", f"/vms/{heir}/runstate/boot").status == 204


def test_unregistered(lab2, two):
    """One that is its own and registered nowhere has to be registered first."""
    here, _ = two
    uuid = create(here, vmdef("nowhere"))
    path = f"{lab2.vms}/xml/{here.uuid}/{uuid}.xml"
    os.unlink(path)
    for way, rest, body in (("POST", "/runstate/boot", None), ("DELETE", "", {"deletestorage": True}),
                            ("PUT", "", {"vmdef": vmdef("nowhere")})):
        answer = here.api(way, f"/vms/{uuid}{rest}", body)
        assert answer.status == 422 and "register it first" in answer.json()["detail"], answer.text
    assert os.path.exists(f"{lab2.vms}/ds/nowhere.qcow2")
    assert here.api("PUT", f"/vms/{uuid}/register", {"host": here.uuid}).status == 200
    assert here.api("DELETE", f"/vms/{uuid}", {"deletestorage": True}).status == 204


def test_registry_stays(lab2, two):
    """A process without the leases does not take the file; two hosts do not pass it to and fro."""
    here, there = two
    uuid = create(there, vmdef("ghost"))
    assert there.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    xml = definition(there, uuid)
    xml = re.sub(r"<disk .*?</disk>|<lease>.*?</lease>", "", xml, flags=re.S)
    here.stop("virtxd")
    define(here, xml)
    here.virsh("start", uuid)
    here.start("virtxd")
    try:
        wait_for("it to be told", lambda: [p for p in here.api("GET", f"/hosts/{here.uuid}").json().get("problems", [])
                                           if p["kind"] == "registered-elsewhere" and p["vm"] == uuid], 30)
        deadline = time.monotonic() + 3 * PERIOD
        while time.monotonic() < deadline:
            assert registered(lab2, uuid) == [there]
            time.sleep(0.02)
        # And the one that is elsewhere is not changed here.
        assert here.virsh("suspend", uuid)
        status, detail = job(here, "vm-resume", uuid)
        assert status == 422 and f"registered under host '{there.uuid}'" in detail, detail
    finally:
        here.virsh("destroy", uuid)
    wait_for("its copy to be undefined", lambda: uuid not in domains(here), 20)
    assert registered(lab2, uuid) == [there]


def test_registered_nowhere_in_a_migration(lab2, two):
    """That the registry's file is gone does not say that the VM has moved."""
    here, _ = two
    uuid = create(here, vmdef("nowhere"))
    folder = f"{lab2.vms}/xml/{here.uuid}"
    here.stop("virtxd")
    with open(f"{folder}/{uuid}.journal", "w", encoding="utf-8") as file:
        json.dump({"op": "VmMigrate", "uuid": uuid, "target": "00000000-1111-4222-8333-444444444444",
                   "target_uri": "qemu+tcp://10.77.0.99/system", "ts": int(time.time() * 1000)}, file)
    os.rename(f"{folder}/{uuid}.xml", f"{lab2.vms}/kept.xml")
    try:
        status, detail = job(here, "vm-heal", uuid)
        assert status == 503 and "cannot see whether" in detail, detail
        assert uuid in here.virsh("list", "--all", "--uuid").stdout
    finally:
        os.rename(f"{lab2.vms}/kept.xml", f"{folder}/{uuid}.xml")
        os.unlink(f"{folder}/{uuid}.journal")
        here.start("virtxd")
        wait_ready(here)


def test_undefined_in_a_migration(lab2, two):
    """That this host's libvirt does not know the VM any more does not say that it has moved: the target is asked."""
    here, there = two
    uuid = create(here, vmdef("undefined"))
    journal = f"{lab2.vms}/xml/{here.uuid}/{uuid}.journal"
    began = int(time.time() * 1000)
    stale = definition(here, uuid)
    for host in two:
        host.stop("virtxd")
    record_migration(here, uuid, there, began)
    xml = definition(here, uuid)

    def heal(addr):
        journal_of(lab2, here, there, uuid, ts=began, target_uri=f"qemu+tcp://{addr}/system")
        return job(here, "vm-heal", uuid)

    here.virsh("undefine", uuid)
    failure = heal("10.77.0.99")
    assert failure and failure[0] == 503 and "cannot see whether" in failure[1], failure
    assert registered(lab2, uuid) == [here] and os.path.exists(journal)
    assert heal(there.addr) is None
    assert registered(lab2, uuid) == [here] and not os.path.exists(journal)
    # What it has from before is not the VM that was to come.
    define(there, stale)
    assert heal(there.addr) is None
    assert registered(lab2, uuid) == [here] and not os.path.exists(journal)
    define(there, xml)
    assert heal(there.addr) is None
    assert registered(lab2, uuid) == [there] and not os.path.exists(journal)
    # The target was faster.
    assert heal("10.77.0.99") is None
    assert registered(lab2, uuid) == [there] and not os.path.exists(journal)


@pytest.mark.parametrize("arrived", [False, True])
def test_old_definition_at_the_target(lab2, two, arrived):
    """A cold migration that was cut off takes no definition for the VM that it has not brought there itself."""
    here, there = two
    uuid = create(here, vmdef("before"))
    record_migration(here, uuid, there, int(time.time() * 1000) - 60000)
    old = definition(here, uuid)
    new = vmdef("before", disks=[disk("/vms/ds/data.qcow2")], memory={"total": 96, "hp": False})
    assert here.api("PUT", f"/vms/{uuid}", {"vmdef": new}).status == 204
    for host in two:
        host.stop("virtxd")
    journal, began = journal_of(lab2, here, there, uuid)
    if arrived:
        record_migration(here, uuid, there, began)
        old = definition(here, uuid)
    define(there, old)
    assert job(here, "vm-heal", uuid) is None
    assert not os.path.exists(journal)
    owner = there if arrived else here
    assert registered(lab2, uuid) == [owner]
    assert (uuid in domains(here)) == (not arrived) and "/vms/ds/data.qcow2" in definition(owner, uuid)
    for host in two:
        host.start("virtxd")
        wait_ready(host, 120)
    wait_for("the other definition to go", lambda: domains(there if owner is here else here) == set(), 30)
    assert "/vms/ds/data.qcow2" in definition(owner, uuid)
    assert owner.api("POST", f"/vms/{uuid}/runstate/boot").status == 204


def test_repair_spares_the_unheard(lab2, two):
    """What may be a VM's of a host that was down when virtxd started is not left behind, whatever the registry lost."""
    h1, h2 = two
    uuid = create(h2, vmdef("unheard"))
    lease = f"{lab2.vms}/lock/{resource('/vms/ds/unheard.qcow2')}"
    image = f"{lab2.vms}/ds/unheard.qcow2"
    h2.kill("virtxd")
    h2.kill("serf")
    try:
        wait_for("h2 to have failed", lambda: h1.api("GET", "/hosts?cstate=failed").json()["items"], 30)
        os.unlink(f"{lab2.vms}/xml/{h2.uuid}/{uuid}.xml")
        for path in (lease, image):
            os.utime(path, (time.time() - 3600,) * 2)
        h1.restart("virtxd")
        wait_ready(h1)
        for options in ({}, {"apply": True}, {"apply": True, "deletestorage": True}):
            answer = h1.api("POST", f"/hosts/{h1.uuid}/repair", options, timeout=120)
            assert answer.status == 200, answer.text
            items = {item["kind"]: item for item in answer.json()["items"] if item["vm"] == uuid}
            assert items.keys() == {"lease-without-vm", "image-without-vm"}, items
            for item in items.values():
                assert (item["action"], item["done"]) == ("none", False), item
                assert f"'{h2.name}' (failed)" in item["detail"], item
            assert os.path.exists(lease) and os.path.exists(image)
    finally:
        h2.start("serf")
        h2.start("virtxd")
        wait_ready(h2)
        registered = h2.api("PUT", f"/vms/{uuid}/register", {})
    assert registered.status == 200, registered.text
    wait_for("the VMs of h2", lambda: "Warning" not in h1.api("GET", "/vms").headers, 60)
    assert h1.api("GET", f"/vms/{uuid}").status == 200
