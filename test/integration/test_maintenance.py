# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that goes into maintenance: its VMs move or it is said why not, no new ones come, and they come back, whoever
is killed meanwhile. VIRTX_MAINTENANCE_VMS=20 empties a host of so many; VIRTX_MAINTENANCE_KILLS=10 kills more often."""

import os
import shutil
import time

import pytest
from conftest import BUILD, PREFIX, bridge, clear, create, delete, net, vmdef, wait_joined, wait_ready
from lab import Lab, wait_for
from test_migrate import COLD, LIVE, check_place, domains, migrate, operation, refused

VMS = int(os.environ.get("VIRTX_MAINTENANCE_VMS", "3"))
KILLS = int(os.environ.get("VIRTX_MAINTENANCE_KILLS", "1"))


@pytest.fixture(scope="module")
def lab2():
    """Two hosts."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}v") as lab:
        wait_joined(lab)
        wait_told(lab)
        yield lab


@pytest.fixture
def hosts(lab2):
    """The two, without VMs and out of maintenance afterwards."""
    yield lab2.hosts
    for host in lab2.hosts:
        if not host.alive("virtxd"):
            host.start("virtxd")
            wait_ready(host)
    for host in lab2.hosts:
        wait_for("the maintenance to end", lambda: end(host).status == 204, 30)
        wait_for("all to know it", lambda: maintained(lab2) == set(), 30)
    for host in lab2.hosts:
        clear(host)


def wait_told(lab):
    """Each host knows what the others have for VMs."""
    wait_for("what the hosts have", lambda: all(
        item["fields"]["memoryavailable"] > 0
        for host in lab.hosts for item in host.api("GET", "/hosts").json()["items"]), 60)


def maintained(lab):
    """The hosts that all take for being in maintenance, None while they disagree, or one does not know its cluster."""
    answers = [host.api("GET", "/hosts") for host in lab.hosts]
    if any(answer.status != 200 for answer in answers):
        return None
    found = [frozenset(item["uuid"] for item in answer.json()["items"] if item["maintenance"]) for answer in answers]
    return set(found[0]) if len(set(found)) == 1 else None


def begin(host, at=None):
    return (at or host).api("POST", f"/hosts/{host.uuid}/maintenance", timeout=60)


def end(host, back=False, at=None):
    return (at or host).api("DELETE", f"/hosts/{host.uuid}/maintenance", {"back": back}, timeout=60)


def kept(lab, host):
    return os.path.exists(f"{lab.vms}/xml/{host.uuid}/maintenance")


def ended(host, name, timeout=180):
    """What an operation came to."""
    def look():
        found = host.api("GET", name).json()
        return found if found["state"] != "started" else None
    return wait_for("the operation to end", look, timeout)


def latest(host, op):
    """The latest operation of this kind that the host knows."""
    items = host.api("GET", "/operations").json()["items"]
    return next((item for item in items if item["op"] == op), None)


def latest_ended(host, op, timeout=120):
    def look():
        found = latest(host, op)
        return found if found and found["state"] != "started" else None
    return wait_for(f"{op} to end", look, timeout)


def make(host, kind, n=0):
    """A VM of that kind on the host."""
    if kind == "stuck":
        with bridge(host, "virtxnone"):
            return create(host, vmdef(f"{kind}{n}", nets=[net("virtxnone", 1)]))
    uuid = create(host, vmdef(f"{kind}{n}"))
    if kind in ("running", "paused"):
        assert host.api("POST", f"/vms/{uuid}/runstate/boot").status == 204
    if kind == "paused":
        assert host.api("POST", f"/vms/{uuid}/runstate/pause").status == 204
    return uuid


STATES = {"off": "poweroff", "running": "running", "paused": "paused", "stuck": "poweroff"}


def test_evacuate(lab2, hosts):
    """The plan, the moves, who stays and why, who is refused meanwhile, and the way back."""
    one, two = hosts
    kinds = ["off", "running", "paused"]
    vms = {make(one, kinds[n % 3], n): kinds[n % 3] for n in range(VMS)}
    stuck = make(one, "stuck")

    began = time.monotonic()
    plan = two.api("POST", f"/hosts/{one.uuid}/maintenance?dry_run=true")
    took = time.monotonic() - began
    assert plan.status == 200, plan.text
    assert {item["vm"]: item["host"] for item in plan.json()["items"]} == {uuid: two.uuid for uuid in [*vms, stuck]}
    assert not kept(lab2, one) and maintained(lab2) == set()

    began = time.monotonic()
    answer = begin(one)
    assert answer.status == 202, answer.text
    assert begin(one).headers["Location"] == answer.headers["Location"]
    wait_for("all to know it", lambda: maintained(lab2) == {one.uuid}, 10)
    assert kept(lab2, one)
    for host in hosts:
        refused(host.api("POST", "/vms", {"vmdef": vmdef("new"), "host": one.uuid}), 503, "in maintenance")
    other = create(two, vmdef("other"))
    refused(migrate(two, other, one, COLD), 422, "in maintenance")
    delete(two, other)
    done = ended(one, answer.headers["Location"])
    print(f"plan for {len(vms) + 1} VMs: {took * 1000:.0f} ms; moved in {time.monotonic() - began:.1f} s: {done['msg']}")
    assert done["state"] == "failed" and stuck in done["msg"] and "virtxnone" in done["msg"], done
    assert f"1 of {len(vms) + 1} VMs" in done["msg"], done
    for uuid, kind in vms.items():
        check_place(lab2, uuid, two, STATES[kind])
    check_place(lab2, stuck, one, "poweroff")
    told = {item["vm"]: item for item in one.api("GET", f"/hosts/{one.uuid}/maintenance").json()["vms"]}
    assert {uuid: told[uuid]["host"] for uuid in told} == {**{uuid: two.uuid for uuid in vms}, stuck: ""}
    assert "virtxnone" in told[stuck]["reason"]
    moves = [item for item in one.api("GET", "/operations").json()["items"]
             if item["op"] == "VmMigrate" and item["state"] == "completed"]
    assert {item["vm"] for item in moves} == set(vms)

    for uuid, kind in vms.items():
        if kind == "paused":  # QEMU sends on only what has run
            assert two.api("DELETE", f"/vms/{uuid}/runstate/pause").status == 204
            vms[uuid] = "running"
    answer = end(one, back=True, at=two)
    assert answer.status == 202, answer.text
    done = ended(one, answer.headers["Location"])
    assert done["state"] == "completed", done
    for uuid, kind in vms.items():
        check_place(lab2, uuid, one, STATES[kind])
    assert not kept(lab2, one)
    wait_for("all to know it", lambda: maintained(lab2) == set(), 10)
    assert end(one).status == 204 and end(one, back=True).status == 204


def restart(lab, victim, delay, maintenance):
    """Kill virtxd so long after a request, and start it again."""
    time.sleep(delay)
    victim.kill("virtxd")
    victim.start("virtxd")
    wait_ready(victim)
    wait_for("all to know it", lambda: maintained(lab) == maintenance, 30)


LOCAL_UUID = "22222222-aaaa-4bbb-8ccc-000000000001"
LOCAL = f"""<domain type='qemu'><name>web-local</name><uuid>{LOCAL_UUID}</uuid>
<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='%s'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.mark.parametrize("linked", [False, True])
def test_local_file(lab2, hosts, linked):
    """A VM on a file of this host does not get another host's file of that name: it stays, and maintenance says why."""
    one, two = hosts
    local = "/var/lib/libvirt/images/web.qcow2"
    path = "/vms/ds/web.qcow2" if linked else local
    for host in hosts:
        host.run(["mkdir", "-p", "/var/lib/libvirt/images", "/vms/ds"])
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", local, "4M"])
        # virtxd gives QEMU what is a VM's own alone.
        host.run(["chmod", "0666", local])
    if linked:
        one.run(["ln", "-s", local, path])
    one.run(["tee", "/run/local.xml"], input=LOCAL % path)
    one.virsh("define", "/run/local.xml")
    wait_for("it to be listed", lambda: one.api("GET", f"/vms/{LOCAL_UUID}").status == 200, 10)
    try:
        words = "cannot leave this host: its disk 'vda'", path, local, "under '/vms'"
        refused(migrate(one, LOCAL_UUID, two, COLD), 422, *words)
        assert one.api("POST", f"/vms/{LOCAL_UUID}/runstate/boot").status == 204
        refused(migrate(one, LOCAL_UUID, two, LIVE), 422, *words)
        done = ended(one, begin(one).headers["Location"])
        assert done["state"] == "failed" and words[0] in done["msg"], done
        assert one.virsh("domstate", LOCAL_UUID).stdout.strip() == "running" and domains(two) == set()
        told = {item["vm"]: item for item in one.api("GET", f"/hosts/{one.uuid}/maintenance").json()["vms"]}
        assert words[0] in told[LOCAL_UUID]["reason"], told
    finally:
        one.virsh("destroy", LOCAL_UUID, check=False)
        one.virsh("undefine", LOCAL_UUID, check=False)
        one.run(["rm", "-f", path, local])


KEPT = {
    "tpm": ("<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
            ["the state of its TPM is in '/var/lib/libvirt/swtpm/", "boot it and migrate it live"]),
    "folder": ("<filesystem type='mount'><source dir='/srv'/><target dir='data'/></filesystem>",
               ["its folder 'data' is '/srv'", "not under '/vms'"]),
    "usb": ("<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>",
            ["its host device is of the type 'usb'"]),
    "snapshot": ("", ["libvirt knows of its snapshots (1) would be lost", "virsh snapshot-delete"]),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_stays_behind(lab2, hosts, what):
    """A VM that is off does not leave without what this host alone has of it, and maintenance says why."""
    one, two = hosts
    device, words = KEPT[what]
    if what == "tpm" and not shutil.which("swtpm"):
        pytest.skip("libvirt defines no TPM without swtpm")
    uuid = create(one, vmdef(f"kept{what}"))
    before = one.virsh("dumpxml", "--inactive", uuid).stdout
    one.run(["tee", "/run/kept.xml"], input=before.replace("</devices>", f"{device}</devices>"))
    one.virsh("define", "/run/kept.xml")
    if what == "snapshot":
        one.virsh("snapshot-create-as", uuid, "kept")
    with_it = one.virsh("dumpxml", "--inactive", uuid).stdout
    wait_for("the other host to know it", lambda: two.api("GET", f"/vms/{uuid}").status == 200, 20)
    plan = two.api("POST", f"/hosts/{one.uuid}/maintenance?dry_run=true").json()["items"]
    dry = two.api("POST", f"/vms/{uuid}/runstate/migrate?dry_run=true", {"host": two.uuid, "migration_type": COLD}).json()
    for item in (plan[0], dry):
        assert (item["vm"], item["host"]) == (uuid, "") and all(word in item["reason"] for word in words), item
    refused(migrate(one, uuid, two, COLD), 422, f"VM '{uuid}' cannot leave this host", *words)
    done = ended(one, begin(one).headers["Location"])
    assert done["state"] == "failed" and words[0] in done["msg"], done
    told = {item["vm"]: item for item in one.api("GET", f"/hosts/{one.uuid}/maintenance").json()["vms"]}
    assert words[0] in told[uuid]["reason"], told
    assert one.virsh("dumpxml", "--inactive", uuid).stdout == with_it and domains(two) == set()
    assert end(one).status == 204
    if what == "snapshot":
        one.virsh("snapshot-delete", uuid, "kept")
    one.run(["tee", "/run/kept.xml"], input=before)
    one.virsh("define", "/run/kept.xml")
    moved = operation(one, migrate(one, uuid, two, COLD))
    assert moved["state"] == "completed", moved


@pytest.mark.parametrize("who", ["the host's own", "another's"])
def test_restart(lab2, hosts, who):
    """virtxd is killed while VMs move away, and again while they come back: it all goes on."""
    one, two = hosts
    victim = one if who == "the host's own" else two
    vms = {make(one, kind): STATES[kind] for kind in ("off", "running")}
    for n in range(KILLS):
        delay = 0.3 + 2.5 * n / KILLS
        assert begin(one).status == 202
        restart(lab2, victim, delay, {one.uuid})
        wait_for("the VMs to be gone", lambda: domains(one) == set(), 120, 0.2)
        for uuid, state in vms.items():
            check_place(lab2, uuid, two, state)
        done = latest_ended(one, "HostMaintenance")
        assert done["state"] == "completed", (done, one.api("GET", "/operations").json())
        refused(one.api("POST", "/vms", {"vmdef": vmdef("new"), "host": one.uuid}), 503, "in maintenance")

        assert end(one, back=True).status == 202
        restart(lab2, victim, delay, set())
        wait_for("the VMs to be back", lambda: domains(one) == set(vms), 120, 0.2)
        for uuid, state in vms.items():
            check_place(lab2, uuid, one, state)
        assert latest_ended(one, "HostMaintenanceEnd")["state"] == "completed"
        assert not kept(lab2, one)


def test_end_at_once(lab2, hosts):
    """What is under way goes on, what waits stays, and nothing is left of it."""
    one, two = hosts
    vms = [make(one, "off", n) for n in range(4)]
    answer = begin(one)
    assert answer.status == 202, answer.text
    assert end(one).status == 204
    done = ended(one, answer.headers["Location"])
    stayed = domains(one)
    assert stayed | domains(two) == set(vms) and not stayed & domains(two)
    assert not kept(lab2, one)
    assert done["state"] == ("failed" if stayed else "completed"), done
    for uuid in vms:
        check_place(lab2, uuid, one if uuid in stayed else two, "poweroff")
    assert create(one, vmdef("again"))


def test_late(lab2, hosts):
    """A VM that was on its way to the host when its maintenance began leaves again."""
    one, two = hosts
    uuid = make(two, "running")
    begun = migrate(two, uuid, one, LIVE)
    assert begun.status == 202, begun.text
    assert begin(one).status == 202
    assert operation(two, begun)["state"] == "completed"
    wait_for("the VM to leave again", lambda: uuid in domains(two), 60)
    check_place(lab2, uuid, two, "running")


def test_target_starts(lab2, hosts):
    """The only other host has just been started, and libvirt has not told it who it is: the VM waits for it."""
    one, two = hosts
    uuid = make(one, "off")
    why = f"serf does not say now whether '{one.addr}' is one: libvirt has not told this host's uuid yet"
    two.kill("libvirtd")
    try:
        two.restart("virtxd")
        answer = begin(one)
        assert answer.status == 202, answer.text
        wait_for("it to be tried again and again", lambda: len([
            item for item in one.api("GET", "/operations").json()["items"] if item["vm"] == uuid and
            "h2: it refused: " in item["msg"] and why in item["msg"]]) >= 4, 30)
        refused(migrate(one, uuid, two, COLD), 503, why)
        assert uuid in domains(one)
    finally:
        two.start("libvirtd")
    assert ended(one, answer.headers["Location"])["state"] == "completed"
    check_place(lab2, uuid, two, "poweroff")


@pytest.mark.parametrize("ends", [True, False])
def test_malformed(lab2, hosts, ends):
    """What is kept is no maintenance: that is told with what to do, and whoever begins or ends one has written it anew."""
    one, two = hosts
    path = f"{lab2.vms}/xml/{one.uuid}/maintenance"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write('{"since": 1, "vms": [{"vm": "guest"}]}')
    one.restart("virtxd")
    why = f"'/vms/xml/{one.uuid}/maintenance' is malformed: vms[0].vm: 'guest' is no UUID; "
    told = wait_for("it to be told", lambda: (answer := one.api("GET", f"/hosts/{one.uuid}/maintenance")).status == 503
                    and why in answer.text and answer, 30).json()["detail"]
    assert f"`virtx maintain host -e {one.uuid}`" in told
    refused(one.api("POST", "/vms", {"vmdef": vmdef("new"), "host": one.uuid}), 503, why)
    assert why in wait_for("the problem", lambda: next(
        (item["detail"] for item in one.api("GET", f"/hosts/{one.uuid}").json()["problems"]
         if item["kind"] == "maintenance-damaged"), None), 30)
    refused(end(one, back=True), 422, why)
    if ends:
        assert end(one).status == 204
        assert not os.path.exists(path)
    else:
        assert ended(one, begin(one).headers["Location"])["state"] == "completed"
        assert kept(lab2, one)
        wait_for("all to know it", lambda: maintained(lab2) == {one.uuid}, 10)
        assert end(one).status == 204
    delete(one, create(one, vmdef("new")))


def virtx(host, *args, status=0):
    done = host.virtx(*args, timeout=120)
    assert done.returncode == status, done.stderr
    return done


def test_command(lab2, hosts):
    """virtx on another host."""
    one, two = hosts
    uuid, stuck = make(one, "off"), make(one, "stuck")
    wait_for("their names", lambda: len(two.api("GET", f"/vms?host={one.uuid}").json()["items"]) == 2, 20)
    plan = virtx(two, "maintain", "host", "-n", one.uuid).stdout
    assert uuid in plan and "off0" in plan and two.uuid in plan
    assert "maintenance" not in virtx(two, "list", "host").stdout
    done = virtx(two, "maintain", "host", "--wait", one.uuid, status=1)
    assert f"1 of 2 VMs stay: VM '{stuck}'" in done.stderr and "virtxnone" in done.stderr
    wait_for("all to know it", lambda: maintained(lab2) == {one.uuid}, 10)
    assert "active (maintenance)" in virtx(two, "list", "host").stdout
    assert "active (maintenance)" in virtx(two, "get", "host", one.uuid).stdout
    shown = virtx(two, "get", "maintain", "host", one.uuid).stdout
    assert "in maintenance" in shown and two.uuid in shown and "virtxnone" in shown
    assert "virtx_hosts_maintenance 1\n" in two.api("GET", "/metrics").text
    virtx(two, "maintain", "host", "-e", "-b", "-w", one.uuid)
    check_place(lab2, uuid, one, "poweroff")
    virtx(two, "maintain", "host", "--back", one.uuid, status=2)


NETWORK = "<network><name>virtxonly</name><forward mode='bridge'/><bridge name='virtxonly'/></network>"


def test_next_candidate(lab3):
    """The host that placement prefers refuses the VM: it goes to the other one."""
    one, two, three = lab3.hosts
    wait_told(lab3)
    for host in (one, three):
        host.run(["tee", "/run/virtxonly.xml"], input=NETWORK)
        host.virsh("net-define", "/run/virtxonly.xml")
        host.virsh("net-start", "virtxonly")
    ballast = [create(three, vmdef(f"ballast{n}")) for n in range(2)]
    uuid = create(one, vmdef("picky", nets=[{"name": "virtxonly", "nettype": 0, "model": 0, "mac": ""}]))
    try:
        plan = one.api("POST", f"/hosts/{one.uuid}/maintenance", {"dry_run": True}).json()
        assert [item["host"] for item in plan["items"]] == [two.uuid]
        done = ended(one, begin(one).headers["Location"])
        assert done["state"] == "completed", done
        wait_for("the VM to be on the third host", lambda: uuid in domains(three), 10)
        moves = [item for item in one.api("GET", "/operations").json()["items"] if item["vm"] == uuid]
        assert [(item["op"], item["state"]) for item in moves] == [
            ("VmMigrate", "completed"), ("VmCreate", "completed")]
        assert moves[0]["msg"].startswith(f"placed on {three.name}: ")
        kept_vms = one.api("GET", f"/hosts/{one.uuid}/maintenance").json()["vms"]
        assert [(item["vm"], item["host"]) for item in kept_vms] == [(uuid, three.uuid)]
    finally:
        assert end(one).status == 204
        wait_for("all to know it", lambda: maintained(lab3) == set(), 30)
        for host, name in ((three, uuid), *((three, name) for name in ballast)):
            delete(host, name)
        for host in (one, three):
            host.virsh("net-destroy", "virtxonly")
            host.virsh("net-undefine", "virtxonly")
