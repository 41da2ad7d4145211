# SPDX-License-Identifier: GPL-2.0-or-later
"""virtx against a stand-in for the server: what it sends, prints, and how it ends."""

import contextlib
import fcntl
import gzip
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest
from cli import HOST, LATER, OPERATION, UUID, VIRTX, fails, ok, raw_server, server, virtx  # noqa: F401
from conftest import ROOT
from lab import PATIENCE

VM_LIST = {"items": [
    {"uuid": UUID, "fields": {"name": "web", "host": HOST, "runstate": 4, "vlanid": 12,
                              "custom": {"name": "", "value": ""}, "ts": 1700000000000},
     "reason": "", "last": 0},
    {"uuid": HOST, "fields": {"name": "a\u001b[2Jb", "host": "", "runstate": 2, "vlanid": 0,
                              "custom": {"name": "", "value": ""}, "ts": 0}, "reason": "", "last": 0}]}


def test_list_vm(server):
    server.answer((200, VM_LIST))
    lines = ok("list", "vm", server=server).splitlines()
    assert lines[0].split() == ["UUID", "NAME", "STATE", "HOST", "VLAN", "UPDATED"]
    assert lines[1].split() == [UUID, "web", "running", HOST, "12", "2023-11-14T22:13:20+0000"]
    assert lines[2].split() == [HOST, "a?[2Jb", "poweroff", "-", "0", "-"]
    assert len(lines) == 3
    request = server.requests[0]
    assert (request.method, request.path) == ("GET", "/vms")
    assert request.headers["Content-Type"] == "application/json"
    assert request.json["filter"]["name"] == ""
    assert request.json["filter"]["runstate"] == 0


def test_a_vm_by_its_name(server):
    server.answer((200, VM_LIST), (204, b""))
    ok("pause", "vm", "web", server=server)
    assert [(r.method, r.path) for r in server.requests] == [
        ("GET", "/vms"), ("POST", f"/vms/{UUID}/runstate/pause")]
    server.answer((200, VM_LIST))
    assert fails(3, "delete", "vm", "we", server=server) == (
        f"virtx: no VM is called 'we'; with that in the name; 'web' ({UUID})\n")


def test_list_vm_filters(server):
    server.answer((200, {"items": [{"uuid": UUID, "fields": {"custom": {"name": "k", "value": "v"}}}]}))
    out = ok("list", "vm", "-n", "web", "-h", HOST.upper(), "-s", "running", "-v", "12", "-N", "k",
             "-V", "v", server=server)
    assert out.splitlines()[1].split()[-1] == "k=v"
    assert server.requests[0].json["filter"] == {
        "name": "web", "host": HOST, "runstate": 4, "vlanid": 12,
        "custom": {"name": "k", "value": "v"}, "ts": 0}
    ok("list", "vm", "-s", "5", server=server)
    assert server.requests[1].json["filter"]["runstate"] == 5


def test_list_host_filters(server):
    server.answer((200, {"items": [{"uuid": HOST, "fields": {
        "name": "h1", "cpuarch": {"arch": "x86_64", "vendor": "AMD"},
        "cpudef": {"model": "EPYC", "nodes": 2, "sockets": 1, "cores": 8, "threads": 2},
        "cstate": 1, "memoryavailable": 2048, "hpavailable": 0, "osid": "debian", "osv": "12",
        "ts": 0}}]}))
    out = ok("list", "host", "-n", "h", "-a", "x86_64", "-v", "AMD", "-s", "active", "-m", "1024",
             "-H", "5", server=server)
    assert out.splitlines()[1].split() == [
        HOST, "h1", "active", "x86_64", "AMD", "EPYC", "32", "2048", "MiB", "0", "MiB", "debian",
        "12", "+0.0", "s", "unknown", "-"]
    sent = server.requests[0].json["filter"]
    assert sent["name"] == "h" and sent["cpuarch"] == {"arch": "x86_64", "vendor": "AMD"}
    assert (sent["cstate"], sent["memoryavailable"], sent["hpavailable"]) == (1, 1024, 5)


@pytest.mark.parametrize("noun", ["vm", "host", "operation"])
def test_null_list_of_the_go_server(server, noun):
    server.answer((200, {"items": None}))
    assert len(ok("list", noun, server=server).splitlines()) == 1


def test_json_output(server):
    server.answer((200, VM_LIST))
    assert json.loads(ok("list", "vm", "-o", "json", server=server)) == VM_LIST


VM = {"uuid": UUID, "ts": 1700000000000, "runinfo": {"runstate": 5, "host": HOST},
      "def": {"name": "web", "cpudef": {"model": "maximum", "sockets": 1, "cores": 2, "threads": 1},
              "memory": {"total": 512, "hp": True}, "vlanid": 7, "firmware": 1,
              "osdisk": {"path": "/vms/ds/a.qcow2", "device": 0, "bus": 1, "man": 1, "prov": 1,
                         "size": 1024},
              "disks": [{"path": "/vms/ds/b.iso", "device": 1, "bus": 3, "size": 5}],
              "nets": [{"name": "br0", "nettype": 1, "model": 0, "mac": "52:54:00:00:00:01"}],
              "custom": [{"name": "k", "value": "v"}]},
      "stats": {"cpu_utilization": 150, "mhz_used": 3000, "memory_capacity": 512,
                "memory_used": 300, "disk_capacity": 1029, "disk_allocation": 10,
                "disk_physical": 11, "net_rx_bw": 1, "net_tx_bw": 2,
                "oplog": {"items": [{"op": "VmBoot", "ts": 1700000000000, "te": 1700000001000,
                                     "status": "completed", "msg": ""}]}}}


def test_get_vm(server):
    server.answer((200, VM))
    out = ok("get", "vm", UUID.upper(), server=server)
    assert server.requests[0].path == f"/vms/{UUID}"
    lines = [line.split() for line in out.splitlines()]
    for expected in (["state:", "paused"], ["memory:", "512", "MiB", "in", "hugepages"],
                     ["firmware:", "uefi"], ["custom:", "k=v"],
                     ["/vms/ds/a.qcow2", "1024", "MiB", "disk", "virtio-scsi", "managed", "thin"],
                     ["/vms/ds/b.iso", "5", "MiB", "cdrom", "scsi", "unmanaged", "none"],
                     ["br0", "bridge", "virtio", "52:54:00:00:00:01"],
                     ["VmBoot", "completed", "2023-11-14T22:13:20+0000",
                      "2023-11-14T22:13:21+0000", "-"]):
        assert expected in lines


@pytest.mark.parametrize("options,has,has_not", [
    (["-k"], "/vms/ds/a.qcow2", "web"),
    (["-n"], "br0", "/vms"),
    (["-K"], "disk capacity:   1029 MiB", "/vms"),
    (["-N"], "net received: 1 KiB/s", "br0"),
    (["-C"], "cpu used: 3000 MHz", "memory"),
    (["-M"], "memory used:     300 MiB", "cpu"),
    (["-CM"], "memory used:     300 MiB\n", "disk"),
    (["--stat-cpu", "-k"], "cpu use:  150% (100% is one cpu)\n", "net"),
])
def test_get_vm_parts(server, options, has, has_not):
    server.answer((200, VM))
    out = ok("get", "vm", UUID, *options, server=server)
    assert has in out and has_not not in out


def test_get_runstate(server):
    server.answer((200, {"runstate": 4, "host": HOST}))
    assert ok("get", "runstate", "vm", UUID, server=server) == f"state: running\nhost:  {HOST}\n"
    assert server.requests[0].path == f"/vms/{UUID}/runstate"


def test_get_host(server):
    resource = dict(total=1, used=2, free=3, usedos=4, reservedvms=5, usedvms=6, availablevms=7)
    server.answer((200, {"uuid": HOST, "def": {"name": "h1"}, "cstate": 1, "lockid": 5, "problems": [
        {"kind": "unregistered", "vm": UUID, "path": "/vms/xml/x", "detail": "not there"}],
        "resources": {"memory": resource, "hp": resource, "cpu": resource}}))
    out = ok("get", "host", HOST, server=server)
    assert "sanlock host id: 5\n" in out and "not there" in out and "unregistered" in out
    row = "memory 1 MiB 2 MiB 3 MiB 4 MiB 5 MiB 6 MiB 7 MiB".split()
    assert row in [line.split() for line in out.splitlines()]
    out = ok("get", "host", "-C", HOST, server=server)
    assert "cpu" in out and "memory" not in out and "h1" not in out
    out = ok("get", "host", HOST, "-M", server=server)
    assert "hugepages" in out and "MHz" not in out and "h1" not in out


def test_operations(server):
    operation = {"id": "op-1", "op": "VmBoot", "vm": UUID, "host": HOST, "user": "10.0.0.1",
                 "state": "started", "progress": -1, "ts": 1700000000000, "te": 0, "msg": ""}
    other = "11111111-9999-3333-4444-555555555555"
    hosts = {"items": [{"uuid": uuid, "fields": {"cstate": 1}} for uuid in (HOST, other)]}
    server.answer((200, {"items": [operation]}), (200, hosts), (200, {"items": []}),
                  (200, {**operation, "progress": 40}))
    assert ok("list", "operation", server=server).splitlines()[1].split() == [
        "op-1", "VmBoot", UUID, HOST, "started", "-", "2023-11-14T22:13:20+0000", "-", "10.0.0.1", "-"]
    assert "progress:  40%\n" in ok("get", "operation", "op/1 x", server=server)
    assert [r.path for r in server.requests] == ["/operations", "/hosts", f"/operations?host={other}",
                                                 "/operations/op%2F1%20x"]


def test_create(server, tmp_path):
    server.answer((201, UUID))
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(VM["def"]))
    assert ok("create", "vm", str(file), server=server) == UUID + "\n"
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/vms")
    assert request.json["host"] == ""
    assert request.json["vmdef"]["osdisk"]["size"] == 1024
    assert request.json["vmdef"]["nets"][0]["mac"] == "52:54:00:00:00:01"
    assert request.json["vmdef"]["numa"] == {"placement": False}
    out = ok("create", "vm", "-", "-h", HOST, "-o", "json", server=server,
             stdin=file.read_text())
    assert json.loads(out) == UUID
    assert server.requests[1].json["host"] == HOST


def test_create_from_yaml(server, tmp_path):
    server.answer((201, UUID))
    file = tmp_path / "vm.yaml"
    file.write_text("name: web\nmemory: {total: 4G}\nosdisk: {path: /vms/ds/a.qcow2, bus: virtio-scsi, size: 20 GiB}\n"
                    "nets:\n- {name: br0, nettype: bridge, model: e1000e}\n")
    assert ok("create", "vm", str(file), server=server) == UUID + "\n"
    sent = server.requests[0].json["vmdef"]
    assert (sent["memory"]["total"], sent["osdisk"]["bus"], sent["osdisk"]["size"]) == (4096, 1, 20480)
    assert sent["nets"] == [{"name": "br0", "nettype": 1, "model": 1, "mac": ""}]


def test_create_from_a_bad_file(server, tmp_path):
    assert "cannot open '/nonexistent': No such file" in fails(
        1, "create", "vm", "/nonexistent", server=server)
    file = tmp_path / "vm.json"
    file.write_text('{"memory": {"total": "x"}}')
    error = fails(2, "create", "vm", str(file), server=server)
    assert str(file) in error and "line 1: memory.total: 'x' is no size" in error and error.count("\n") == 1
    file.write_text("{")
    assert str(file) in fails(2, "create", "vm", str(file), server=server)
    file.write_text(" " * (1 << 20 | 1))
    assert "is larger than 1024 KiB" in fails(1, "create", "vm", str(file), server=server)
    assert server.requests == []


@pytest.mark.parametrize("definition,words", [
    ({**VM["def"], "vlanID": 7}, "the document: unknown key 'vlanID', did you mean 'vlanid'?"),
    ({**VM["def"], "nmae": "web"}, "the document: unknown key 'nmae', did you mean 'name'?"),
    ({**VM["def"], "disks": [{"path": "/vms/ds/b.raw", "Man": 1}]},
     "disks[0]: unknown key 'Man', did you mean 'man'?"),
    ({**VM["def"], "colour": 1}, "unknown key 'colour'; there are name, cpudef, memory, "),
    ({}, "the definition says nothing"),
    ({"$comment": "to be filled in"}, "the definition says nothing"),
    ({**VM, "def": {**VM["def"], "nmae": 1}}, "line 1: def: unknown key 'nmae', did you mean 'name'?"),
    ({"vmdef": VM["def"], "host": ""}, "has one under the key 'vmdef'"),
])
def test_what_is_no_definition_is_refused(server, tmp_path, definition, words):
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(definition))
    for args in (["create", "vm"], ["create", "vm", "-n"], ["update", "vm", UUID]):
        error = fails(2, *args, str(file), server=server)
        assert str(file) in error and words in error
    assert server.requests == []


def test_the_examples_are_definitions(server):
    server.answer((201, UUID))
    folder = os.path.join(ROOT, "schemas", "examples")
    for name in os.listdir(folder):
        assert ok("create", "vm", os.path.join(folder, name), server=server) == UUID + "\n"


def test_update(server, tmp_path):
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(VM["def"]))
    ok("update", "vm", UUID, str(file), server=server)
    ok("update", "vm", "-s", UUID, str(file), server=server)
    assert [(r.method, r.path, r.json["deletestorage"]) for r in server.requests] == [
        ("PUT", f"/vms/{UUID}", False), ("PUT", f"/vms/{UUID}", True)]
    assert server.requests[0].json["vmdef"]["name"] == "web"


def test_set(server):
    server.answer((200, VM), (204, b""), (200, VM))
    ok("set", "vm", UUID, "memory=8G", "custom.owner=ann", server=server)
    assert [r.method for r in server.requests] == ["GET", "PUT"]
    sent = server.requests[1].json["vmdef"]
    assert sent["memory"]["total"] == 8192 and {"name": "owner", "value": "ann"} in sent["custom"]
    assert (sent["name"], sent["osdisk"]["path"]) == (VM["def"]["name"], VM["def"]["osdisk"]["path"])
    assert "memroy: unknown field 'memroy', did you mean 'memory'?" in fails(
        2, "set", "vm", UUID, "memroy=8G", server=server)


def test_mutations(server):
    server.answer((202, b""), (204, b""))
    ok("shutdown", "vm", UUID, server=server)
    ok("shutdown", "vm", UUID, "-f", server=server)
    ok("shutdown", "vm", "-ff", UUID, server=server)
    ok("pause", "vm", UUID, server=server)
    ok("resume", "vm", UUID, server=server)
    ok("reset", "vm", UUID, server=server)
    ok("reboot", "vm", UUID, server=server)
    ok("delete", "vm", UUID, server=server)
    ok("delete", "vm", UUID, "--storage", server=server)
    ok("boot", "vm", UUID, server=server)
    assert [(r.method, r.path.removeprefix(f"/vms/{UUID}"), r.json) for r in server.requests] == [
        ("DELETE", "/runstate/boot", {"force": 0}),
        ("DELETE", "/runstate/boot", {"force": 1}),
        ("DELETE", "/runstate/boot", {"force": 2}),
        ("POST", "/runstate/pause", None),
        ("DELETE", "/runstate/pause", None),
        ("POST", "/runstate/reset", None),
        ("POST", "/runstate/reboot", None),
        ("DELETE", "", {"deletestorage": False}),
        ("DELETE", "", {"deletestorage": True}),
        ("POST", "/runstate/boot", {"cloud_init": []}),
    ]
    assert all("Content-Length" in r.headers for r in server.requests)


def test_boot_with_cloud_init(server, tmp_path):
    for name in "umc":
        (tmp_path / name).write_text(f"#{name} \u20ac\n")
    ok("boot", "vm", UUID, "-u", tmp_path / "u", "-m", tmp_path / "m", "-c", tmp_path / "c",
       server=server)
    assert server.requests[0].json["cloud_init"] == [
        {"name": "ci-userdata", "value": "#u \u20ac\n"},
        {"name": "ci-metadata", "value": "#m \u20ac\n"},
        {"name": "ci-networkconfig", "value": "#c \u20ac\n"}]
    assert "cannot open" in fails(1, "boot", "vm", UUID, "-u", "/nonexistent", server=server)
    (tmp_path / "u").write_text("x" * (256 * 1024 + 1))
    assert "256 KiB" in fails(1, "boot", "vm", UUID, "-u", tmp_path / "u", server=server)
    fails(2, "boot", "vm", UUID, "-m", tmp_path / "m", server=server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("content,words", [
    (gzip.compress(b"#cloud-config\n", mtime=0), "byte 1 (0x8b) is no UTF-8: the file is compressed, give it as text"),
    (b"#cloud\0config\n", "byte 6 (0x00) is a NUL\n"),
    (b"#caf\xe9\n", "byte 4 (0xe9) is no UTF-8\n"),
    (b"#caf\xc3", "byte 4 (0xc3) is no UTF-8\n"),
])
def test_cloud_init_that_would_not_arrive_as_it_is(server, tmp_path, content, words):
    (tmp_path / "f").write_bytes(content)
    for option in (["-u", tmp_path / "f"], ["-u", "/dev/null", "-m", tmp_path / "f"],
                   ["-c", tmp_path / "f"]):
        error = fails(1, "boot", "vm", UUID, *option, server=server)
        assert f"'{tmp_path}/f': {words}" in error
    assert server.requests == []


def test_put_off_work_is_waited_for(server, tmp_path):
    file = tmp_path / "vm.json"
    file.write_text('{"name": "web"}')
    operation = {"id": OPERATION, "state": "started", "vm": UUID}
    server.answer(LATER, (200, operation), (200, {**operation, "state": "completed"}))
    assert ok("create", "vm", str(file), server=server) == UUID + "\n"
    assert [r.path for r in server.requests] == ["/vms"] + 2 * [f"/operations/{OPERATION}"]
    server.answer(LATER, (200, {**operation, "state": "failed", "msg": "no space"}))
    assert fails(1, "boot", "vm", UUID, server=server) == (
        f"virtx: cannot boot vm '{UUID}': operation '{OPERATION}' failed: no space\n")
    server.answer(LATER, (200, operation))
    assert "goes on: not ended within 1 s" in fails(
        8, "boot", "vm", UUID, "--timeout", "1", server=server)
    # A graceful shutdown is up to the guest.
    server.answer(LATER, (500, b"asked"))
    ok("shutdown", "vm", UUID, server=server)


def on_terminal(*args, server, env=None, timeout=20):
    """Run it with stderr on a terminal: exit code, stdout, what the terminal got."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=slave, text=True,
        env={"PATH": os.environ["PATH"], "TZ": "UTC", "TERM": "xterm", **(env or {})})
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other side open any more
        while data := os.read(master, 65536):
            seen += data
    os.close(master)
    out = process.stdout.read()
    process.stdout.close()
    return process.wait(timeout), out, seen.decode()


def shown(seen):
    """What stays on the terminal, by lines."""
    return [re.split(r"\r(?!$)", line.rstrip("\r"))[-1].replace("\x1b[K", "")
            for line in seen.split("\n")]


def test_progress_on_a_terminal(server, tmp_path):
    file = tmp_path / "vm.json"
    file.write_text('{"name": "web"}')
    operation = {"id": OPERATION, "op": "VmCreate", "state": "started", "vm": UUID, "progress": -1}
    steps = [(200, {**operation, "progress": percent}) for percent in
             (-1, -1, -1, -1, 0, 50, 100, 1000)]
    end = (200, {**operation, "state": "completed", "progress": 100})
    server.answer(LATER, *steps, end)
    code, out, seen = on_terminal("create", "vm", str(file), server=server)
    assert (code, out) == (0, UUID + "\n")
    assert server.requests[0].headers["Prefer"] == "respond-async"
    assert all("Prefer" not in r.headers for r in server.requests[1:])
    assert f"VmCreate [>{39 * ' '}]   0%" in seen
    assert f"VmCreate [{20 * '='}>{19 * ' '}]  50%" in seen
    assert seen.count(f"VmCreate [{40 * '='}] 100%") == 2
    assert shown(seen) == [""]

    # An operation that ends at once is not drawn, and what is left undone is told.
    server.answer(LATER, (200, {**operation, "state": "completed", "msg": "left \x1b[2J"}))
    code, out, seen = on_terminal("delete", "vm", UUID, server=server)
    assert (code, seen) == (0, "virtx: warning: left ?[2J\r\n")

    # Without figures there is a time; a failure stands on a line of its own.
    server.answer(LATER, *5 * [(200, {**operation, "op": "Vm\x1bBoot"})],
                  (200, {**operation, "state": "failed", "msg": "no space"}))
    code, out, seen = on_terminal("boot", "vm", UUID, server=server)
    assert code == 1 and "\rVm?Boot 0 s\x1b[K" in seen
    assert shown(seen) == [
        f"virtx: cannot boot vm '{UUID}': operation '{OPERATION}' failed: no space", ""]


def test_no_progress(server):
    # A server that does not put work off, as the Go one.
    server.answer((204, b""))
    assert on_terminal("pause", "vm", UUID, server=server) == (0, "", "")
    assert server.requests[-1].headers["Prefer"] == "respond-async"
    server.answer((200, b"", {"Warning": '299 VirtX "left"'}))
    assert on_terminal("delete", "vm", UUID, server=server) == (
        0, "", "virtx: warning: left\r\n")
    # Nobody looks, the terminal cannot draw, the answer is the end, or there is none to wait for.
    server.answer((204, b""))
    ok("pause", "vm", UUID, server=server, env={"TERM": "xterm"})
    on_terminal("pause", "vm", UUID, server=server, env={"TERM": "dumb"})
    on_terminal("-D", "pause", "vm", UUID, server=server)
    on_terminal("shutdown", "vm", UUID, server=server)
    assert all("Prefer" not in r.headers for r in server.requests[2:])


def test_one_that_gets_on_is_not_given_up(server):
    operation = {"id": OPERATION, "op": "VmUpdate", "state": "started", "vm": UUID}
    steps = [(200, {**operation, "progress": percent}) for percent in range(12)]
    server.answer(LATER, *steps, (200, {**operation, "state": "completed"}))
    assert on_terminal("delete", "vm", UUID, "--timeout", "1", server=server)[0] == 0
    server.answer(LATER, *steps[:1])
    code, _, seen = on_terminal("delete", "vm", UUID, "--timeout", "1", server=server)
    assert code == 8 and "goes on: not ended within 1 s" in shown(seen)[-2]


def test_debug_shows_the_heads(server):
    result = virtx("-D", "pause", "vm", UUID, server=server)
    assert result.returncode == 0 and result.stdout == ""
    assert f"> POST /vms/{UUID}/runstate/pause\n" in result.stderr
    assert "> User-Agent: virtx/" in result.stderr
    assert "< HTTP 204 No Content\n" in result.stderr


def test_server_address(server):
    url = f"http://127.0.0.1:{server.server_port}/"
    server.answer((200, {"items": []}))
    ok("list", "vm", env={"VIRTX_API_SERVER": url})
    ok("list", "vm", "-A", f"localhost:{server.server_port}")
    # -A comes before the environment.
    ok("list", "vm", "-A", url, env={"VIRTX_API_SERVER": "127.0.0.1:1"})
    assert len(server.requests) == 3
    assert server.requests[0].headers["Host"] == f"127.0.0.1:{server.server_port}"


def test_localhost_is_ipv6_as_well():
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        except OSError:
            pytest.skip("no IPv6 here")
        port = listener.getsockname()[1]

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        threading.Thread(target=serve, daemon=True).start()
        ok("list", "vm", "-A", f"localhost:{port}")


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert fails(7, "list", "vm", "-A", f"127.0.0.1:{port}") == (
        f"virtx: cannot list vms: cannot connect to 127.0.0.1 port {port}: Connection refused\n")
    error = fails(7, "list", "vm", "-A", f"localhost:{port}")
    assert f"127.0.0.1 port {port}: Connection refused; cannot connect to ::1 port" in error
    assert "cannot resolve 'name.invalid'" in fails(7, "list", "vm", "-A", "name.invalid")


@pytest.mark.parametrize("args", [
    [], ["list"], ["get", "runstate"], ["nosuch"], ["list", "nosuch"],
    ["get", "vm"], ["get", "vm", UUID, "more"],
    ["list", "vm", "-s", "nosuch"], ["list", "vm", "-s", "10"], ["list", "vm", "-v", "4095"],
    ["list", "vm", "-V", "x"], ["list", "host", "-m", "-1"],
    ["list", "vm", "-x"], ["list", "vm", "--nosuch"], ["shutdown", "vm", UUID, "-fff"],
    ["list", "vm", "-o", "xml"], ["list", "vm", "--timeout", "0"], ["list", "vm", "-A", "a b"],
    ["list", "vm", "-A", "ftp://host"], ["update", "vm", UUID],
])
def test_usage_errors(server, args):
    error = fails(2, *args, server=server)
    assert error.startswith("virtx: ") and error.endswith("Try 'virtx --help' or "
                                                          "'virtx COMMAND --help'.\n")
    assert server.requests == []


def test_help_and_version():
    for args in (["--help"], ["-?"], ["-h"], ["list", "--help"]):
        out = ok(*args)
        assert "list vm" in out and "--api-server SERVER" in out
    assert "boot vm" not in ok("list", "--help")
    out = ok("boot", "vm", "--help")
    assert "Usage: virtx boot vm [OPTION]... VM" in out
    assert "--ci-userdata FILE" in out and "--timeout SECONDS" in out
    assert ok("--version").startswith("virtx ")
    assert ok("list", "vm", "--version") == ok("--version")


@pytest.mark.parametrize("args,words", [
    (["bot", "vm"], "unknown command 'bot'; did you mean 'boot'?"),
    (["boot", "web"], "unknown command 'boot web'; did you mean 'boot vm'?"),
    (["vm", "lsit"], "unknown command 'vm lsit'; did you mean 'vm list'?"),
    (["list", "vm", "--ouput", "json"], "option '--ouput' is not known here; did you mean '--output'?"),
    (["list", "vm", "-s", "runing"], "not 'runing'; did you mean 'running'?"),
])
def test_did_you_mean(server, args, words):
    assert words in fails(2, *args, server=server)
    assert server.requests == []


def test_words_that_people_type(server):
    server.answer((200, VM_LIST))
    outs = {ok(*line.split(), server=server) for line in ("list vm", "vm list", "ls vm", "vm ls", "ps")}
    assert len(outs) == 1
    assert ok("help", "boot", "vm") == ok("boot", "vm", "--help") == ok("vm", "boot", "--help")
    assert ok("help") == ok("--help")


def test_completion(server):
    server.answer((200, VM_LIST, {"Warning": '299 VirtX "left"'}))
    result = virtx("__complete", "get", "vm", "we", env={"VIRTX_API_SERVER": f"127.0.0.1:{server.server_port}"})
    assert (result.returncode, result.stdout) == (0, f"{UUID}\tweb\n")
    with raw_server(b"", hold=5) as silent:
        start = time.monotonic()
        result = virtx("__complete", "-A", f"127.0.0.1:{silent.server_port}", "get", "vm", "")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert time.monotonic() - start < 4 * PATIENCE


def test_explain(server):
    """What a field of a definition is, of which no server is asked; what is an example is taken."""
    nowhere = {"VIRTX_API_SERVER": "127.0.0.1:1"}
    assert "\nwords:    0 bios, 1 uefi\n" in virtx("explain", "vmdef.firmware", env=nowhere).stdout
    result = virtx("explain", "-o", "json", "disks.buss", env=nowhere)
    assert (result.returncode, result.stdout) == (2, "")
    assert json.loads(result.stderr)["detail"].endswith("did you mean 'vmdef.disks.bus'?")
    whole, *fields = json.loads(virtx("explain", "-o", "json", env=nowhere).stdout)["items"]
    assert whole["path"] == "vmdef" and len(fields) > 30
    server.answer((201, UUID))
    ok("create", "vm", "-", stdin=whole["example"], server=server)
    assert server.requests[0].json["vmdef"]["memory"]["total"] == 4096


def test_output_on_a_terminal(server):
    """It has its width, and colours unless NO_COLOR says otherwise; a closed pipe is quiet."""
    server.answer((200, VM_LIST))
    for columns, env, has, has_not in (
            (200, {}, "\x1b[32mrunning\x1b[0m", None), (80, {"NO_COLOR": "1"}, "running", "\x1b[3"),
            (80, {"TERM": "dumb"}, "running", "\x1b[3"), (60, {}, "STATE", "UPDATED")):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        process = subprocess.run(
            [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "list", "vm"], stdout=slave, timeout=60,
            env={"PATH": os.environ["PATH"], "TZ": "UTC", "TERM": "xterm", **env}, check=True)
        os.close(slave)
        out = os.read(master, 65536).decode()
        os.close(master)
        assert process.returncode == 0 and has in out
        assert has_not is None or has_not not in out
        lines = [re.sub("\x1b[^m]*m", "", line) for line in out.splitlines()]
        assert all(len(line) <= columns for line in lines)


def test_a_closed_pipe_is_quiet(server):
    many = {"items": [VM_LIST["items"][0]] * 3000}
    server.answer((200, many))
    for options in ([], ["-o", "json"]):
        process = subprocess.Popen(
            [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "list", "vm", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")
        process.stderr.close()


def test_output_error(server):
    server.answer((200, VM_LIST))
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run(
            [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "list", "vm"], stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "virtx: cannot write the output: No space left on device\n"


def test_closed_descriptors(server):
    """What is opened first does not get what is written to them: here a pipe, on which the outcome of each VM comes."""
    server.answer((204, b"", {"Warning": '299 VirtX "careful"'}))
    command = [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "boot", "vm", UUID, HOST]
    for closed, code, lines in ("<&- 2>&-", 0, [f"{UUID}: running", f"{HOST}: running"]), ("<&- >&- 2>&-", 1, []):
        result = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=60)
        assert (sorted(result.stdout.splitlines()), result.returncode, result.stderr) == (lines, code, "")
    assert len(server.requests) == 4
