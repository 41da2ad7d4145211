# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that others reach by TLS alone, and by the UNIX socket."""

import re
import signal
import time

import conftest
import pytest
from conftest import BUILD, PREFIX, vm_told, wait_joined, wait_ready
from lab import PATIENCE, Lab, wait_for
from lab.tls import TLS_PORT, Authority, settings
from lab.util import write

SOCKET = "/run/virtx/virtxd.sock"
END = "virtx_tls_certificate_end_timestamp_seconds"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def lab(authority):
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}tls") as lab:
        for host in lab.hosts:
            authority.equip(host)
            host.configure(settings(host, log_level="debug"))
            host.restart("virtxd")
        wait_joined(lab)
        yield lab


@pytest.fixture
def hosts(lab):
    return lab.hosts


def reload(host):
    """The host reads its files again, and says whether it took them."""
    before = len(host.log("virtxd"))
    host.signal("virtxd", signal.SIGHUP)
    said = {"certificate and CA read again": True, "the certificate stays as it is: ": False}
    found = []

    def told():
        found[:] = [taken for text, taken in said.items() if text in host.log("virtxd")[before:]]
        return found
    wait_for("the files to be read", told, 10)
    return found[0]


def figure(host, name):
    return float(re.search(rf"^{name} (.*)$", host.api("GET", "/metrics").text, re.M)[1])


def s_client(host, to, *args, text="", check=True):
    """What openssl says of a connection from one host to another."""
    done = host.run(["openssl", "s_client", "-connect", f"{to.addr}:{TLS_PORT}", "-CAfile", "/etc/virtx/ca.pem",
                     "-verify_return_error", *args], input=text, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ask(host, to):
    """One host has another say something: the answer."""
    return host.api("POST", f"/hosts/{to.uuid}/repair", {}, timeout=120)


def wait_refused(host, to, words):
    wait_for(f"'{words}'", lambda: words in ask(host, to).text, 30)
    assert ask(host, to).status == 502


def test_resumption(hosts):
    h1, h2 = hosts
    request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        assert "New, TLS" in s_client(h2, h1, version, "-ign_eof", "-sess_out", "/run/session", text=request)
        assert "Reused, TLS" in s_client(h2, h1, version, "-ign_eof", "-sess_in", "/run/session", text=request)


def test_exposed(hosts):
    """What is open to everyone is said aloud, and the host is ready all the same."""
    h1, _ = hosts
    words = f"127.0.0.1:8080 is open, 127.0.0.1:{TLS_PORT} is open, {h1.addr}:{TLS_PORT} is open: " \
        "whoever gets there controls the VMs"
    answer = h1.api("GET", "/readyz")
    assert answer.status == 200 and answer.json()["exposed"] == words and answer.json()["certificate"] == \
        "the certificate ends in 29 days"
    assert words in h1.log("virtxd")
    assert figure(h1, 'virtx_http_listeners_exposed{how="plain"}') == 0
    assert figure(h1, 'virtx_http_listeners_exposed{how="open"}') == 3


def test_forwarding(hosts):
    h1, h2 = hosts
    uuid = conftest.create(h1, conftest.vmdef("overtls"))
    wait_for("h2 to know it", lambda: h2.api("GET", f"/vms/{uuid}").status == 200, 30)
    assert vm_told(h2, uuid)["def"]["name"] == "overtls"
    # A list of many pages, and what another host changes.
    assert ask(h2, h1).status == ask(h1, h2).status == 200
    answer = h2.api("DELETE", f"/vms/{uuid}", {"deletestorage": True})
    assert answer.status in (200, 204), answer.text
    assert h1.api("GET", f"/vms/{uuid}").status == 404
    assert figure(h2, "virtx_peer_failures_total") == 0


def test_events(hosts):
    """What a host does is told by the other."""
    h1, h2 = hosts
    stream = h2.connect(timeout=60)
    stream.sendall(b"GET /events?type=operation HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_for("h2 to read of h1", lambda: figure(h1, "virtx_event_streams") == 1, 30)
    uuid = conftest.create(h1, conftest.vmdef("told"))
    text = ""
    while f'"vm":"{uuid}"' not in text:
        got = stream.recv(65536)
        assert got, text
        text += got.decode()
    assert h1.uuid in text
    stream.close()
    conftest.delete(h1, uuid)


def test_another_host(hosts, authority):
    """A certificate of the cluster that is for another host is refused, by who asks for this one."""
    h1, h2 = hosts
    authority.equip(h1, f"URI:virtx:host:{h2.uuid}")
    try:
        assert reload(h1)
        wait_refused(h2, h1, f"its certificate is for another host, '{h2.uuid}'")
        wait_for("its own word", lambda: "not for this one" in h1.api("GET", "/readyz").json()["certificate"], 5)
        authority.equip(h1, f"IP:{h1.addr}")
        assert reload(h1)
        wait_refused(h2, h1, "no SAN virtx:host:UUID")
    finally:
        authority.equip(h1)
        assert reload(h1)
    assert ask(h2, h1).status == 200


def test_another_authority(hosts, authority, tmp_path):
    h1, h2 = hosts
    Authority(tmp_path, "other").equip(h1)
    try:
        assert reload(h1)
        wait_refused(h2, h1, "its certificate is refused: ")
        # And nobody of the cluster is believed by that one.
        wait_refused(h1, h2, "its certificate is refused: ")
    finally:
        authority.equip(h1)
        assert reload(h1)
    assert ask(h2, h1).status == ask(h1, h2).status == 200


def test_ended(hosts, authority):
    """One that has ended does not replace a good one; a host that starts with it is refused, and says why."""
    h1, h2 = hosts
    before = figure(h1, END)
    authority.equip(h1, days=-1)
    try:
        assert not reload(h1)
        assert figure(h1, END) == before and ask(h2, h1).status == 200
        h1.restart("virtxd")
        wait_refused(h2, h1, "its certificate is refused: certificate has expired")
        assert "has ended 1 days ago" in h1.api("GET", "/readyz").json()["certificate"]
        assert figure(h1, END) < time.time()
    finally:
        authority.equip(h1)
        assert reload(h1)
    wait_ready(h1)
    wait_for("h2 to be answered", lambda: ask(h2, h1).status == 200, 30)


def test_files_change(hosts, authority):
    """Nobody has to say that there is a new one; what is no certificate is left alone; connections go on."""
    h1, h2 = hosts
    before = figure(h1, END)
    kept = h1.connect(timeout=60)
    authority.equip(h1, days=60)
    wait_for("the new one", lambda: figure(h1, END) > before, 40)
    assert h1.api("GET", "/readyz").json()["certificate"] == ""
    write(f"{h1.state}/etc-virtx/host.pem", "no certificate\n")
    try:
        assert not reload(h1)
    finally:
        authority.equip(h1)
        assert reload(h1)
    assert ask(h2, h1).status == 200
    kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert kept.recv(100).startswith(b"HTTP/1.1 200")
    kept.close()


HALF_OPEN = """
import socket, sys
held = []
for i in range(300):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    if i % 2:
        s.sendall(bytes.fromhex("160301"))
    held.append(s)
print("open", flush=True)
for s in held:
    s.settimeout(60)
    try:
        while s.recv(1000):
            pass
    except ConnectionError:
        pass
print("closed", flush=True)
"""


def test_half_open(hosts):
    """Who begins 300 handshakes and ends none harms nobody else, and is let go."""
    h1, h2 = hosts
    before = figure(h1, "virtx_tls_handshakes_failed_total")
    crowd = h2.popen(["python3", "-c", HALF_OPEN, h1.addr, str(TLS_PORT)], stdout=-1, text=True)
    try:
        assert crowd.stdout.readline() == "open\n"
        for _ in range(3):
            began = time.monotonic()
            assert h2.virtx("-A", f"https://{h1.addr}:{TLS_PORT}", "list", "host").returncode == 0
            assert time.monotonic() - began < 5 * PATIENCE
        assert h2.api("GET", "/readyz").status == 200
        assert crowd.stdout.readline() == "closed\n"
    finally:
        crowd.kill()
        crowd.wait()
    assert figure(h1, "virtx_tls_handshakes_failed_total") >= before + 300


def test_command_line(hosts, tmp_path):
    h1, h2 = hosts
    server = f"https://{h1.addr}:{TLS_PORT}"
    done = h2.virtx("-A", server, "list", "host")
    assert done.returncode == 0 and h1.uuid in done.stdout, done.stderr
    # By an address that is not in the certificate, but it is a host's.
    assert h1.virtx("-A", f"https://127.0.0.1:{TLS_PORT}", "list", "host").returncode == 0
    Authority(tmp_path, "other")
    h2.run(["tee", "/run/other.pem"], input=(tmp_path / "other.pem").read_text())
    for args, env in ((("--ca-file", "/run/other.pem"), {}), ((), {"VIRTX_CA_FILE": "/run/other.pem"})):
        done = h2.virtx("-A", server, *args, "list", "host", env=env)
        assert done.returncode in (1, 7) and "its certificate is refused: " in done.stderr, done.stderr
    done = h2.virtx("-A", server, "--ca-file", "/run/none.pem", "list", "host")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "cannot use the CA's certificates of '/run/none.pem'" in done.stderr
    done = h2.virtx("-A", f"https://{h1.addr}:8080", "list", "host")
    assert done.returncode in (1, 7) and "cannot connect" in done.stderr
    done = h1.virtx("-A", "https://127.0.0.1:8080", "list", "host")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "TLS: " in done.stderr, done.stderr
    # A plain request at a port for TLS is no request.
    assert h1.virtx("-A", f"127.0.0.1:{TLS_PORT}", "list", "host").returncode in (1, 3, 4, 5, 6, 7)


def test_watch(hosts):
    """A stream that lasts, by https."""
    h1, h2 = hosts
    watch = h2.popen([f"{BUILD}/virtx/virtx", "-A", f"https://{h1.addr}:{TLS_PORT}", "watch"], stdout=-1, text=True)
    try:
        wait_for("the reader", lambda: figure(h1, "virtx_event_streams") >= 1, 30)
        uuid = conftest.create(h1, conftest.vmdef("watched"))
        assert any(uuid in line for line in iter(watch.stdout.readline, ""))
        conftest.delete(h1, uuid)
    finally:
        watch.kill()
        watch.wait()


CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
if len(sys.argv) > 2:
    s.bind(sys.argv[2])
s.connect(sys.argv[1])
s.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
print(s.recv(1000).decode().split()[1])
"""


def test_socket(hosts):
    """It is there whatever else is, is what virtx asks, and is for root and the group."""
    h1, _ = hosts
    pid = h1.pid("virtxd")
    before = len(h1.log("virtxd"))
    assert h1.virtx("list", "host").returncode == 0
    wait_for("the request", lambda: "for uid:0 (unix)" in h1.log("virtxd")[before:], 5)
    assert h1.virtx("-A", f"unix:{SOCKET}", "list", "vm", "-o", "json").stdout.startswith("{")
    assert h1.run(["stat", "-c", "%a %U", SOCKET]).stdout == "660 root\n"
    connect = ["python3", "-c", CONNECT, SOCKET]
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    assert h1.run(connect).stdout == "200\n"
    assert "PermissionError" in h1.run([*nobody, *connect], check=False).stderr
    # Whatever a client calls its own end.
    for length in (10, 26, 40, 100):
        assert h1.run([*connect, "/run/" + "x" * length]).stdout == "200\n"
    assert h1.pid("virtxd") == pid


def test_socket_is_taken(hosts):
    """A second virtxd does not take it away from the first; one that was killed leaves it to the next."""
    h1, _ = hosts
    h1.run(["sh", "-c", "printf '[http]\\nlisten = 127.0.0.1:9999\\n' > /run/second.conf"])
    done = h1.run([f"{BUILD}/virtxd/virtxd", "-c", "/run/second.conf"], check=False)
    assert done.returncode != 0 and f"'{SOCKET}': another virtxd serves there" in done.stderr
    assert h1.virtx("-A", f"unix:{SOCKET}", "list", "host").returncode == 0
    h1.kill("virtxd")
    assert h1.run(["stat", "-c", "%F", SOCKET]).stdout == "socket\n"
    h1.start("virtxd")
    wait_ready(h1)
    assert h1.virtx("-A", f"unix:{SOCKET}", "list", "host").returncode == 0
