"""virtx against a stand-in for the server: what it sends, prints, and how it ends."""

import contextlib
import gzip
import http.server
import json
import os
import pty
import re
import socket
import subprocess
import threading
import time
import types

import pytest
from conftest import BUILD, ROOT
from lab import PATIENCE, wrapped

VIRTX = wrapped([os.path.join(BUILD, "virtx", "virtx")])
UUID = "11111111-2222-3333-4444-55555555555a"
HOST = "99999999-2222-3333-4444-555555555555"
OPERATION = "0be7a710-2222-3333-4444-555555555555"
LATER = (202, b"", {"Location": f"/operations/{OPERATION}"})


class StandIn(http.server.ThreadingHTTPServer):
    """Answers from a list of (status, body, headers), the last one again and again."""

    daemon_threads = True

    def __init__(self):
        self.requests = []
        self.answers = [(204, b"", {})]
        super().__init__(("127.0.0.1", 0), Handler)

    def answer(self, *answers):
        self.answers = [(status, body if isinstance(body, bytes) else json.dumps(body).encode(),
                         headers[0] if headers else {}) for status, body, *headers in answers]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(types.SimpleNamespace(
            method=self.command, path=self.path, headers=self.headers, body=body,
            json=json.loads(body) if body else None))
        answers = self.server.answers
        status, text, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, values in headers.items():
            for value in values if isinstance(values, list) else [values]:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def virtx(*args, server=None, env=None, stdin=""):
    """Run it; server by -A, so that nothing here reaches a server on this machine."""
    address = ["-A", f"127.0.0.1:{server.server_port}"] if server else []
    return subprocess.run(
        [*VIRTX, *address, *args], input=stdin, text=True, capture_output=True, timeout=60,
        env={"PATH": os.environ["PATH"], "TZ": "UTC", **(env or {})})


def ok(*args, **kwargs):
    result = virtx(*args, **kwargs)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def fails(code, *args, **kwargs):
    result = virtx(*args, **kwargs)
    assert result.returncode == code, result
    assert result.stdout == ""
    return result.stderr


def problem(status, detail, **extra):
    return (status, {"type": "about:blank", "title": "T", "status": status, "detail": detail,
                     **extra}, {"Content-Type": "application/problem+json"})


@contextlib.contextmanager
def raw_server(answer, hold=0):
    """A server that takes one connection and sends the bytes as they are."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            with contextlib.suppress(OSError):
                connection.sendall(answer)
                time.sleep(hold)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield types.SimpleNamespace(server_port=listener.getsockname()[1])
    thread.join(30)
    listener.close()


VM_LIST = {"items": [
    {"uuid": UUID, "fields": {"name": "web", "host": HOST, "runstate": 4, "vlanid": 12,
                              "custom": {"name": "", "value": ""}, "ts": 1700000000000},
     "reason": ""},
    {"uuid": HOST, "fields": {"name": "a\u001b[2Jb", "host": "", "runstate": 2, "vlanid": 0,
                              "custom": {"name": "", "value": ""}, "ts": 0}, "reason": ""}]}


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
    server.answer((200, {"items": [operation]}), (200, {**operation, "progress": 40}))
    assert ok("list", "operation", server=server).splitlines()[1].split() == [
        "op-1", "VmBoot", UUID, "started", "-", "2023-11-14T22:13:20+0000", "-", "10.0.0.1", "-"]
    assert "progress:  40%\n" in ok("get", "operation", "op/1 x", server=server)
    assert server.requests[1].path == "/operations/op%2F1%20x"


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


def test_create_from_a_bad_file(server, tmp_path):
    assert "cannot open '/nonexistent': No such file" in fails(
        1, "create", "vm", "/nonexistent", server=server)
    file = tmp_path / "vm.json"
    file.write_text('{"memory": {"total": "x"}}')
    error = fails(1, "create", "vm", str(file), server=server)
    assert str(file) in error and "memory.total" in error
    file.write_text("{")
    assert str(file) in fails(1, "create", "vm", str(file), server=server)
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
    (VM, "has one under the key 'def': take that alone (jq .def)"),
    ({"vmdef": VM["def"], "host": ""}, "has one under the key 'vmdef'"),
])
def test_what_is_no_definition_is_refused(server, tmp_path, definition, words):
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(definition))
    for args in (["create", "vm"], ["create", "vm", "-n"], ["update", "vm", UUID]):
        error = fails(1, *args, str(file), server=server)
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


def test_mutations(server):
    server.answer((202, b""), (204, b""))
    ok("shutdown", "vm", UUID, server=server)
    ok("shutdown", "vm", UUID, "-f", server=server)
    ok("shutdown", "vm", "-ff", UUID, server=server)
    ok("pause", "vm", UUID, server=server)
    ok("resume", "vm", UUID, server=server)
    ok("delete", "vm", UUID, server=server)
    ok("delete", "vm", UUID, "--storage", server=server)
    ok("boot", "vm", UUID, server=server)
    assert [(r.method, r.path.removeprefix(f"/vms/{UUID}"), r.json) for r in server.requests] == [
        ("DELETE", "/runstate/boot", {"force": 0}),
        ("DELETE", "/runstate/boot", {"force": 1}),
        ("DELETE", "/runstate/boot", {"force": 2}),
        ("POST", "/runstate/pause", None),
        ("DELETE", "/runstate/pause", None),
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
    (gzip.compress(b"#cloud-config\n"), "byte 1 (0x8b) is no UTF-8: the file is compressed, give it as text"),
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


def test_problem(server):
    server.answer(problem(409, "VM is busy", operation="op-7", vm=UUID))
    assert fails(1, "boot", "vm", UUID, server=server) == (
        f"virtx: cannot boot vm '{UUID}': 409: VM is busy; operation 'op-7'\n")
    server.answer(problem(424, "libvirt: \u001b]0;x\u0007bad"))
    assert fails(1, "get", "vm", UUID, server=server) == (
        f"virtx: cannot get vm '{UUID}': 424: libvirt: ?]0;x?bad\n")


HTML = (200, b"<html>Log in</html>", {"Content-Type": "text/html; charset=utf-8"})


@pytest.mark.parametrize("args", [
    ["list", "vm"], ["list", "host"], ["list", "operation"], ["get", "vm", UUID],
    ["get", "host", HOST], ["get", "runstate", "vm", UUID], ["get", "operation", "op-1"],
    ["get", "migrate", "vm", UUID], ["get", "maintain", "host", HOST], ["boot", "vm", UUID],
    ["shutdown", "vm", UUID], ["pause", "vm", UUID], ["resume", "vm", UUID], ["delete", "vm", UUID],
    ["migrate", "vm", UUID], ["migrate", "vm", UUID, "-n"], ["abort", "migrate", "vm", UUID],
    ["register", "vm", UUID], ["repair"], ["maintain", "host", HOST], ["maintain", "host", HOST, "-n"],
    ["maintain", "host", HOST, "-e"], ["create", "vm", "FILE"], ["update", "vm", UUID, "FILE"], ["watch"],
])
def test_an_answer_of_another_type_is_no_success(server, tmp_path, args):
    (tmp_path / "vm.json").write_text('{"name": "web"}')
    server.answer(HTML)
    error = fails(1, *[tmp_path / "vm.json" if arg == "FILE" else arg for arg in args], server=server)
    assert "status 200 with 19 bytes of 'text/html; charset=utf-8' instead of '" in error


def test_an_empty_answer_is_no_list(server):
    server.answer((200, b""))
    for args in (["list", "vm"], ["get", "vm", UUID], ["get", "runstate", "vm", UUID],
                 ["migrate", "vm", UUID, "-n"], ["maintain", "host", HOST, "-n"]):
        assert "the server's answer is empty (status 200)" in fails(1, *args, server=server)


READ = [["list", "vm"], ["list", "host"], ["list", "operation"], ["get", "vm", UUID], ["get", "host", HOST],
        ["get", "runstate", "vm", UUID], ["get", "operation", OPERATION], ["get", "migrate", "vm", UUID],
        ["get", "maintain", "host", HOST], ["repair"], ["repair", "-h", HOST], ["storage", "init"],
        ["migrate", "vm", UUID, "-n"], ["create", "vm", "FILE", "-n"], ["maintain", "host", HOST, "-n"], ["watch"]]
DONE = [["boot", "vm", UUID], ["pause", "vm", UUID], ["resume", "vm", UUID], ["delete", "vm", UUID],
        ["update", "vm", UUID, "FILE"], ["abort", "migrate", "vm", UUID], ["shutdown", "vm", UUID, "-f"],
        ["shutdown", "vm", UUID, "-ff"], ["maintain", "host", HOST, "-e"], ["forget", "host", HOST]]
PUT_OFF = [["shutdown", "vm", UUID], ["migrate", "vm", UUID], ["maintain", "host", HOST]]
NEITHER = [["create", "vm", "FILE"], ["register", "vm", UUID]]


def other_statuses():
    """What a proxy may answer, with each command that has not done it then."""
    for commands, answers in (
            (READ, [(201, {}), (202, {}), LATER, (204, b""), (206, {})]),
            (DONE, [(200, b""), (200, {}), (201, {}), (202, b""), (202, {}), (205, b""), (206, {})]),
            (PUT_OFF, [(200, b""), (200, {}), (201, {}), (205, b"")]),
            (NEITHER, [(202, b""), (202, {}), (203, {}), (206, {})]),
            (NEITHER[:1], [(200, {}), (204, b"")])):
        for args in commands:
            for answer in answers:
                yield pytest.param(args, answer, id=f"{'-'.join(args)}-{answer[0]}-{len(answer[1])}")


@pytest.mark.parametrize("args,answer", list(other_statuses()))
def test_an_answer_of_another_status_is_no_success(server, tmp_path, args, answer):
    (tmp_path / "vm.json").write_text('{"name": "web"}')
    healthy = [(200, b"ok\n", {"Content-Type": "text/plain"})] if "-n" in args and "host" not in args else []
    server.answer(*healthy, answer)
    error = fails(1, *[tmp_path / "vm.json" if arg == "FILE" else arg for arg in args], server=server)
    assert f"the answer is no success of virtxd: status {answer[0]} with " in error


@pytest.mark.parametrize("args,answer", [
    (["shutdown", "vm", UUID], (204, b"")),
    (["register", "vm", UUID], (200, b"")),
    (["register", "vm", UUID], (201, b"")),
    (["register", "vm", UUID], (204, b"")),
    (["migrate", "vm", UUID], (202, b"")),
    (["migrate", "vm", UUID], LATER),
    (["maintain", "host", HOST, "-e"], LATER),
])
def test_each_status_of_a_success(server, args, answer):
    """Ours, and that of a Go virtx, which names no operation."""
    server.answer(answer)
    ok(*args, server=server)


def test_what_cannot_be_waited_for_is_told(server):
    server.answer((202, b""))
    result = virtx("migrate", "vm", UUID, "-w", server=server)
    assert result.returncode == 0
    assert result.stderr == (
        "virtx: warning: the server names no operation, so that its end is not waited for\n")


@pytest.mark.parametrize("args", [["delete", "vm", UUID], ["shutdown", "vm", UUID], ["shutdown", "vm", "-f", UUID],
                                  ["forget", "host", HOST], ["boot", "vm", UUID]])
def test_a_warning_is_a_success(server, args):
    server.answer((200, b"", {"Warning": '299 VirtX "left"'}))
    result = virtx(*args, server=server)
    assert (result.returncode, result.stderr) == (0, "virtx: warning: left\n")


@pytest.mark.parametrize("location", [
    "/operations/../../vms", f"/vms/{UUID}/operations/{OPERATION}", f"/operations/{OPERATION}/", "/operations/",
    f"/operations/{OPERATION}?x", "/operations/..", f"http://example.com/operations/{OPERATION}", "", "/operations/op-1",
])
def test_a_location_that_is_no_operation_is_not_followed(server, location):
    server.answer((202, b"", {"Location": location}), (200, {"id": "x", "state": "completed"}))
    for args in (["boot", "vm", UUID], ["migrate", "vm", UUID]):
        error = fails(1, *args, server=server)
        assert f"its Location is '{location}' instead of '/operations/UUID'" in error
        server.answer((202, b"", {"Location": location}), (200, {"id": "x", "state": "completed"}))
    assert {request.path for request in server.requests} == {
        f"/vms/{UUID}/runstate/boot", f"/vms/{UUID}/runstate/migrate"}


def test_what_a_terminal_must_not_have(server):
    server.answer((200, {"items": [{"uuid": UUID, "fields": {"name": "a\u009b2Jb\u202ec\u200b\U000e0041"}}]}))
    assert "a?2Jb?c??" in ok("list", "vm", server=server)
    out = ok("list", "vm", "-o", "json", server=server)
    assert out.isascii()
    assert json.loads(out)["items"][0]["fields"]["name"] == "a\u009b2Jb\u202ec\u200b\U000e0041"
    server.answer(problem(404, "no \u202evm"))
    assert "404: no ?vm\n" in fails(1, "get", "vm", UUID, server=server)


def test_text_error_of_the_go_server(server):
    server.answer((404, b"unknown uuid\n", {"Content-Type": "text/plain"}))
    assert fails(1, "pause", "vm", UUID, server=server) == (
        f"virtx: cannot pause vm '{UUID}': 404: unknown uuid\n")
    server.answer((405, b""))
    assert fails(1, "resume", "vm", UUID, server=server) == (
        f"virtx: cannot resume vm '{UUID}': 405: Method Not Allowed\n")


def test_warnings(server):
    server.answer((200, b"", {"Warning": ['299 VirtX "cannot delete \\"a\\""', "odd"]}))
    result = virtx("delete", "vm", "-s", UUID, server=server)
    assert result.returncode == 0
    assert result.stderr == 'virtx: warning: cannot delete "a"\nvirtx: warning: odd\n'


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
        1, "boot", "vm", UUID, "--timeout", "1", server=server)
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
    assert code == 1 and "goes on: not ended within 1 s" in shown(seen)[-2]


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
    assert fails(1, "list", "vm", "-A", f"127.0.0.1:{port}") == (
        f"virtx: cannot list vms: cannot connect to 127.0.0.1 port {port}: Connection refused\n")
    error = fails(1, "list", "vm", "-A", f"localhost:{port}")
    assert f"127.0.0.1 port {port}: Connection refused; cannot connect to ::1 port" in error
    assert "cannot resolve 'name.invalid'" in fails(1, "list", "vm", "-A", "name.invalid")


@pytest.mark.parametrize("answer,words", [
    (b"", "closed the connection before its answer was whole"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nab", "closed the connection"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "too long or not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n", "the answer is too long"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000, "too long"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1,2", "the server's answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"items\": [{}, 1]", "the server's answer"),
])
def test_broken_answers(answer, words):
    with raw_server(answer) as server:
        assert words in fails(1, "list", "vm", server=server)


def test_deadline():
    with raw_server(b"HTTP/1.1 200 OK\r\n", hold=2) as server:
        start = time.monotonic()
        assert "no answer within 1 s" in fails(1, "list", "vm", "--timeout", "1", server=server)
        assert time.monotonic() - start < 1.8 * PATIENCE


@pytest.mark.parametrize("args", [
    [], ["list"], ["get", "runstate"], ["nosuch"], ["list", "nosuch"],
    ["get", "vm"], ["get", "vm", "x"], ["get", "vm", UUID, "more"], ["boot", "vm", "web"],
    ["list", "vm", "-s", "nosuch"], ["list", "vm", "-s", "10"], ["list", "vm", "-v", "4095"],
    ["list", "vm", "-h", "web"], ["list", "vm", "-V", "x"], ["list", "host", "-m", "-1"],
    ["list", "vm", "-x"], ["list", "vm", "--nosuch"], ["shutdown", "vm", UUID, "-fff"],
    ["list", "vm", "-o", "xml"], ["list", "vm", "--timeout", "0"], ["list", "vm", "-A", "a b"],
    ["list", "vm", "-A", "https://host"], ["update", "vm", UUID], ["create", "vm", "-", "-h", "x"],
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
    assert "Usage: virtx boot vm [OPTION]... UUID" in out
    assert "--ci-userdata FILE" in out and "--timeout SECONDS" in out
    assert ok("--version").startswith("virtx ")
    assert ok("list", "vm", "--version") == ok("--version")


def test_output_error(server):
    server.answer((200, VM_LIST))
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run(
            [*VIRTX, "-A", f"127.0.0.1:{server.server_port}", "list", "vm"], stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "virtx: cannot write the output: No space left on device\n"
