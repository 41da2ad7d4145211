# SPDX-License-Identifier: GPL-2.0-or-later
"""What a client did through a host it sees there at once, wherever the VM is."""

import os

from conftest import RUNSTATES, vm_told, vmdef, wait_ready
from lab import wait_for

ROUNDS = int(os.environ.get("VIRTX_READS", "9"))  # of six changes each


def listed(host, uuid):
    """The VM as the host lists it, None where it does not."""
    items = host.api("GET", "/vms").json()["items"]
    return next((item["fields"] for item in items if item["uuid"] == uuid), None)


def check(host, uuid, wanted, name):
    """What is wrong about the VM by this host's answers, which come right after the change."""
    fields = listed(host, uuid)
    runstate = host.api("GET", f"/vms/{uuid}/runstate")
    whole = host.api("GET", f"/vms/{uuid}")
    if wanted is None:
        seen = (fields, runstate.status, whole.status)
        return [] if seen == (None, 404, 404) else [seen]
    if fields is None or runstate.status != 200 or whole.status != 200:
        return [(fields, runstate.status, whole.text)]
    seen = {(RUNSTATES[fields["runstate"]], fields["name"]),
            (RUNSTATES[runstate.json()["runstate"]], name),
            (RUNSTATES[whole.json()["runinfo"]["runstate"]], whole.json()["def"]["name"])}
    return [] if seen == {(wanted, name)} else [seen]


def change(host, method, path, body, status):
    answer = host.api(method, path, body)
    assert answer.status == status, answer.text
    return answer


def maintain(asked, other):
    """Begin and end the maintenance of another host; what its list says wrong right after each."""
    stale = []
    for method, status, wanted in (("POST", 202, True), ("DELETE", 204, False)):
        answer = change(asked, method, f"/hosts/{other.uuid}/maintenance", {}, status)
        items = asked.api("GET", "/hosts").json()["items"]
        if [item["maintenance"] for item in items if item["uuid"] == other.uuid] != [wanted]:
            stale.append((method, items))
        if status == 202:
            where = answer.headers["Location"]
            wait_for("the maintenance", lambda: asked.api("GET", where).json()["te"] > 0, 30)
    return stale


def test_reads_follow_writes(hosts):
    for host in hosts:
        wait_ready(host)
    stale, n = [], 0
    for number in range(ROUNDS):
        asked, owner = hosts[number % 3], hosts[(number // 3 + number + 1) % 3]
        name = f"reads{number}"
        uuid = change(asked, "POST", "/vms", {"vmdef": vmdef(name), "host": owner.uuid}, 201).json()
        stale += check(asked, uuid, "poweroff", name)
        change(asked, "POST", f"/vms/{uuid}/runstate/boot", {}, 204)
        stale += check(asked, uuid, "running", name)
        change(asked, "DELETE", f"/vms/{uuid}/runstate/boot", {"force": 2}, 204)
        stale += check(asked, uuid, "poweroff", name)
        renamed = vm_told(asked, uuid)["def"]
        renamed["name"] = f"{name}b"
        renamed["osdisk"]["prov"] = 1
        change(asked, "PUT", f"/vms/{uuid}", {"vmdef": renamed, "deletestorage": False}, 204)
        stale += check(asked, uuid, "poweroff", f"{name}b")
        change(asked, "DELETE", f"/vms/{uuid}", {"deletestorage": True}, 204)
        stale += check(asked, uuid, None, None)
        if asked is not owner:
            stale += maintain(asked, owner)
        n += 6
    print(f"\n{len(stale)} stale of {n}")
    assert stale == []


def test_reads_follow_operations(hosts):
    """A client that does not wait for the change, but for its operation."""
    h1, h2, _ = hosts
    answer = h1.api("POST", "/vms", {"vmdef": vmdef("later"), "host": h2.uuid},
                    headers={"Prefer": "respond-async"})
    assert answer.status == 202, answer.text
    where, uuid = answer.headers["Location"], answer.json()["vm"]
    wait_for("the VM", lambda: h1.api("GET", where).json()["te"] > 0, 30, 0.01)
    assert check(h1, uuid, "poweroff", "later") == []
    answer = h1.api("DELETE", f"/vms/{uuid}", {"deletestorage": True},
                    headers={"Prefer": "respond-async"})
    wait_for("its end", lambda: h1.api("GET", answer.headers["Location"]).json()["te"] > 0, 30, 0.01)
    assert check(h1, uuid, None, None) == []
