# SPDX-License-Identifier: GPL-2.0-or-later
"""Room for VMs that come to a host from several others at once: what it has is given away once, and who is refused
stays where it is, or goes to the next best host."""

import concurrent.futures
import os
import re
import uuid as uuids

from conftest import bridge, create, disk, memory_left, net, vmdef, wait_ready
from lab import wait_for

COLD = 0
ROUNDS = int(os.environ.get("VIRTX_ROOM_ROUNDS", "4"))
BRIDGE = "vxroom0"


def available(host, at=None):
    """What the host has for VMs, in MiB, as another one knows it, or itself."""
    if at is None:
        return host.api("GET", f"/hosts/{host.uuid}").json()["resources"]["memory"]["availablevms"]
    return next(item["fields"]["memoryavailable"] for item in at.api("GET", "/hosts").json()["items"]
                if item["uuid"] == host.uuid)


def cold(name, memory, **fields):
    return vmdef(name, osdisk=disk(f"/vms/ds/{name}.qcow2", size=1), memory={"total": memory, "hp": False}, **fields)


def migrate(host, uuid, target=None):
    return host.api("POST", f"/vms/{uuid}/runstate/migrate",
                    {"host": target.uuid if target else "", "migration_type": COLD}, timeout=90)


def completed(host, answer):
    """The operation that was begun, when it is done."""
    assert answer.status == 202, answer.text

    def look():
        found = host.api("GET", answer.headers["Location"]).json()
        return found if found["state"] != "started" else None
    done = wait_for("the migration to end", look, 60)
    assert done["state"] == "completed", done
    return done


def domains(host):
    return set(host.virsh("list", "--all", "--uuid").stdout.split())


def at_once(*calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def reserve(at, vm, mib, method="PUT", **fields):
    body = {"host": at.uuid, "operation": str(uuids.uuid4()), "memory": {"total": mib, "hp": False}}
    body.update(fields)
    if method == "DELETE":
        del body["memory"]
    return at.api(method, f"/vms/{vm}/reservation", body)


def test_two_sources(hosts):
    """Each round two VMs go to one host that has room for one of them."""
    one, two, target = hosts
    memory = int(memory_left(hosts) * 0.7)
    vms = {one: create(one, cold("one", memory)), two: create(two, cold("two", memory))}
    for n in range(ROUNDS):
        order = [one, two] if n % 2 else [two, one]
        for host in order:
            wait_for("the target to have room", lambda: available(target, host) > memory, 90)
        answers = dict(zip(order, at_once(*[lambda host=host: migrate(host, vms[host], target) for host in order])))
        assert sorted(answer.status for answer in answers.values()) == [202, 422], (
            memory, available(target), [answer.text for answer in answers.values()])
        for host, answer in answers.items():
            if answer.status == 422:
                found = re.fullmatch(rf"host '{target.name}' \({target.uuid}\) has (-?\d+) MiB of memory for VMs, "
                                     rf"and VM '{vms[host]}' needs {memory} MiB", answer.json()["detail"])
                assert found and int(found[1]) < memory, answer.text
                assert domains(host) == {vms[host]}
            else:
                winner = host
                completed(host, answer)
        assert domains(target) == {vms[winner]} and domains(winner) == set()
        assert available(target) >= 0
        # Nothing is left behind: it goes back, and there is room again.
        wait_for("the VM to be seen", lambda: target.api(
            "GET", f"/vms/{vms[winner]}/runstate").json()["host"] == target.uuid, 20)
        wait_for("room at home", lambda: available(winner, target) > memory, 90)
        completed(target, migrate(target, vms[winner], winner))


def test_any_host(hosts):
    """Without a host the second finds another one, or is told of each why it is none."""
    one, two, three = hosts
    memory = int(memory_left(hosts) * 0.7)
    vms = {one: create(one, cold("one", memory)), two: create(two, cold("two", memory))}
    for host in (one, two):
        wait_for("the third to have room", lambda: available(three, host) > memory, 90)
        wait_for("the others to have none", lambda: all(
            available(other, host) < memory for other in (one, two)), 90)
    answers = dict(zip(vms, at_once(*[lambda host=host: migrate(host, vms[host]) for host in vms])))
    assert sorted(answer.status for answer in answers.values())[0] == 202, answers
    for host, answer in answers.items():
        if answer.status == 202:
            assert re.match(r"placed on h\d: ", completed(host, answer)["msg"])
            continue
        detail = answer.json()["detail"]
        assert answer.status == 422 and f"{host.name}: the VM is there" in detail, answer.text
        for other in set(hosts) - {host}:
            assert re.search(rf"{other.name}: it (refused: host '{other.name}' .* )?has -?\d+ MiB", detail), detail
        assert domains(host) == {vms[host]}
    assert len(domains(three)) == 1


def test_next_best(hosts):
    """The best host lacks the bridge: the VM goes to the other one, in the same operation."""
    one, two, three = hosts
    three.run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    # So that the second is the best.
    create(three, cold("load", int(available(three) * 0.3)))
    with bridge(one, BRIDGE):
        uuid = create(one, cold("bridged", 64, nets=[net(BRIDGE, 1)]))
    wait_for("the load to be known", lambda: available(three, one) < available(two, one) * 0.8, 90)
    plan = one.api("POST", f"/vms/{uuid}/runstate/migrate?dry_run=1", {"host": "", "migration_type": COLD}).json()
    assert plan["host"] == two.uuid, plan
    answer = migrate(one, uuid, two)
    assert answer.status == 422 and f"has no bridge '{BRIDGE}'" in answer.json()["detail"], answer.text
    done = completed(one, migrate(one, uuid))
    assert done["msg"].startswith(f"placed on {three.name}: "), done
    assert uuid in domains(three) and domains(two) == set()
    assert [item["state"] for item in one.api("GET", "/operations").json()["items"]
            if item["op"] == "VmMigrate" and item["vm"] == uuid] == ["completed", "failed"]
    # No host is left: each says why not.
    three.run(["ip", "link", "del", BRIDGE])
    wait_for("the VM to be here", lambda: three.api("GET", f"/vms/{uuid}").status == 200, 20)
    answer = migrate(three, uuid)
    assert answer.status == 422, answer.text
    for host in (one, two):
        assert re.search(rf"{host.name}: it refused: host '{host.uuid}' has no bridge '{BRIDGE}'",
                         answer.json()["detail"]), answer.text
    assert uuid in domains(three)


def test_source_dies(hosts):
    """What was reserved stays reserved for a while, whoever asks; the VM can come, and others are refused."""
    one, two, target = hosts
    memory = int(memory_left(hosts) * 0.7)
    first, second = create(one, cold("first", memory)), create(two, cold("second", memory))
    wait_for("the target to have room", lambda: available(target, two) > memory, 90)
    # As by a source that is killed then.
    assert reserve(target, first, memory).status == 204
    one.kill("virtxd")
    answer = migrate(two, second, target)
    assert answer.status == 422 and f"needs {memory} MiB" in answer.json()["detail"], answer.text
    assert domains(two) == {second}
    one.start("virtxd")
    wait_ready(one)
    wait_for("the target to be known", lambda: available(target, one) > memory, 90)
    completed(one, migrate(one, first, target))
    assert domains(target) == {first}


def test_requests(hosts):
    """What is asked for is judged by what is there, and what is wrong names its field."""
    one, two, _ = hosts
    vm, operation = str(uuids.uuid4()), str(uuids.uuid4())
    memory = int(memory_left(hosts) * 0.7)
    mine = {"operation": operation}
    assert reserve(one, vm, memory, **mine).status == 204
    assert reserve(one, vm, memory, **mine).status == 204
    refused = reserve(one, str(uuids.uuid4()), memory)
    assert refused.status == 422 and f"needs {memory} MiB" in refused.json()["detail"], refused.text
    assert len(refused.headers["X-VirtX-Refused"].split()) == 4
    # A create that is to be placed does not take it either.
    plan = two.api("POST", "/vms?dry_run=1", {"vmdef": cold("plan", memory), "host": one.uuid})
    assert plan.status == 200, plan.text
    # Of another operation, and then of its own.
    assert reserve(one, vm, 0, "DELETE").status == 204
    assert reserve(one, str(uuids.uuid4()), memory).status == 422
    # Another host does not pass it on.
    assert reserve(one, vm, memory, **mine).status == 204
    answer = two.api("DELETE", f"/vms/{vm}/reservation", {"host": one.uuid, **mine})
    assert answer.status == 508, answer.text
    assert reserve(one, str(uuids.uuid4()), memory).status == 422
    assert reserve(one, vm, 0, "DELETE", **mine).status == 204

    for field, value in (("host", "x"), ("host", ""), ("operation", "y"), ("memory", {"total": -1, "hp": False}),
                         ("memory", []), ("cpudef", {"sockets": -1}), ("cpudef", {"sockets": 999, "cores": 999,
                                                                                 "threads": 9}),
                         ("custom", {}), ("renew", "no"), ("name", 7)):
        answer = reserve(one, vm, memory, **{field: value})
        assert answer.status == 400 and field in answer.json()["detail"], (field, value, answer.text)
    assert one.api("PUT", "/vms/x/reservation", {}).status == 400
    answer = reserve(one, vm, memory, host=str(uuids.uuid4()))
    assert answer.status == 422 and "host: this is" in answer.json()["detail"], answer.text
    assert reserve(one, vm, memory, **mine).status == 204
    assert reserve(one, vm, 0, "DELETE", **mine).status == 204
