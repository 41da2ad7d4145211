# SPDX-License-Identifier: GPL-2.0-or-later
"""What kind of failure it was, and what is no failure where it is enough that a VM is so already."""

import os

from conftest import create, delete, disk, runstate, vmdef


def problem(answer):
    """The type of a failure, without its prefix."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status
    assert body["type"].startswith("/problems/"), body
    return body["type"].removeprefix("/problems/")


def test_states(host):
    uuid = create(host, vmdef("states"))
    boot, pause = f"/vms/{uuid}/runstate/boot", f"/vms/{uuid}/runstate/pause"

    def fails(method, path, name, status=424, body=None):
        answer = host.api(method, path, body)
        assert (answer.status, problem(answer)) == (status, name), answer.text

    def enough(method, path, body=None):
        before = runstate(host, uuid)
        answer = host.api(method, path + "?if_needed=true", body)
        assert (answer.status, answer.body) == (204, b""), answer.text
        assert runstate(host, uuid) == before
        last = host.api("GET", "/operations").json()["items"][0]
        assert (last["vm"], last["state"]) == (uuid, "completed")
        assert last["msg"] in ("it was so already", "the VM is off")

    fails("DELETE", boot, "already-off")
    fails("DELETE", boot, "already-off", body={"force": 2})
    fails("POST", pause, "not-running")
    fails("DELETE", pause, "not-running")
    fails("DELETE", pause + "?if_needed=true", "not-running")
    enough("DELETE", boot)
    enough("DELETE", boot, {"force": 2})
    assert host.api("POST", boot + "?if_needed=true").status == 204
    assert runstate(host, uuid) == "running"
    fails("POST", boot, "already-running")
    fails("DELETE", pause, "already-running")
    fails("DELETE", f"/vms/{uuid}", "not-off", 422)
    fails("POST", boot + "?if_needed=maybe", "invalid", 400)
    enough("POST", boot)
    enough("DELETE", pause)
    assert host.api("POST", pause + "?if_needed=true").status == 204
    fails("POST", pause, "already-paused")
    fails("POST", boot, "already-on")
    fails("POST", boot + "?if_needed=true", "already-on")
    enough("POST", pause)
    assert host.api("DELETE", boot + "?if_needed=true", {"force": 2}).status == 204
    assert runstate(host, uuid) == "poweroff"
    delete(host, uuid)
    fails("POST", boot, "not-found", 404)


def test_operations_found(host):
    uuid = create(host, vmdef("found"))
    delete(host, uuid)

    def ops(query):
        answer = host.api("GET", "/operations?" + query)
        assert answer.status == 200, answer.text
        return [item["op"] for item in answer.json()["items"]]

    assert ops(f"vm={uuid.upper()}") == ["VmDelete", "VmCreate"]
    assert ops(f"vm={uuid}&offset=1") == ["VmCreate"]
    assert ops(f"vm={uuid}&op=VmDelete&state=completed&host={host.uuid}") == ["VmDelete"]
    assert ops(f"vm={uuid}&since=99999999999999") == []
    for query in ("vm=x", "state=done", "name=x", "limit=x", "since=now"):
        answer = host.api("GET", "/operations?" + query)
        assert (answer.status, problem(answer)) == (400, "invalid"), query
    assert host.api("GET", "/vms?name=foun").json()["items"] == []


def test_explained(host):
    answer = host.api("GET", "/problems/busy")
    assert answer.status == 200 and "409" in answer.text
    answer = host.api("GET", "/problems/nonsense")
    assert (answer.status, problem(answer)) == (404, "not-found")
    assert problem(host.api("GET", "/vmz")) == "not-found"
    assert problem(host.api("PUT", "/vms", {})) == "method-not-allowed"
    assert problem(host.api("POST", "/vms", "{", headers={"Content-Type": "text/plain"})) == "media-type"


def test_missing_disk(lab1, host):
    """It is not the VM that is not found."""
    definition = vmdef("lacks", osdisk=disk("/vms/ds/nowhere.qcow2", prov=0, size=0))
    answer = host.api("POST", "/vms", {"vmdef": definition, "host": host.uuid})
    assert answer.status == 422 and problem(answer) == "missing", answer.text
    assert "nowhere.qcow2" in answer.json()["detail"]
    uuid = create(host, vmdef("lost"))
    os.unlink(f"{lab1.vms}/ds/lost.qcow2")
    answer = host.api("POST", f"/vms/{uuid}/runstate/boot")
    assert answer.status == 422 and problem(answer) == "missing", answer.text
    assert "disk '/vms/ds/lost.qcow2': there is no such file" in answer.json()["detail"]
    answer = host.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status == 200 and "no image '/vms/ds/lost.qcow2'" in answer.headers["Warning"], answer.text
