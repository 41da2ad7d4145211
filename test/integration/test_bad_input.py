# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input gets a 400 that names the field, and changes nothing."""

import copy
import json
import os

import pytest
from conftest import RUNSTATES, create, delete, disk, vmdef

FULL = {
    "vmdef": vmdef("bad", disks=[disk("/vms/ds/bad-data.qcow2")],
                   nets=[{"name": "net0", "nettype": 0, "model": 0, "mac": "52:54:00:11:22:33"}],
                   genid="auto", vlanid=7, custom=[{"name": "group", "value": "web"}]),
    "host": "",
}

OUT_OF_RANGE = {
    "host": ["x", "zz000000-0000-4000-8000-000000000000"],
    "vmdef.name": ["", "x" * 33, "a\nb", " bad", "bad ", "bad\u3000", "\u0301", ".", ".."],
    "vmdef.cpudef.model": ["", "m" * 33, "a\tb"],
    "vmdef.cpudef.sockets": [0, -1, 32768],
    "vmdef.cpudef.cores": [0, -1, 32768],
    "vmdef.cpudef.threads": [0, 2, 32768],
    "vmdef.cpudef.nodes": [32768, -32769],
    "vmdef.memory.total": [0, -1, 2147483648, 10 ** 30],
    "vmdef.osdisk.path": ["", "relative.qcow2", "/vms/ds/../x.qcow2", "/vms/ds//x.qcow2",
                          "/vms/ds/x.vmdk", "/etc/passwd", "/vms/ds/.", "/vms/lock/x.raw",
                          "/vms/ds/bad-data.qcow2"],
    "vmdef.osdisk.device": [-1, 3],
    "vmdef.osdisk.bus": [-1, 4],
    "vmdef.osdisk.man": [-1, 2],
    "vmdef.osdisk.prov": [-1, 3],
    "vmdef.osdisk.size": [-1, 0, 2147483648],
    "vmdef.disks[0].path": ["", "x", "/vms/ds/bad.qcow2"],
    "vmdef.disks[0].device": [-1, 7],
    "vmdef.disks[0].size": [-5],
    "vmdef.nets[0].name": ["", "n" * 33],
    "vmdef.nets[0].nettype": [-1, 2],
    "vmdef.nets[0].model": [-1, 3],
    "vmdef.nets[0].mac": ["52:54:00:11:22", "53:54:00:11:22:33", "zz:54:00:11:22:33"],
    "vmdef.vlanid": [-1, 4095, 40000],
    "vmdef.firmware": [-1, 2],
    "vmdef.genid": ["x", "automatic"],
    "vmdef.custom[0].name": ["a b", "ü"],
    "vmdef.custom[0].value": ["a-b"],
}

WRONG_TYPE = {str: [1, True, [], {}], bool: [1, "true", []], int: ["1", 1.5, True, [], {}],
              list: [1, "x", {}, True], dict: [1, "x", [], False]}


def leaves(value, path=""):
    """(path, value) of everything below, containers too."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from leaves(member, f"{path}[{index}]")


def replaced(path, value):
    """FULL with one field replaced."""
    options = copy.deepcopy(FULL)
    at = options
    *parents, last = path.replace("[", ".[").split(".")
    for name in parents:
        at = at[int(name[1:-1])] if name.startswith("[") else at[name]
    at[int(last[1:-1]) if last.startswith("[") else last] = value
    return options


def wrong_types():
    return [(path, bad) for path, value in leaves(FULL) for bad in WRONG_TYPE[type(value)]]


def refuse(host, path, bad):
    answer = host.api("POST", "/vms", replaced(path, bad))
    assert answer.status == 400, (path, bad, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()["detail"]


def nothing_exists(lab, host):
    assert host.api("GET", "/vms?name=bad").json()["items"] == []
    assert "bad" not in " ".join(os.listdir(f"{lab.vms}/ds")) if os.path.isdir(
        f"{lab.vms}/ds") else True
    assert os.listdir(f"{lab.vms}/lock") == ["__VIRTX__DISKS__"]
    assert host.virsh("list", "--all", "--title").stdout.count("bad") == 0


def test_wrong_types(lab1, host):
    cases = wrong_types()
    assert len(cases) > 150
    for path, bad in cases:
        assert path in refuse(host, path, bad), (path, bad)
    nothing_exists(lab1, host)


@pytest.mark.parametrize("path", OUT_OF_RANGE)
def test_out_of_range(lab1, host, path):
    for bad in OUT_OF_RANGE[path]:
        detail = refuse(host, path, bad)
        assert path in detail or path.replace("osdisk", "disks[0]") in detail, (bad, detail)
    nothing_exists(lab1, host)


def test_too_many(lab1, host):
    options = copy.deepcopy(FULL)
    options["vmdef"]["disks"] = [disk(f"/vms/ds/bad{n}.qcow2") for n in range(8)]
    answer = host.api("POST", "/vms", options)
    assert answer.status == 400 and "7 to a VM" in answer.json()["detail"], answer.text
    options["vmdef"]["disks"] = [disk(f"/vms/ds/bad{n}.raw", man=0, prov=0) for n in range(21)]
    answer = host.api("POST", "/vms", options)
    assert answer.status == 400 and "vmdef.disks" in answer.json()["detail"], answer.text
    nothing_exists(lab1, host)


def test_other_requests(host):
    uuid = "00000000-0000-4000-8000-00000000dead"
    for method, path, body, status in (
            ("GET", "/nowhere", None, 404), ("PATCH", "/vms", None, 405),
            ("DELETE", "/hosts", None, 405), ("GET", "/vms/123", None, 400),
            ("GET", f"/vms/{uuid}", None, 404), ("DELETE", f"/vms/{uuid}", None, 404),
            ("POST", f"/vms/{uuid}/runstate/boot", None, 404),
            ("POST", f"/vms/{uuid}/runstate/boot",
             {"cloud_init": [{"name": "ci-x", "value": ""}]}, 400),
            ("DELETE", f"/vms/{uuid}/runstate/boot", {"force": 3}, 400),
            ("GET", "/vms?nmae=x", None, 400), ("GET", "/vms?runstate=flying", None, 400),
            ("GET", "/vms?limit=-1", None, 400), ("GET", "/hosts?cpudef.cores=many", None, 400),
            ("GET", "/operations/none", None, 404),
            ("POST", "/vms", "{", 400), ("POST", "/vms", "[]", 400), ("POST", "/vms", "", 400),
            ("POST", "/vms", b"\xff\xfe{}", 400)):
        answer = host.api(method, path, body)
        assert answer.status == status, (method, path, body, answer.text)
        assert answer.json()["status"] == status and answer.json()["detail"]
        if status == 405:
            assert "GET" in answer.headers["Allow"]


def test_parameters(lab1, host):
    """One that the route does not take, or that is there twice, is refused before anything is done."""
    uuid = create(host, vmdef("asked"))
    boot = f"/vms/{uuid}/runstate/boot"
    for method, path, words in (
            ("POST", f"{boot}?if_neded=true", "'if_neded', did you mean 'if_needed'?"),
            ("POST", f"{boot}?if_needed=true&if_needed=false", "'if_needed': it is there twice"),
            ("DELETE", f"/vms/{uuid}?dry_run=true", "'dry_run'; there are none here"),
            ("POST", "/vms?dryrun=true", "'dryrun', did you mean 'dry_run'?"),
            ("GET", "/vms?limit=1&limit=2", "'limit': it is there twice")):
        answer = host.api(method, path, FULL if path.startswith("/vms?dry") else None)
        assert answer.status == 400 and words in answer.json()["detail"], (method, path, answer.text)
    assert host.api("GET", f"/vms/{uuid}/runstate").json()["runstate"] == RUNSTATES.index("poweroff")
    delete(host, uuid)
    nothing_exists(lab1, host)


def test_doubled_keys(lab1, host):
    """What of two was meant is not guessed; those of fields that are not known are ignored with them."""
    uuid = create(host, vmdef("doubled"))
    body = json.dumps(FULL)
    for path, text in (("vmdef.name", body.replace('"name": "bad"', '"name": "bad", "name": "bad2"')),
                       ("host", body.replace('"host": ""', f'"host": "", "host": "{host.uuid}"'))):
        answer = host.api("POST", "/vms", text)
        assert answer.status == 400 and f"{path}: the key is there twice" in answer.json()["detail"], answer.text
    answer = host.api("DELETE", f"/vms/{uuid}", '{"deletestorage": false, "deletestorage": true}')
    assert answer.status == 400 and "deletestorage: the key is there twice" in answer.json()["detail"]
    answer = host.api("GET", "/vms", '{"filter": {"name": "a", "name": "b"}}')
    assert answer.status == 400 and "filter.name: the key is there twice" in answer.json()["detail"]
    assert host.api("DELETE", f"/vms/{uuid}", '{"deletestorage": true, "x": 1, "x": 2}').status == 204
    nothing_exists(lab1, host)
