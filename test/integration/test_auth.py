# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that let nobody in who does not show who that is."""

import os
import re
import time

import conftest
import pytest
from conftest import BUILD, PREFIX, wait_joined
from lab import PATIENCE, Lab, wait_for
from lab.tls import TLS_PORT, Authority, make_user, settings

SECRET = re.compile(r"virtx_[0-9a-f]{64}")
SOON = 2 * PATIENCE  # s until each host knows what another has done
KNOWN = 20 * PATIENCE  # the same where serf does not tell


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("ca"))
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}auth") as lab:
        for host in lab.hosts:
            authority.equip(host)
            config = settings(host, log_level="debug")
            config["http"]["listen"] = ["127.0.0.1:8080 open", f"{host.addr}:{TLS_PORT} tls auth",
                                        f"{host.addr}:8081 plain auth"]
            if host is lab.hosts[0]:
                authority.give_key(host, config)
            host.configure(config)
            host.restart("virtxd")
        wait_joined(lab)
        lab.authority = authority
        yield lab


@pytest.fixture(scope="module")
def hosts(lab):
    return lab.hosts


def make(host, name, role, *args):
    """A token's secret, which is written to /run/NAME of each host, too."""
    done = host.virtx("token", "create", name, "--role", role, *args)
    assert done.returncode == 0 and SECRET.fullmatch(done.stdout.strip()), done.stderr
    for other in host.lab.hosts:
        other.run(["install", "-m", "600", "/dev/stdin", f"/run/{name}"], input=done.stdout)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def secrets(hosts):
    """A token of each role, by its name, known on all hosts."""
    h1, h2 = hosts
    made = {role: make(h1, role, role) for role in ("viewer", "operator", "admin")}
    wait_for("h2 to know them", lambda: virtx(h1, h2, "admin", "list", "host").returncode == 0, KNOWN)
    return made


def virtx(host, to, token, *args):
    """A host asks another one by https, with a token or none."""
    words = ["--token-file", f"/run/{token}"] if token else []
    return host.virtx("-A", f"https://{to.addr}:{TLS_PORT}", *words, *args)


def curl(host, to, path, *args, port=TLS_PORT):
    """Status, heads and body of an answer."""
    done = host.run(["curl", "-s", "-i", "--cacert", "/etc/virtx/ca.pem", *args,
                     f"{'https' if port == TLS_PORT else 'http'}://{to.addr}:{port}{path}"])
    return int(done.stdout.split()[1]), done.stdout


def figure(host, name):
    return float(re.search(rf"^{re.escape(name)} (.*)$", host.api("GET", "/metrics").text, re.M)[1])


def test_nobody(hosts):
    h1, h2 = hosts
    for path in ("/vms", "/healthz", "/openapi.json", "/auth/tokens", "/gossip/vms", "/nowhere"):
        for port in (TLS_PORT, 8081):
            status, text = curl(h2, h1, path, port=port)
            assert status == 401 and 'www-authenticate: bearer realm="virtx"' in text.lower(), text
    done = virtx(h2, h1, None, "list", "vm")
    assert done.returncode == 6 and "401: who asks is not known" in done.stderr
    assert figure(h1, 'virtx_http_unauthorized_total{why="missing"}') >= 13
    # What is open or plain is exposed, and nothing else.
    assert h1.api("GET", "/readyz").json()["exposed"] == \
        f"127.0.0.1:8080 is open, {h1.addr}:8081 is plain: whoever gets there controls the VMs"


def test_roles(hosts, secrets):
    h1, h2 = hosts
    commands = {"viewer": ("list", "vm"), "operator": ("pause", "vm", h1.uuid), "admin": ("token", "list")}
    for have, role in enumerate(commands):
        for need, command in commands.items():
            done = virtx(h2, h1, role, *command)
            if list(commands).index(need) <= have:
                assert "403" not in done.stderr and "401" not in done.stderr, done.stderr
            else:
                assert done.returncode == 6 and \
                    f"403: this needs the role '{need}', and 'token:{role}' has '{role}'" in done.stderr, done.stderr
    # What hosts ask each other, no token is for; what is said about who asks does not count.
    for headers in ((), ("-H", "X-VirtX-Loop: 1", "-H", f"X-Forwarded-For: {h2.addr}")):
        h2.run(["sh", "-c", "printf 'Authorization: Bearer %s\\n' \"$(cat /run/admin)\" > /run/header"])
        status, text = curl(h2, h1, "/gossip/vms", "-H", "@/run/header", *headers)
        assert status == 403 and "only hosts of the cluster" in text


def test_life(hosts, secrets):
    """An operator makes a VM by one host, of which another one has it, and each knows who it was."""
    h1, h2 = hosts
    uuid = conftest.create(h1, conftest.vmdef("owned"))
    wait_for("h2 to know it", lambda: virtx(h1, h2, "viewer", "get", "vm", uuid).returncode == 0, 30)
    done = virtx(h1, h2, "viewer", "delete", "vm", uuid)
    assert done.returncode == 6 and "403" in done.stderr
    done = virtx(h1, h2, "operator", "delete", "vm", uuid, "--storage")
    assert done.returncode == 0, done.stderr
    users = {o["op"]: o["user"] for o in h1.api("GET", f"/operations?vm={uuid}").json()["items"]}
    assert users["VmDelete"] == "token:operator"
    assert figure(h2, "virtx_peer_failures_total") == 0


def test_wrong(hosts, secrets):
    """What is wrong is held back, the longer the more often, and nobody else waits for that."""
    h1, h2 = hosts
    h2.run(["install", "-m", "600", "/dev/stdin", "/run/wrong"], input="virtx_" + "0" * 64)
    before = figure(h1, 'virtx_http_unauthorized_total{why="wrong"}')
    took = []
    for _ in range(4):
        began = time.monotonic()
        done = virtx(h2, h1, "wrong", "list", "vm")
        took.append(time.monotonic() - began)
        assert done.returncode == 6 and "401: no token has this secret" in done.stderr, done.stderr
    assert took[3] >= 0.8 and took[0] >= 0.1
    began = time.monotonic()
    assert virtx(h2, h1, "viewer", "list", "vm").returncode == 0
    assert time.monotonic() - began < 0.8 * PATIENCE
    assert figure(h1, 'virtx_http_unauthorized_total{why="wrong"}') == before + 4


def test_revoked(hosts, secrets):
    h1, h2 = hosts
    make(h1, "gone", "viewer")
    wait_for("h2 to know it", lambda: virtx(h1, h2, "gone", "list", "vm").returncode == 0, SOON)
    assert "gone" in h2.virtx("token", "list").stdout
    assert h1.virtx("token", "revoke", "gone").returncode == 0
    wait_for("h2 to refuse it", lambda: "401" in virtx(h1, h2, "gone", "list", "vm").stderr, SOON)
    done = virtx(h2, h1, "gone", "list", "vm")
    assert done.returncode == 6 and "401" in done.stderr
    done = h1.virtx("token", "revoke", "gone")
    assert done.returncode == 3 and "404" in done.stderr
    done = h1.virtx("token", "create", "viewer", "-r", "admin")
    assert done.returncode == 5 and "422: there is a token 'viewer' already" in done.stderr


def by_certificate(host, to, name, *args):
    return host.virtx("-A", f"{to.addr}:{TLS_PORT}", "--certificate", f"/run/{name}.pem", "--key", f"/run/{name}.key", *args)


def test_certificate(hosts):
    """A user with a certificate is known on both hosts, directly and where one forwards, until it is revoked."""
    h1, h2 = hosts
    make_user(h1, "carol", "operator", "--expires", "1d")
    uuid = conftest.create(h1, conftest.vmdef("carols"))
    for asker, to in ((h1, h2), (h2, h1)):
        wait_for(f"{to.name} to know her and the VM",
                 lambda asker=asker, to=to: by_certificate(asker, to, "carol", "get", "vm", uuid).returncode == 0, KNOWN)
    done = by_certificate(h2, h1, "carol", "token", "list")
    assert done.returncode == 6 and "403: this needs the role 'admin', and 'user:carol' has 'operator'" in done.stderr
    # Another host does what she asks of this one.
    done = by_certificate(h1, h2, "carol", "delete", "vm", uuid, "--storage")
    assert done.returncode == 0, done.stderr
    users = {o["op"]: o["user"] for o in h1.api("GET", f"/operations?vm={uuid}").json()["items"]}
    assert users["VmDelete"] == "user:carol"
    for host in hosts:
        assert re.search(rf"audit: user=user:carol role=operator by=certificate .*method=DELETE .*vm={uuid} status=204",
                         host.log("virtxd"))
    listed = h2.virtx("token", "list").stdout
    assert re.search(r"^carol +certificate +operator ", listed, re.M), listed

    assert h1.run(["stat", "-c", "%a", "/run/carol.key"]).stdout == "600\n"
    h2.run(["chmod", "644", "/run/carol.key"])
    done = by_certificate(h2, h1, "carol", "list", "vm")
    assert done.returncode == 2 and "is open to others" in done.stderr
    h2.run(["chmod", "600", "/run/carol.key"])
    # What says who she is, is no secret: nobody is her without the key, nor by a token.
    print_ = h1.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "/run/carol.pem"]).stdout
    h2.run(["install", "-m", "600", "/dev/stdin", "/run/print"], input=print_.split("=")[1].replace(":", "").lower())
    assert "401: no token has this secret" in virtx(h2, h1, "print", "list", "vm").stderr
    h2.run(["install", "-m", "600", "/dev/stdin", "/run/none.key"], input=h1.lab.authority.sign("none", "DNS:none")[1])
    done = h2.virtx("-A", f"{h1.addr}:{TLS_PORT}", "--certificate", "/run/carol.pem", "--key", "/run/none.key", "list", "vm")
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "cannot use the key of '/run/none.key'" in done.stderr, done.stderr

    assert h2.virtx("token", "revoke", "carol").returncode == 0
    wait_for("h1 to refuse her", lambda: "401" in by_certificate(h2, h1, "carol", "list", "vm").stderr, SOON)
    done = by_certificate(h1, h2, "carol", "list", "vm")
    assert done.returncode == 6 and "401: the certificate of user 'carol' is not known" in done.stderr


def test_certificate_elsewhere(hosts):
    """Only a host that has the CA's key makes one, and it is none for QEMU, which lets others of the CA in."""
    h1, h2 = hosts
    done = h2.run(["env", "-C", "/run", f"{h2.lab.build_dir}/virtx/virtx", "user", "certificate", "eve", "--role", "admin"],
                  check=False)
    assert done.returncode == 1 and "501: this host does not have the key" in done.stderr
    assert h2.run(["ls", "/run/eve.key"], check=False).returncode != 0

    make_user(h1, "dave", "admin")
    for name, texts in (("qemu", h1.lab.authority.sign("qemu", "DNS:localhost")),
                        ("dave", [h1.run(["cat", f"/run/dave.{file}"]).stdout for file in ("pem", "key")])):
        h1.run(["mkdir", f"/run/of-{name}"])
        for kind in ("server", "client"):
            for text, file in zip(texts, ("cert", "key")):
                h1.run(["tee", f"/run/of-{name}/{kind}-{file}.pem"], input=text)
        h1.run(["cp", "/etc/virtx/ca.pem", f"/run/of-{name}/ca-cert.pem"])
    h1.run(["truncate", "-s", "1M", "/run/nothing"])
    server = h1.popen(["qemu-nbd", "-t", "-f", "raw", "-k", "/run/nbd.sock", "--tls-creds", "t", "--object",
                       "tls-creds-x509,id=t,endpoint=server,dir=/run/of-qemu,verify-peer=yes", "/run/nothing"])
    try:
        wait_for("the server", lambda: h1.run(["test", "-S", "/run/nbd.sock"], check=False).returncode == 0)
        info = {name: h1.run(["qemu-img", "info", "--object",
                              f"tls-creds-x509,id=t,endpoint=client,dir=/run/of-{name},sanity-check=no", "--image-opts",
                              "driver=nbd,path=/run/nbd.sock,tls-creds=t,tls-hostname=localhost"], check=False)
                for name in ("qemu", "dave")}
    finally:
        server.terminate()
        server.wait()
    assert info["qemu"].returncode == 0, info["qemu"].stderr
    assert info["dave"].returncode != 0, info["dave"].stdout
    assert h1.virtx("token", "revoke", "dave").returncode == 0


def test_without_serf(hosts, secrets):
    """A host that is not told finds it out by itself."""
    h1, h2 = hosts
    make(h1, "late", "viewer")
    wait_for("h2 to know it", lambda: virtx(h1, h2, "late", "list", "vm").returncode == 0, SOON)
    h2.stop("serf")
    try:
        assert h1.virtx("token", "revoke", "late").returncode == 0
        wait_for("h2 to refuse it", lambda: "401" in virtx(h1, h2, "late", "list", "vm").stderr, KNOWN)
    finally:
        h2.start("serf")
    wait_joined(h1.lab)


def test_restart(hosts, secrets):
    """A host knows the tokens again, and reads them from a folder that is for root alone."""
    h1, h2 = hosts
    h1.restart("virtxd")
    wait_for("the tokens", lambda: virtx(h2, h1, "viewer", "list", "vm").returncode == 0, KNOWN)
    wait_joined(h1.lab)
    assert h1.run(["stat", "-c", "%a %U", "/vms/auth"]).stdout == "700 root\n"


def test_nothing_is_told(hosts, secrets):
    """No secret is in what the daemons and virtx have written, or keep."""
    h1, h2 = hosts
    done = h2.virtx("-D", "-A", f"https://{h1.addr}:{TLS_PORT}", "--token-file", "/run/admin", "token", "list", "-o",
                    "json")
    assert done.returncode == 0
    texts = [done.stdout, done.stderr, h1.run(["sh", "-c", "cat /vms/auth/*"]).stdout]
    for host in hosts:
        texts += [host.log("virtxd"), host.api("GET", "/operations").text, host.api("GET", "/metrics").text]
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", errors="replace") as line:
                    texts.append(line.read())
            except OSError:
                continue
    for text in texts:
        for secret in secrets.values():
            assert secret not in text
