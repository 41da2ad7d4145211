# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for the server, and virtx run against it."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import types

import pytest
from conftest import BUILD
from lab import wrapped

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
