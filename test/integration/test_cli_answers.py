# SPDX-License-Identifier: GPL-2.0-or-later
"""What virtx makes of answers that are errors, of another kind than expected, or broken."""

import json
import time

import pytest
from cli import HOST, LATER, OPERATION, UUID, fails, ok, problem, raw_server, server, virtx  # noqa: F401
from lab import PATIENCE


def test_problem(server):
    server.answer(problem(409, "VM is busy", operation="op-7", vm=UUID))
    assert fails(4, "boot", "vm", UUID, server=server) == (
        f"virtx: cannot boot vm '{UUID}': 409: VM is busy; operation 'op-7'\n")
    server.answer(problem(424, "libvirt: \u001b]0;x\u0007bad"))
    assert fails(1, "get", "vm", UUID, server=server) == (
        f"virtx: cannot get vm '{UUID}': 424: libvirt: ?]0;x?bad\n")


HTML = (200, b"<html>Log in</html>", {"Content-Type": "text/html; charset=utf-8"})


@pytest.mark.parametrize("args", [
    ["list", "vm"], ["list", "host"], ["list", "operation"], ["get", "vm", UUID],
    ["get", "host", HOST], ["get", "runstate", "vm", UUID], ["get", "operation", "op-1"],
    ["get", "migrate", "vm", UUID], ["get", "maintain", "host", HOST], ["boot", "vm", UUID],
    ["shutdown", "vm", UUID], ["pause", "vm", UUID], ["resume", "vm", UUID], ["reset", "vm", UUID], ["reboot", "vm", UUID],
    ["delete", "vm", UUID], ["migrate", "vm", UUID], ["migrate", "vm", UUID, "-n"], ["abort", "migrate", "vm", UUID],
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
DONE = [["boot", "vm", UUID], ["pause", "vm", UUID], ["resume", "vm", UUID], ["reset", "vm", UUID],
        ["reboot", "vm", UUID], ["delete", "vm", UUID], ["update", "vm", UUID, "FILE"], ["abort", "migrate", "vm", UUID], ["shutdown", "vm", UUID, "-f"],
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
    assert "404: no ?vm\n" in fails(3, "get", "vm", UUID, server=server)


def test_an_error_as_json(server):
    server.answer(problem(409, "VM is busy", operation=OPERATION, vm=UUID))
    error = fails(4, "boot", "vm", UUID, "-o", "json", server=server)
    assert json.loads(error) == {
        "code": 4, "status": 409, "vm": UUID, "operation": OPERATION,
        "detail": f"cannot boot vm '{UUID}': 409: VM is busy; operation '{OPERATION}'"}
    assert json.loads(fails(2, "list", "vm", "-o", "json", "--nosuch", server=server))["code"] == 2


def test_text_error_of_the_go_server(server):
    server.answer((404, b"unknown uuid\n", {"Content-Type": "text/plain"}))
    assert fails(3, "pause", "vm", UUID, server=server) == (
        f"virtx: cannot pause vm '{UUID}': 404: unknown uuid\n")
    server.answer((405, b""))
    assert fails(1, "resume", "vm", UUID, server=server) == (
        f"virtx: cannot resume vm '{UUID}': 405: Method Not Allowed\n")


def test_warnings(server):
    server.answer((200, b"", {"Warning": ['299 VirtX "cannot delete \\"a\\""', "odd"]}))
    result = virtx("delete", "vm", "-s", UUID, server=server)
    assert result.returncode == 0
    assert result.stderr == 'virtx: warning: cannot delete "a"\nvirtx: warning: odd\n'


@pytest.mark.parametrize("answer,words", [
    (b"", "closed the connection before its answer was whole"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nab", "closed the connection"),
    (b"SSH-2.0-OpenSSH\r\n\r\n", "too long or not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n", "the answer is too long"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000, "too long"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "sends what is no answer (HTTP 1xx)"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 100000, "the answer is too long"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1,2", "the server's answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"items\": [{}, 1]", "the server's answer"),
], ids=lambda value: value if isinstance(value, str) else value[:60].decode())
def test_broken_answers(answer, words):
    with raw_server(answer) as server:
        assert words in fails(1, "list", "vm", server=server)


def test_deadline():
    with raw_server(b"HTTP/1.1 200 OK\r\n", hold=2) as server:
        start = time.monotonic()
        assert "no answer within 1 s" in fails(7, "list", "vm", "--timeout", "1", server=server)
        assert time.monotonic() - start < 1.8 * PATIENCE
