#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that answers as no virtxd does, and clients that keep on asking; both run on a lab host.

usage: bad_peer.py serve ADDR PORT KIND
       bad_peer.py vms ADDR PORT HOST NUMBER [SIZE]    each VM is off, and the list goes on for as many; with a
                                                       name of so many bytes each has a page of its own
       bad_peer.py ask ADDR PORT METHOD PATH CLIENTS [BODY]    until it is killed
"""

import itertools
import json
import socket
import sys
import threading
from urllib.parse import parse_qs, urlsplit

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NEVER = json.dumps({"type": "about:blank", "title": "Conflict", "status": 409, "detail": "never"}).encode()

# What is said once to each request, and what follows over and over.
ANSWERS = {
    "good": (OK + b"Content-Length: 2\r\n\r\n{}", b""),
    "nuls": (OK + b"Content-Length: 60000\r\n\r\n" + bytes(60000), b""),
    "no_body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 60000\r\n\r\n", b""),
    "bad_status": (b"HTTP/1.1 -500 No\r\nContent-Length: 2\r\n\r\n{}", b""),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n" * 500),
    "headers": (OK, b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000),
    "chunk_line": (CHUNKED, b"0" * 65536),
    "blank_lines": (CHUNKED, b"\r\n" * 32768),
    "small_chunks": (CHUNKED, b"1\r\nx\r\n" * 10000),
    "large_chunk": (CHUNKED + b"f00000\r\n", b"x" * 65536),
    "trailers": (CHUNKED + b"0\r\n", b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000),
    "long": (OK + b"Content-Length: 16000000\r\n\r\n", b"x" * 65536),
    "too_long": (OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "two_lengths": (OK + b"Content-Length: 2\r\nContent-Length: 60000\r\n\r\n{}", b"x" * 65536),
    "poison": (OK + b"Content-Length: 2\r\n\r\n{}" + (OK + b"Content-Length: 6\r\n\r\nPOISON") * 1000, b""),
    "silent": (b"", b""),
    "refuses": (b"HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\n"
                b"X-VirtX-Refused: 0 0 1000000 1000000\r\nContent-Length: %d\r\n\r\n" % len(NEVER) + NEVER, b""),
}


def answer(sock, kind):
    """One connection: each request gets its answer."""
    said, poured = ANSWERS[kind]
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
            while b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                               if line.startswith(b"content-length:")), 0)
                while len(data) < length and (piece := sock.recv(65536)):
                    data += piece
                data = data[length:]
                sock.sendall(said)
                while poured:
                    sock.sendall(poured)
    except OSError:
        pass
    sock.close()


def serve(addr, port, kind, answered=answer):
    listener = socket.create_server((addr, int(port)), backlog=256)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=answered, args=(sock, kind), daemon=True).start()


def vms(addr, port, host, number, size=4):
    """A host that has so many VMs, which it lists in pages to who asks for them."""
    called = "many" if size == 4 else "n" * int(size)
    names = [f"00000000-0000-4000-8000-{i:012x}" for i in range(int(number))]
    fields = {"name": "many", "cstate": 1, "ts": 1}

    def listed(sock, _):
        with sock, sock.makefile("rb") as file:
            while line := file.readline():
                query = parse_qs(urlsplit(line.split()[1].decode()).query)
                while file.readline().strip():
                    pass
                after, limit = query.get("after", [""])[0], int(query.get("limit", [number])[0])
                limit = limit if size == 4 else 1
                first = names.index(after) + 1 if after else 0
                page = [{"uuid": name, "host": host, "name": called, "runstate": 2, "ts": 1}
                        for name in names[first:first + limit]]
                body = json.dumps({"host": host, "fields": fields, "digest": 7, "items": page, "next": page[-1]["uuid"]
                                   if first + limit < len(names) else ""}, separators=(",", ":")).encode()
                sock.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    serve(addr, port, None, listed)


def client(addr, port, request):
    """Asks again as soon as there is a reply; what that is does not matter."""
    for n in itertools.count():
        try:
            with socket.create_connection((addr, port), timeout=30) as sock:
                sock.sendall(request)
                # Some of them read slowly, or not at all.
                while n % 4 and sock.recv(65536):
                    pass
                if n % 4 == 0:
                    sock.recv(1)
        except OSError:
            pass


def ask(addr, port, method, path, clients, body=""):
    request = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()
    threads = [threading.Thread(target=client, args=(addr, int(port), request)) for _ in range(int(clients))]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    {"serve": serve, "vms": vms, "ask": ask}[sys.argv[1]](*sys.argv[2:])
