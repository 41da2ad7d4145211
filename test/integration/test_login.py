# SPDX-License-Identifier: GPL-2.0-or-later
"""`virtx login`: a server is trusted, a token is kept for it, and commands go there until something else is said."""

import contextlib
import os
import pty
import re
import subprocess
import termios

import pytest
from conftest import BUILD, PREFIX, wait_joined
from lab import PATIENCE, Lab, wait_for, wrapped
from lab.tls import TLS_PORT, Authority, settings

SECRET = re.compile(r"virtx_[0-9a-f]{64}")
KEPT = "/run/config/virtx"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def host(authority):
    """A host whose users have no file with the CA."""
    with Lab(1, build_dir=BUILD, name=f"{PREFIX}login") as lab:
        host = lab.hosts[0]
        authority.equip(host)
        os.rename(host.path("/etc/virtx/ca.pem"), host.path("/etc/virtx/cluster.pem"))
        config = settings(host, log_level="debug")
        config["http"]["listen"] = ["127.0.0.1:8080 open", f"{host.addr}:{TLS_PORT} tls auth"]
        config["tls"]["ca"] = "/etc/virtx/cluster.pem"
        host.configure(config)
        host.restart("virtxd")
        wait_joined(lab)
        yield host


@pytest.fixture(autouse=True)
def forget(host):
    host.run(["rm", "-rf", KEPT])


@pytest.fixture(scope="module")
def url(host):
    return f"https://{host.addr}:{TLS_PORT}"


@pytest.fixture(scope="module")
def fingerprint(authority):
    """As openssl shows it."""
    done = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", f"{authority.folder}/ca.pem"],
                          check=True, capture_output=True, text=True)
    return done.stdout.strip().partition("=")[2]


def token(host, name, role):
    done = host.virtx("-A", "unix:/run/virtx/virtxd.sock", "token", "create", name, "--role", role, check=True)
    secret = done.stdout.strip()
    assert SECRET.fullmatch(secret)
    return secret


@pytest.fixture(scope="module")
def viewer(host):
    return token(host, "viewer", "viewer")


def requests(host):
    """How many have come to it by TCP."""
    text = host.api("GET", "/metrics").text
    return sum(float(n) for n in re.findall(r"^virtx_http_requests_total\{.*\} (.*)$", text, re.M))


class Terminal:
    """virtx on a terminal of its own."""

    def __init__(self, host, *args):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(host.enter(wrapped([f"{BUILD}/virtx/virtx", *args])), stdin=slave, stdout=slave,
                                        stderr=slave, env=host.environment())
        os.close(slave)
        self.seen = ""

    def wait(self, words):
        while words not in self.seen:
            self.seen += os.read(self.master, 65536).decode()

    def type(self, text):
        os.write(self.master, text.encode())

    def shows_typing(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self):
        with contextlib.suppress(OSError):  # EIO: nobody has the other side open any more
            while data := os.read(self.master, 65536):
                self.seen += data.decode()
        assert self.shows_typing()
        os.close(self.master)
        return self.process.wait(60 * PATIENCE)


def log_in(host, url, fingerprint, secret, *args):
    return host.virtx("login", url, "--fingerprint", fingerprint, *args, input=secret + "\n")


def test_never_logged_in(host):
    """Root on a host asks it by its socket, and nothing is made."""
    assert host.virtx("token", "list").returncode == 0
    assert host.virtx("context", "list").stdout.splitlines()[1].split() == ["default", "this", "host", "-", "yes"]
    assert host.run(["ls", KEPT], check=False).returncode != 0


def test_terminal(host, url, fingerprint, viewer):
    terminal = Terminal(host, "login", url, "--context", "lab")
    terminal.wait("Trust it? [y/N] ")
    assert fingerprint in terminal.seen and f"'{url}'" in terminal.seen
    terminal.type("y\n")
    terminal.wait("Token: ")
    wait_for("typing not to be shown", lambda: not terminal.shows_typing(), 10)
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", errors="replace") as line:
                assert viewer not in line.read()
    terminal.type(viewer + "\n")
    assert terminal.end() == 0, terminal.seen
    assert viewer not in terminal.seen and "context 'lab' is used from now on" in terminal.seen
    # Commands go there, as who has the token.
    assert host.virtx("list", "host").returncode == 0
    done = host.virtx("token", "list")
    assert done.returncode == 6 and "403" in done.stderr and "'token:viewer' has 'viewer'" in done.stderr
    assert host.run(["stat", "-c", "%a %n", KEPT, f"{KEPT}/lab.json", f"{KEPT}/used"]).stdout.splitlines() == \
        [f"700 {KEPT}", f"600 {KEPT}/lab.json", f"600 {KEPT}/used"]
    shown = host.virtx("context", "show").stdout
    assert url in shown and fingerprint in shown and viewer not in shown


def test_not_trusted(host, url):
    before = requests(host)
    terminal = Terminal(host, "login", url)
    terminal.wait("[y/N] ")
    terminal.type("\n")
    assert terminal.end() == 1 and "is not trusted: nothing was sent" in terminal.seen
    assert requests(host) == before + 1  # that for the figures
    assert host.run(["ls", KEPT], check=False).returncode != 0


def test_interrupted(host, url):
    terminal = Terminal(host, "login", url)
    terminal.wait("[y/N] ")
    terminal.type("y\n")
    terminal.wait("Token: ")
    wait_for("typing not to be shown", lambda: not terminal.shows_typing(), 10)
    terminal.process.terminate()
    assert terminal.end() == -15


def test_script(host, url, fingerprint, viewer):
    done = log_in(host, url, fingerprint, viewer)
    assert done.returncode == 0 and f"context '{host.addr}' is used" in done.stdout, done.stderr
    assert host.virtx("list", "vm").returncode == 0


def test_refused(host, url, fingerprint, viewer):
    before = requests(host)
    wrong = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    done = log_in(host, url, wrong, viewer)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and f"its CA is another one: that has the fingerprint {fingerprint}" in done.stderr
    done = host.virtx("login", url, input=viewer)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "nobody can be asked" in done.stderr and fingerprint in done.stderr
    assert requests(host) == before + 1
    done = log_in(host, url, fingerprint, "virtx_" + "0" * 64)
    assert done.returncode == 6 and "401: no token has this secret" in done.stderr
    assert host.run(["ls", KEPT], check=False).returncode != 0


def test_order(host, url, fingerprint, viewer):
    """Each way of naming a server comes before those that are less near at hand."""
    admin = token(host, "admin", "admin")
    for name, secret in (("weak", viewer), ("strong", admin)):
        assert log_in(host, url, fingerprint, secret, "--context", name).returncode == 0
    socket = "unix:/run/virtx/virtxd.sock"

    def may(*args, **env):
        return host.virtx("token", "list", *args, env=env).returncode == 0

    assert may()
    assert not may(VIRTX_CONTEXT="weak")
    assert may("--context", "strong", VIRTX_CONTEXT="weak")
    assert host.virtx("context", "use", "weak").returncode == 0
    assert not may()
    assert may(VIRTX_CONTEXT="strong")
    assert may(VIRTX_API_SERVER=socket)
    assert not may("--context", "weak", VIRTX_API_SERVER=socket)
    assert may("-A", socket, VIRTX_CONTEXT="weak")
    assert may("--context", "default")
    # A token that is said takes the place of the context's, and nothing of it goes elsewhere.
    host.run(["install", "-m", "600", "/dev/stdin", "/run/admin"], input=admin)
    assert may("--token-file", "/run/admin")
    done = host.virtx("-A", url, "list", "host")
    assert done.returncode in (1, 7) and "its certificate is refused" in done.stderr
    assert host.virtx("logout").returncode == 0
    assert may()
    assert host.virtx("logout", "strong").returncode == 0
    assert host.run(["ls", "-A", KEPT]).stdout == ""


def test_revoked(host, url, fingerprint):
    assert log_in(host, url, fingerprint, token(host, "gone", "viewer"), "--context", "lab").returncode == 0
    assert host.virtx("list", "vm").returncode == 0
    assert host.virtx("--context", "default", "token", "revoke", "gone").returncode == 0
    done = host.virtx("list", "vm")
    assert done.returncode == 6 and "401: no token has this secret" in done.stderr
    assert log_in(host, url, fingerprint, token(host, "again", "viewer"), "--context", "lab").returncode == 0
    assert host.virtx("list", "vm").returncode == 0


def test_completion(host, url, fingerprint, viewer):
    assert log_in(host, url, fingerprint, viewer, "--context", "lab").returncode == 0
    assert host.virtx("__complete", "--context", "l").stdout == "lab\n"
    # What is asked for, the server of the context tells.
    assert host.uuid in host.virtx("__complete", "get", "host", "").stdout


def test_nothing_is_told(host, url, fingerprint, viewer):
    done = log_in(host, url, fingerprint, viewer, "-D")
    shown = [host.virtx(*words) for words in (("-D", "list", "vm"), ("context", "list", "-o", "json"),
                                              ("context", "show", "-o", "json"))]
    for text in (done.stdout, done.stderr, host.log("virtxd"), *(d.stdout + d.stderr for d in shown)):
        assert viewer not in text


def test_another_ca(host, url, fingerprint, viewer, tmp_path):
    """Who takes the server's place gets nothing."""
    assert log_in(host, url, fingerprint, viewer).returncode == 0
    Authority(tmp_path, "another").equip(host)
    os.rename(host.path("/etc/virtx/ca.pem"), host.path("/etc/virtx/cluster.pem"))
    host.restart("virtxd")
    before = requests(host)
    done = host.virtx("list", "vm")
    assert done.returncode in (1, 7) and "its certificate is refused" in done.stderr
    done = log_in(host, url, fingerprint, viewer)
    assert done.returncode in (1, 3, 4, 5, 6, 7) and "its CA is another one" in done.stderr
    assert requests(host) == before + 1
