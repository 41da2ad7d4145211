# SPDX-License-Identifier: GPL-2.0-or-later
"""What a listener takes of TLS and what it refuses, whoever wants it: by openssl s_client, and by bytes where that wants
nothing of the kind."""

import re
import shlex
import socket

import pytest
from conftest import BUILD, PREFIX, wait_joined
from lab import Lab
from lab.tls import Authority, settings

SOCKET = "/run/virtx/virtxd.sock"
# Where each kind of listener is; those for TLS first.
LISTENERS = {"tls auth": 8443, "tls open": 8444}
PLAIN = {"open": 8080, "plain auth": 8081}

ANY = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"  # whatever the client has, however weak
GOOD_12 = {f"ECDHE-{{}}-{rest}" for rest in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}
GOOD_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
OTHERS_13 = {"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}
GOOD_GROUPS = {"P-256", "X25519"}

# Of the client's arguments: what it gets, a version or an alert.
TABLE = {
    "-tls1": "alert protocol version", "-tls1_1": "alert protocol version", "-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3",
    # Who falls back from something better that both have was made to.
    "-tls1_2 -fallback_scsv": "alert inappropriate fallback",
    "-tls1_2 -legacy_renegotiation": "TLSv1.2",
    "-tls1_2 -sigalgs ECDSA+SHA1:RSA+SHA1": "alert handshake failure",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module", params=["ECDSA", "RSA"])
def host(authority, request):
    """One with a listener of each kind, whose certificate has a key of that kind: a site's own may be RSA."""
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}tab") as lab:
        host = lab.hosts[0]
        authority.equip(host, rsa=request.param == "RSA")
        config = settings(host)
        config["http"]["listen"] = [f"127.0.0.1:{port} {words}" for words, port in {**LISTENERS, **PLAIN}.items()]
        host.configure(config)
        host.restart("virtxd")
        wait_joined(lab)
        host.key = request.param
        yield host


def ask_all(host, port, rows):
    """What openssl says of each of {name: arguments}, all by one shell; by name."""
    lines = [f"echo '== {name}'; timeout 20 openssl s_client -connect 127.0.0.1:{port} -CAfile /etc/virtx/ca.pem {args} "
             "< /dev/null 2>&1" for name, args in rows.items()]
    said = host.run(["sh", "-c", "\n".join(lines)], check=False, timeout=200).stdout
    parts = re.split(r"^== (.*)\n", said, flags=re.M)[1:]
    found = dict(zip(parts[::2], parts[1::2]))
    assert found.keys() == rows.keys()
    return found


def outcome(said):
    """A version with its cipher, or an alert, or that nothing came about."""
    made = re.search(r"^New, (TLSv1\.\d), Cipher is (\S+)$", said, re.M)
    if made:
        return f"{made[1]} {made[2]}"
    alert = re.search(r":\w+ (alert [a-z ]+):", said)
    assert "Cipher is (NONE)" in said or "no ciphers available" in said, said
    return alert[1] if alert else "none"


@pytest.mark.parametrize("words", LISTENERS)
def test_versions(host, words):
    rows = {args: f"-cipher {ANY} {args}" for args in TABLE}
    found = {name: outcome(said) for name, said in ask_all(host, LISTENERS[words], rows).items()}
    assert {name: text for name, text in found.items() if not text.startswith(TABLE[name])} == {}


@pytest.mark.parametrize("words", LISTENERS)
def test_ciphers(host, words):
    """Each that there is by itself: three are good, with either version, and the listener refuses all others."""
    listed = host.run(["openssl", "ciphers", "-s", "-tls1_2", ANY]).stdout.strip().split(":")
    rows = {name: f"-tls1_2 -cipher {shlex.quote(name + ':@SECLEVEL=0')}" for name in listed if not name.startswith("TLS_")}
    assert len(rows) >= 60
    rows.update({name: f"-tls1_3 -ciphersuites {name}" for name in GOOD_13 | OTHERS_13})
    found = {name: outcome(said) for name, said in ask_all(host, LISTENERS[words], rows).items()}
    good = {name.format(host.key): "TLSv1.2" for name in GOOD_12} | {name: "TLSv1.3" for name in GOOD_13}
    assert found == {name: f"{good[name]} {name}" if name in good else "alert handshake failure" for name in rows}


@pytest.mark.parametrize("words", LISTENERS)
def test_groups(host, words):
    """Those that make the least work, and are good enough."""
    groups = ("P-256", "X25519", "P-384", "P-521", "X448", "ffdhe2048", "ffdhe8192")
    found = ask_all(host, LISTENERS[words], {group: f"-tls1_3 -groups {group}" for group in groups})
    assert {group for group, said in found.items() if outcome(said).startswith("TLSv1.3")} == GOOD_GROUPS
    assert {outcome(said) for group, said in found.items() if group not in GOOD_GROUPS} == {"alert handshake failure"}


@pytest.mark.parametrize("words", LISTENERS)
def test_nothing_more(host, words):
    """Neither compression nor data before the handshake is over."""
    found = ask_all(host, LISTENERS[words], {version: f"-{version} -comp" for version in ("tls1_2", "tls1_3")})
    for said in found.values():
        assert "Compression: NONE" in said and "Verify return code: 0 (ok)" in said, said
        assert f"Peer signature type: {'ECDSA' if host.key == 'ECDSA' else 'RSA-PSS'}" in said
    request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    done = host.run(["openssl", "s_client", "-connect", f"127.0.0.1:{LISTENERS[words]}", "-tls1_3", "-ign_eof"],
                    input=request, check=False)
    assert "Max Early Data: 0" in done.stdout and "HTTP/1.1 " in done.stdout


@pytest.mark.parametrize("words", LISTENERS)
def test_renegotiation(host, words):
    client = host.popen(["openssl", "s_client", "-connect", f"127.0.0.1:{LISTENERS[words]}", "-tls1_2"], stdin=-1,
                        stdout=-1, stderr=-2, text=True)
    client.stdin.write("R\n")
    client.stdin.flush()
    try:
        assert any("no renegotiation" in line for line in iter(client.stdout.readline, ""))
    finally:
        client.kill()
        client.wait()


def test_no_tls_elsewhere(host):
    """What is no listener for TLS answers nobody who wants that."""
    for port in PLAIN.values():
        assert outcome(ask_all(host, port, {"any": ""})["any"]) == "none"
    done = host.run(["openssl", "s_client", "-unix", SOCKET], check=False)
    assert outcome(done.stdout + done.stderr) == "none"


def hello(version, compressions, record=0x0301):
    """A ClientHello with what the listener would take, but for its version and methods of compression."""
    extensions = bytes.fromhex("000a00040002" "0017" "000b00020100" "000d00080006" "040308040401")
    ciphers = bytes.fromhex("c02bc02fcca9cca8")
    body = version.to_bytes(2, "big") + bytes(range(32)) + b"\0" + len(ciphers).to_bytes(2, "big") + ciphers + \
        bytes([len(compressions), *compressions]) + len(extensions).to_bytes(2, "big") + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16" + record.to_bytes(2, "big") + len(message).to_bytes(2, "big") + message


def first_answer(host, port, data):
    """The first record that comes, or as much of it as does before the end."""
    sock = host.connect(port)
    sock.sendall(data)
    got = b""
    try:
        while len(got) < 5 or len(got) < 5 + int.from_bytes(got[3:5], "big"):
            more = sock.recv(4096)
            if not more:
                break
            got += more
    except (ConnectionResetError, socket.timeout):
        pass
    sock.close()
    return got


@pytest.mark.parametrize("words", LISTENERS)
def test_bytes(host, words):
    """What no client of today sends."""
    port = LISTENERS[words]
    # TLS 1.2 with DEFLATE: a ServerHello, with none.
    got = first_answer(host, port, hello(0x0303, (1, 0)))
    assert got[0] == 0x16 and got[5] == 2, got
    chosen = got[9 + 2 + 32:]
    assert chosen[1 + chosen[0] + 2] == 0
    # And with nothing but that, an alert: of what is no good parameter, or no sense.
    got = first_answer(host, port, hello(0x0303, (1,)))
    assert got[0] == 0x15 and got[6] in (40, 47, 50), got
    # TLS 1.1, 1.0 and SSL 3: the version is none that is taken.
    for version, alerts in ((0x0302, (70,)), (0x0301, (70,)), (0x0300, (40, 70))):
        got = first_answer(host, port, hello(version, (0,), min(version, 0x0301)))
        assert got[0] == 0x15 and got[6] in alerts, (hex(version), got)
    # SSL 2.
    body = b"\1\0\2" + bytes.fromhex("0009" "0000" "0010") + bytes.fromhex("010080020080030080") + bytes(16)
    got = first_answer(host, port, (0x8000 | len(body)).to_bytes(2, "big") + body)
    assert not got or got[0] == 0x15, got
