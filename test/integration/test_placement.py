# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts are chosen for VMs: evenly, never for more than they have, apart and together, and with reasons."""

import concurrent.futures
import json
import os
import re

from conftest import bridge, create, delete, disk, memory_left, net, vm_told, vmdef, wait_ready
from lab import wait_for

VMS = int(os.environ.get("VIRTX_PLACEMENT_VMS", "12"))
MIB = 64  # of each small VM
COLD = 0


def post(host, definition, query="", **headers):
    return host.api("POST", f"/vms{query}", {"vmdef": definition, "host": ""}, timeout=60, headers=headers)


def small(name, **fields):
    return vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2", size=1), memory={"total": MIB, "hp": False}, **fields)


def custom(name, value):
    return {"custom": [{"name": name, "value": value}]}


def counts(hosts):
    """How many VMs each host has, by its own libvirt."""
    return [len(host.virsh("list", "--all", "--uuid").stdout.split()) for host in hosts]


def operation(hosts, vm, op):
    """The operation on the VM, and its host."""
    return next((host, item) for host in hosts for item in host.api("GET", "/operations").json()["items"]
                if item["vm"] == vm and item["op"] == op)


def check_even(hosts, n):
    found = counts(hosts)
    print(f"{n} VMs: {found}")
    assert sum(found) == n and max(found) - min(found) <= 1, found


def test_one_after_the_other(hosts):
    """Each is asked of another host than the one before, as soon as that has answered."""
    for n in range(VMS):
        answer = post(hosts[n % 3], small(f"seq{n}"))
        assert answer.status == 201, answer.text
    check_even(hosts, VMS)


def test_at_once(hosts):
    """All are asked of all hosts at the same time."""
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: post(hosts[n % 3], small(f"all{n}")), range(VMS)))
    assert [answer.status for answer in answers] == [201] * VMS, answers
    check_even(hosts, VMS)
    # The choice is explained where the work was done.
    names = "|".join(host.name for host in hosts)
    for answer in answers:
        where, item = operation(hosts, answer.json(), "VmCreate")
        assert re.fullmatch(rf"placed on ({names}): \d+ MiB of memory would be left, "
                            r"\d+\.\d\d vCPUs for each CPU, \d+ VMs?", item["msg"]), item
        assert item["msg"].startswith(f"placed on {where.name}: ")


def test_not_too_much(hosts):
    """What does not fit any more is refused with the figures of each host, also of many at once."""
    big = int(memory_left(hosts) * 0.42)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        answers = list(pool.map(lambda n: post(hosts[n % 3], {
            **small(f"big{n}"), "memory": {"total": big, "hp": False}}), range(9)))
    assert sorted(answer.status for answer in answers) == [201] * 6 + [422] * 3, answers
    assert counts(hosts) == [2, 2, 2]
    for host in hosts:
        assert host.api("GET", f"/hosts/{host.uuid}").json()["resources"]["memory"]["availablevms"] >= 0
    for answer in answers:
        if answer.status == 422:
            detail = answer.json()["detail"]
            assert f"with {big} MiB of memory" in detail and "no host can take VM 'big" in detail, detail
            for host in hosts:
                assert re.search(rf"{host.name}: it (refused: .*{host.name}: it )?has -?\d+ MiB of memory for VMs, "
                                 f"and {big} MiB are needed", detail), detail
    # A host that is named is the user's word.
    uuid = create(hosts[0], {**small("named"), "memory": {"total": big, "hp": False}})
    delete(hosts[0], uuid)


def test_apart_and_group(hosts):
    """At most one of a set on each host; all of a group on one."""
    answers = [post(hosts[n % 3], small(f"apart{n}", **custom("apart", "db"))) for n in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 422]
    assert counts(hosts) == [1, 1, 1]
    for host in hosts:
        assert f"{host.name}: it has VM 'apart" in answers[3].json()["detail"]
    assert "with apart 'db'" in answers[3].json()["detail"]
    answer = post(hosts[0], small("other", **custom("apart", "mail")))
    assert answer.status == 201

    group = [post(hosts[1], small(f"group{n}", **custom("group", "web"))) for n in range(4)]
    assert [answer.status for answer in group] == [201] * 4
    found = {operation(hosts, answer.json(), "VmCreate")[0].name for answer in group}
    assert len(found) == 1
    assert "of group 'web'" in operation(hosts, group[3].json(), "VmCreate")[1]["msg"]


def test_networks(hosts):
    """Nothing is made where a network or a bridge is missing; the host that has it is found."""
    one, two, three = hosts
    for device, word in ((net("vxplnone", 1), "no bridge 'vxplnone'"), (net("vxplnone", 0), "no network 'vxplnone'")):
        definition = small("netless", nets=[device])
        before = len(one.api("GET", "/operations").json()["items"])
        answer = one.api("POST", "/vms", {"vmdef": definition, "host": one.uuid})
        assert answer.status == 422 and answer.json()["type"] == "/problems/no-network", answer.text
        assert one.uuid in answer.json()["detail"] and word in answer.json()["detail"]
        # Through another host, too.
        answer = two.api("POST", "/vms", {"vmdef": definition, "host": one.uuid})
        assert answer.status == 422 and word in answer.json()["detail"], answer.text
        # None has it: each says so.
        answer = post(one, definition)
        assert answer.status == 422, answer.text
        for host in hosts:
            assert re.search(rf"{host.name}: [^;]*{word}", answer.json()["detail"]), answer.text
        plan = post(one, definition, "?dry_run=1").json()
        assert plan["host"] == "" and [word in item["reason"] for item in plan["candidates"]] == [True] * 3, plan
        assert len(one.api("GET", "/operations").json()["items"]) == before
    assert counts(hosts) == [0, 0, 0]
    with bridge(three, "vxplnone"):
        for host in (one, three):
            answer = post(host, small(f"netted{host.name}", nets=[net("vxplnone", 1)]))
            assert answer.status == 201, answer.text
        assert counts(hosts) == [0, 0, 2]
        plan = post(two, small("plan", nets=[net("vxplnone", 1)]), "?dry_run=1").json()
        assert plan["host"] == three.uuid, plan
        plan = two.api("POST", "/vms?dry_run=1",
                       {"vmdef": small("plan", nets=[net("vxplnone", 1)]), "host": one.uuid}).json()
        assert plan["host"] == "" and "no bridge" in plan["reason"], plan
    # What it has stays, what it gets must be there.
    uuid = answer.json()
    definition = small(f"netted{three.name}", nets=[net("vxplnone", 1)], vlanid=7)
    assert three.api("PUT", f"/vms/{uuid}", {"vmdef": definition}).status == 204
    answer = three.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "nets": [net("vxplmore", 1)]}})
    assert answer.status == 422 and "no bridge 'vxplmore'" in answer.json()["detail"], answer.text


def test_cpu_model(hosts):
    """One that libvirt does not know is refused before anything is made, and the answer has those that it knows."""
    one, two, three = hosts
    definition = small("odd")
    definition["cpudef"]["model"] = "Pentium-9000"

    def check(detail, host):
        assert f"host '{host.uuid}' knows no CPU model 'Pentium-9000'" in detail, detail
        assert "maximum, " in detail and ", EPYC" in detail, detail

    answer = two.api("POST", "/vms", {"vmdef": definition, "host": one.uuid})
    assert answer.status == 422 and answer.json()["detail"].startswith("vmdef.cpudef.model: "), answer.text
    check(answer.json()["detail"], one)
    assert post(one, definition).status == 422
    plan = post(one, definition, "?dry_run=1").json()
    assert plan["host"] == "" and len(plan["candidates"]) == 3, plan
    for item in plan["candidates"]:
        assert "knows no CPU model 'Pentium-9000'" in item["reason"], plan
    assert counts(hosts) == [0, 0, 0]
    assert not os.path.exists(one.path("/vms/ds/odd.qcow2"))

    definition["cpudef"]["model"] = "qemu64"
    answer = post(two, definition, "?dry_run=1")
    assert [item["feasible"] for item in answer.json()["candidates"]] == [True] * 3, answer.text
    uuid = create(three, definition)
    answer = three.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "cpudef": {
        **definition["cpudef"], "model": "Pentium-9000"}}})
    assert answer.status == 422 and answer.json()["detail"].startswith("vmdef.cpudef.model: "), answer.text
    check(answer.json()["detail"], three)
    assert vm_told(three, uuid)["def"]["cpudef"]["model"] == "qemu64"
    # One that it has, of whatever origin, is no reason not to change the rest.
    xml = three.virsh("dumpxml", "--inactive", uuid).stdout
    assert ">qemu64</model>" in xml
    three.run(["tee", "/run/odd.xml"], input=xml.replace(">qemu64</model>", ">Pentium-9000</model>"))
    three.virsh("define", "/run/odd.xml")
    wait_for("it to have that model", lambda: vm_told(three, uuid)["def"]["cpudef"]["model"] ==
             "Pentium-9000", 20)
    definition["cpudef"]["model"] = "Pentium-9000"
    assert three.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "memory": {"total": 80, "hp": False}}}).status == 204
    answer = three.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": one.uuid, "migration_type": COLD})
    assert answer.status == 422, answer.text
    check(answer.json()["detail"], one)
    assert counts(hosts) == [0, 0, 1]


def test_dry_run(hosts):
    """Explains, and changes nothing."""
    h1, h2, h3 = hosts
    uuid = create(h1, small("stays"))
    wait_for("the VM to be seen", lambda: all(
        host.api("GET", f"/vms/{uuid}/runstate").status == 200 for host in hosts), 20)
    before = [len(host.api("GET", "/operations").json()["items"]) for host in hosts]

    def explain():
        answer = post(h2, small("never"), "?dry_run=true")
        assert answer.status == 200, answer.text
        return answer.json()

    # Those of the last test may have ended before h2 has heard of them: it has to hear of that.
    wait_for("the last VMs to be gone", lambda: sum(item["vms"] for item in explain()["candidates"]) == 4, 20)
    found = explain()
    assert found["vm"] == "" and found["host"] in (h2.uuid, h3.uuid)
    assert [item["feasible"] for item in found["candidates"]] == [True] * 3
    assert found["candidates"][0]["host"] == found["host"]
    assert {item["host"]: item["vms"] for item in found["candidates"]} == {h1.uuid: 2, h2.uuid: 1, h3.uuid: 1}
    assert found["reason"].endswith(found["candidates"][0]["reason"])

    answer = h1.api("POST", "/vms?dry_run", {"vmdef": small("never"), "host": h3.uuid})
    assert answer.status == 200 and answer.json()["host"] == h3.uuid
    assert [item["name"] for item in answer.json()["candidates"]] == [h3.name]
    answer = post(h1, {**small("never"), "memory": {"total": 1 << 28, "hp": False}}, "?dry_run=1")
    assert answer.status == 200 and answer.json()["host"] == ""
    assert [item["feasible"] for item in answer.json()["candidates"]] == [False] * 3
    assert post(h1, small("never"), "?dry_run=maybe").status == 400

    answer = h3.api("POST", f"/vms/{uuid}/runstate/migrate?dry_run=true", {"host": "", "migration_type": COLD})
    assert answer.status == 200, answer.text
    assert answer.json()["vm"] == uuid and answer.json()["host"] in (h2.uuid, h3.uuid)
    assert {item["host"]: item["reason"] for item in answer.json()["candidates"]}[h1.uuid] == "the VM is there"
    assert counts(hosts) == [1, 0, 0]
    assert [len(host.api("GET", "/operations").json()["items"]) for host in hosts] == before


def test_migrate(hosts):
    """Without a host it goes to the best one, which its operation explains."""
    h1, h2, h3 = hosts
    create(h2, small("other"))
    uuid = create(h1, small("goes"))
    wait_for("the VM to be seen", lambda: all(
        len(host.api("GET", "/vms").json()["items"]) == 2 for host in hosts), 20)
    # Those of the last test may have ended before h1 has heard of them.
    wait_for("the third host to be the best", lambda: h1.api(
        "POST", f"/vms/{uuid}/runstate/migrate?dry_run=true",
        {"host": "", "migration_type": COLD}).json()["host"] == h3.uuid, 60)
    answer = h2.api("POST", f"/vms/{uuid}/runstate/migrate", {"host": "", "migration_type": COLD})
    assert answer.status == 202, answer.text
    done = wait_for("its end", lambda: [item for item in h1.api("GET", "/operations").json()["items"]
                                        if item["vm"] == uuid and item["op"] == "VmMigrate" and item["te"]], 60)[0]
    assert done["state"] == "completed", done
    assert done["msg"].startswith(f"placed on {h3.name}: "), done
    assert counts(hosts) == [0, 1, 1]

    total = h1.api("GET", f"/hosts/{h1.uuid}").json()["resources"]["memory"]["total"]
    huge = create(h1, {**small("huge"), "memory": {"total": total, "hp": False}})
    answer = h1.api("POST", f"/vms/{huge}/runstate/migrate", {"host": "", "migration_type": COLD})
    assert answer.status == 422 and f"{h2.name}: it has " in answer.json()["detail"], answer.text
    assert "the VM is there" in answer.json()["detail"]


def test_more_than_the_host_has(hosts):
    """A host that is named need not have the memory free, but it must have it: to create, change and boot a VM."""
    h1, h2, _ = hosts
    memory = {"total": 1 << 28, "hp": False}
    words = f"host '{h2.name}' ({h2.uuid}) has ", " MiB of memory, and VM 'big' needs 268435456 MiB"
    for hp in (False, True):
        answer = h1.api("POST", "/vms", {"vmdef": {**small("big"), "memory": {**memory, "hp": hp}}, "host": h2.uuid})
        assert answer.status == 422 and all(word in answer.json()["detail"] for word in words), answer.text
    dry = post(h1, {**small("big"), "memory": memory}, "?dry_run=1")
    assert dry.status == 200 and not dry.json()["host"], dry.text

    uuid = create(h2, small("big"))
    answer = h2.api("PUT", f"/vms/{uuid}", {"vmdef": {**small("big"), "memory": memory}, "deletestorage": False})
    assert answer.status == 422 and words[0] in answer.json()["detail"], answer.text
    xml = h2.virsh("dumpxml", "--inactive", uuid).stdout
    xml = re.sub(r"<(memory|currentMemory) unit=.KiB.>\d+", rf"<\1 unit='MiB'>{1 << 28}", xml)
    h2.run(["tee", "/run/big.xml"], input=xml)
    h2.virsh("define", "/run/big.xml")
    wait_for("the memory to be seen",
             lambda: vm_told(h2, uuid)["def"]["memory"]["total"] == 1 << 28, 20)
    wait_for(f"{h1.name} to know of it", lambda: h1.api("GET", f"/vms/{uuid}").status == 200, 20)
    answer = h1.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and words[0] in answer.json()["detail"], answer.text
    # What else it is can be changed.
    definition = vm_told(h2, uuid)["def"]
    answer = h2.api("PUT", f"/vms/{uuid}", {"vmdef": {**definition, "name": "bigger"}, "deletestorage": False})
    assert answer.status == 204, answer.text
    delete(h2, uuid)


def test_host_away(hosts):
    """A host that does not answer is passed over before serf has told that it failed."""
    h1, _, h3 = hosts
    h3.stop("virtxd")
    answers = [post(h1, small(f"away{n}")) for n in range(3)]
    h3.start("virtxd")
    assert [answer.status for answer in answers] == [201] * 3, answers
    assert counts(hosts)[2] == 0
    wait_ready(h3)


def virtx(host, *args, **more):
    return host.virtx(*args, check=False, **more)


def test_cli(hosts):
    """virtx create vm and migrate vm: --dry-run as a table and as JSON, and without a host."""
    h1, _, _ = hosts
    definition = json.dumps(small("cli"))
    table = virtx(h1, "create", "vm", "-", "--dry-run", input=definition)
    assert table.returncode == 0, table
    assert "MiB of memory would be left" in table.stdout and "FEASIBLE" in table.stdout
    found = virtx(h1, "-o", "json", "create", "vm", "-", "--dry-run", input=definition)
    assert len(json.loads(found.stdout)["candidates"]) == 3
    none = virtx(h1, "create", "vm", "-", "--dry-run", input=json.dumps({
        **small("cli"), "memory": {"total": 1 << 28, "hp": False}}))
    assert none.returncode in (1, 3, 4, 5, 6, 7) and "no host can take VM 'cli'" in none.stderr and "no" in none.stdout, none
    assert counts(hosts) == [0, 0, 0]

    made = virtx(h1, "create", "vm", "-", input=definition)
    assert made.returncode == 0, made
    uuid = made.stdout.strip()
    wait_for("the VM to be seen", lambda: h1.api("GET", f"/vms/{uuid}/runstate").status == 200, 20)
    moves = virtx(h1, "migrate", "vm", uuid, "--dry-run")
    assert moves.returncode == 0 and "the VM is there" in moves.stdout, moves
    assert sum(counts(hosts)) == 1
