# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a VM is: definitions that are left over, VMs that somebody else has taken meanwhile, and resuming after that."""

import hashlib
import json
import os
import time

import pytest
from conftest import BUILD, PREFIX, RUNSTATES, clear, create, disk, runstate, vmdef, wait_ready
from lab import Lab, wait_for
from test_migrate import LIVE, domains, migrate, operation

PERIOD = 2  # seconds between collections


@pytest.fixture(scope="module")
def lab2():
    """Two hosts that look often."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}w", config={"jobs": {"collect_period": PERIOD}}) as lab:
        for host in lab.hosts:
            wait_ready(host)
            wait_for("both hosts", lambda: len(host.api("GET", "/hosts?cstate=active").json()["items"]) == 2, 30)
        yield lab


@pytest.fixture
def two(lab2):
    yield lab2.hosts
    for host in lab2.hosts:
        for daemon in ("sanlock", "virtxd"):
            if not host.alive(daemon):
                host.start(daemon)
        wait_ready(host, 120)
    for host in lab2.hosts:
        clear(host)


def resource(path):
    return hashlib.md5(path.removeprefix("/vms/ds/").encode()).hexdigest()


def definition(host, uuid):
    return host.virsh("dumpxml", uuid, "--inactive", "--security-info").stdout


def define(host, xml):
    host.run(["tee", "/run/stale.xml"], input=xml)
    host.virsh("define", "/run/stale.xml")


def registered(lab, uuid):
    """The hosts under which the VM has a file."""
    return [host for host in lab.hosts if os.path.exists(f"{lab.vms}/xml/{host.uuid}/{uuid}.xml")]


def job(host, name, uuid, **more):
    """Run one job by hand, as virtxd would: its error as (status, detail), or None."""
    env = {"uri": "qemu:///system", "root": "/vms", "run_dir": "/run/virtx", "host": host.uuid, "io_timeout": 1}
    done = host.run([f"{BUILD}/virtxd/virtxd", "--job", name], input=json.dumps({"env": env, "uuid": uuid, **more}),
                    check=False)
    kind, _, rest = done.stdout.splitlines()[-1].partition(" ")
    answer = json.loads(rest)
    return (answer["status"], answer["detail"]) if kind == "error" else None


def taken_elsewhere(host, path):
    """Somebody on this host takes the lease of a disk, and gives it back."""
    name = resource(path)
    host.run(["sanlock", "client", "command", "-r", f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0",
              "-c", "/bin/true"])


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
            assert status == 507 and "Not a directory" in detail, (name, status, detail)
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
    for begin, end in (("<disk ", "</disk>"), ("<lease>", "</lease>")):
        xml = xml[:xml.index(begin)] + xml[xml.index(end) + len(end):]
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


def held(host):
    return [line.split(":")[1] for line in host.sanlock_status()["resources"]]


def test_pause_holds(lab2, two):
    """What virtxd has paused nobody else can run; it can be moved, ended and deleted all the same."""
    here, there = two
    uuid = create(here, vmdef("held"))
    name = resource("/vms/ds/held.qcow2")
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    for _ in range(2):
        assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
        assert held(here) == [name]
        done = there.run(["sanlock", "client", "command", "-r", f"__VIRTX__DISKS__:{name}:/vms/lock/{name}/{name}:0",
                          "-c", "/bin/true"], check=False)
        assert "acquire fail" in done.stdout + done.stderr or done.returncode != 0, (done.stdout, done.stderr)
        assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
        assert held(here) == [name]
    assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    done = operation(here, migrate(here, uuid, there, LIVE))
    assert done["state"] == "completed", done
    wait_for("the leases to be free here", lambda: held(here) == [], 10)
    assert runstate(there, uuid) == "paused"
    assert there.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert held(there) == [name]
    assert there.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    assert there.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    answer = there.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 204 and not answer.headers["Warning"], answer.headers
    assert not os.path.exists(f"{lab2.vms}/ds/held.qcow2") and not os.path.exists(f"{lab2.vms}/lock/{name}")


def noted(host, uuid):
    return host.virsh("metadata", uuid, "--uri", "virtx-leases", check=False).returncode == 0


def paused_by_virsh(host, uuid):
    """By somebody else, which virtxd notes."""
    host.virsh("suspend", uuid)
    wait_for("it to be noted", lambda: noted(host, uuid), 20)


def test_resume_after_others(lab2, two):
    """Another has used the disk while the VM was paused."""
    here, there = two
    uuid = create(here, vmdef("memory"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    paused_by_virsh(here, uuid)
    assert held(here) == []
    # Nobody did: fine.
    assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    for _ in range(2):
        paused_by_virsh(here, uuid)
        here.virsh("resume", uuid)
        wait_for("the note to go", lambda: not noted(here, uuid), 20)
    paused_by_virsh(here, uuid)
    assert here.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    paused_by_virsh(here, uuid)
    taken_elsewhere(there, "/vms/ds/memory.qcow2")
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 409 and "was taken by another since" in answer.json()["detail"], answer.text
    assert runstate(here, uuid) == "paused" and held(here) == []
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204


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


def test_resume_after_sanlock(lab2, two):
    """sanlock was killed and started again while the VM was paused."""
    here, _ = two
    uuid = create(here, vmdef("lost"))
    assert here.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    assert here.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    here.kill("sanlock")
    here.start("sanlock")
    wait_for("the VM to be named", lambda: uuid in here.api("GET", "/readyz").json()["lockspace"], 60)
    answer = here.api("DELETE", f"/vms/{uuid}/runstate/pause")
    assert answer.status == 503 and "sanlock does not keep" in answer.json()["detail"], answer.text
    assert runstate(here, uuid) == "paused"
    assert here.api("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}).status == 204
