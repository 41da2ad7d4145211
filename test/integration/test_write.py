# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions that people write: create from YAML, set and edit, and nobody takes back what another one has changed."""

import json

from conftest import bridge, delete
from lab import wait_for
from lab.daemons import API_PORT

YAML = """\
# by a person
name: written
cpudef: {model: maximum, nodes: 1, sockets: 1, cores: 1, threads: 1}
memory: {total: 64M}
osdisk: {path: /vms/ds/written.qcow2, bus: virtio, man: managed, prov: thin, size: 64M}
custom:
- {name: owner, value: ann}
"""


def said(result, code=0):
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout if code == 0 else result.stderr


def definition(host, uuid):
    answer = host.api("GET", f"/vms/{uuid}")
    assert answer.status == 200, answer.text
    return answer.json()["def"], answer.headers["ETag"]


def test_written(hosts, tmp_path):
    """Through the VM's own host, and through another one."""
    host, other = hosts[:2]
    file = tmp_path / "vm.yaml"
    file.write_text(YAML)
    uuid = said(host.virtx("create", "vm", "-h", host.uuid, str(file))).strip()
    made, tag = definition(host, uuid)
    assert (made["memory"]["total"], made["osdisk"]["size"], made["osdisk"]["bus"]) == (64, 64, 0)
    wait_for("it to be known elsewhere", lambda: other.api("GET", f"/vms/{uuid}").status == 200, 30)
    assert definition(other, uuid) == (made, tag)

    # What get prints goes back, and is the same.
    for form in "yaml", "json":
        file.write_text(said(other.virtx("get", "vm", uuid, "-o", form)))
        said(other.virtx("update", "vm", uuid, str(file)))
        assert definition(host, uuid) == (made, tag)

    for asked in host, other:
        said(asked.virtx("set", "vm", "written", "memory=80M", "custom.owner=bob", f"custom.by={asked.name}"))
        now, changed = definition(other, uuid)
        assert now["memory"]["total"] == 80 and changed != tag
        assert {"name": "by", "value": asked.name} in now["custom"]
        assert {"name": "owner", "value": "bob"} in now["custom"]
        # What was read before is too old, through any host, and changes nothing.
        answer = asked.api("PUT", f"/vms/{uuid}", {"vmdef": made}, headers={"If-Match": tag})
        assert answer.status == 412 and answer.json()["type"] == "/problems/changed", answer.text
        assert definition(host, uuid) == (now, changed)
    answer = other.api("PUT", f"/vms/{uuid}", {"vmdef": made}, headers={"If-Match": changed})
    assert answer.status == 204, answer.text
    assert definition(host, uuid) == (made, tag)

    error = said(other.virtx("set", "vm", "written", "memory=80MB"), 2)
    assert "memory: '80MB' is no whole number of MiB" in error and error.count("\n") == 1
    delete(host, uuid)


def test_edited(hosts, tmp_path):
    """The editor is a script, which at one time changes the VM by itself."""
    host, other = hosts[:2]
    file = tmp_path / "vm.yaml"
    file.write_text(YAML)
    uuid = said(host.virtx("create", "vm", "-h", host.uuid, str(file))).strip()
    wait_for("it to be known elsewhere", lambda: other.api("GET", f"/vms/{uuid}").status == 200, 30)
    editor = tmp_path / "editor"

    def edit(script):
        editor.write_text(f"#!/bin/sh\nset -e\n[ \"$1\" = -x ]\n{script}\n")
        editor.chmod(0o755)
        return other.virtx("edit", "vm", "written", env={"VISUAL": f"{editor}  -x", "TMPDIR": str(tmp_path)})

    said(edit('sed -i "s/total: 64/total: 80M/" "$2"'))
    now, tag = definition(host, uuid)
    assert now["memory"]["total"] == 80
    result = edit("true")
    assert "nothing is changed" in result.stderr and result.returncode == 0
    assert list(tmp_path.glob("virtx-*")) == []

    error = said(edit('sed -i "s/total: 80/totel: 96/" "$2"'), 2)
    [kept] = tmp_path.glob("virtx-*")
    assert f"unknown key 'totel', did you mean 'total'?; what was written is kept in '{kept}'" in error
    kept.write_text(kept.read_text().replace("totel", "total"))
    said(other.virtx("update", "vm", "written", str(kept)))
    assert definition(host, uuid)[0]["memory"]["total"] == 96
    kept.unlink()

    # Somebody else is quicker.
    body = tmp_path / "body"
    body.write_text(json.dumps({"vmdef": {**now, "vlanid": 7}}))
    put = f"curl -sSf -X PUT -H 'Content-Type: application/json' -d @{body} http://127.0.0.1:{API_PORT}/vms/{uuid}"
    error = said(edit(f'{put}\nsed -i "s/total: 96/total: 112/" "$2"'), 4)
    [kept] = tmp_path.glob("virtx-*")
    assert "has changed since it was read" in error and "total: 112" in kept.read_text()
    assert definition(host, uuid)[0] == {**now, "vlanid": 7}
    delete(host, uuid)


def test_applied(hosts, tmp_path):
    """Twice: what the server has filled in, as a MAC address, is no difference the second time."""
    host, other = hosts[:2]
    file = tmp_path / "vm.yaml"
    file.write_text(YAML + "genid: auto\nnets:\n- {name: br0, nettype: bridge}\n")
    apply = ["apply", "vm", "-f", str(file)]
    with bridge(host, "br0"):
        assert said(host.virtx(*apply)) == "written created\n"
    uuid = said(host.virtx("create", "vm", "--if-needed", str(file))).strip()
    made = definition(host, uuid)
    assert made[0]["nets"][0]["mac"] and made[0]["genid"] != "auto"
    wait_for("it to be known elsewhere", lambda: other.api("GET", f"/vms/{uuid}").status == 200, 30)
    assert said(other.virtx(*apply)) == "written unchanged\n"
    file.write_text(file.read_text().replace("total: 64M", "total: 80M").replace("size: 64M", "size: 0"))
    assert said(other.virtx(*apply, "-n")) == "written configured (dry run)\n  memory.total: 64 MiB -> 80 MiB\n"
    assert "; memory.total: 64 MiB -> 80 MiB" in said(host.virtx("create", "vm", "-i", str(file)), 4)
    assert definition(host, uuid) == made
    for what in "configured", "unchanged":
        assert said(other.virtx(*apply)) == f"written {what}\n"
    assert definition(host, uuid)[0] == {**made[0], "memory": {**made[0]["memory"], "total": 80}}
    delete(host, uuid)
