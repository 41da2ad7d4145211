# SPDX-License-Identifier: GPL-2.0-or-later
"""No secret is where it need not be: every kind of them is made, used and mistaken for something else, by virtx and by HTTP,
with all that can be logged being logged, while whoever can looks at the processes; jobs, virtxd and virtx crash; and then all
that was written is searched. A VM's console has no password to be told."""

import base64
import contextlib
import glob
import json
import os
import re
import resource
import signal
import stat
import subprocess
import threading
import time

import pytest
from conftest import BUILD, PREFIX, create, delete, vmdef, wait_joined, wait_ready
from lab import Lab, wait_for, wrapped
from lab.util import write
from test_cluster_command import PORT, ROOT, SOCKET, make_root, read, start
from test_kill import jobs

CONTEXT = "/run/config/virtx"
CRASH = signal.SIGABRT  # for which a core is written, and which no sanitizer takes for an error
CRASHES = 30  # tries to meet a job


class Secrets:
    """All kinds, each with the texts by which it is known and where it may be; what processes have shown; what was answered."""

    def __init__(self):
        self.kinds = {}  # name: (texts, pattern of the files that may have it)
        self.seen = set()  # arguments and environments of processes
        self.told = {}  # what: text
        self.running = True
        self.watch = threading.Thread(target=self._watch)

    def add(self, name, texts, files):
        texts = [text.encode() if isinstance(text, str) else text for text in texts]
        assert all(len(text) >= 20 for text in texts)
        self.kinds[name] = (texts, re.compile(files))

    def add_key(self, name, pem, files):
        """A private key, as it is in its file and in memory."""
        lines = [line for line in pem.splitlines() if line and "-" not in line]
        der = base64.b64decode("".join(lines))
        # PKCS #8 of a key on P-256: its number is behind the names of what it is.
        number = der[36:68]
        assert der[34:36] == b"\x04\x20"
        self.add(name, [*lines[:2], number, number.hex()], files)

    def add_token(self, name, secret, files=r"^/run/[\w-]+$"):
        assert re.fullmatch(r"virtx_[0-9a-f]{64}", secret)
        self.add(name, [secret.partition("_")[2]], files)

    def find(self, data):
        """The names of those that are in there."""
        return {name for name, (texts, _) in self.kinds.items() if any(text in data for text in texts)}

    def tell(self, what, text):
        self.told[what] = self.told.get(what, "") + text

    def end(self):
        self.running = False
        self.watch.join()

    def _watch(self):
        while self.running:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
                        self.seen.add(file.read())
            time.sleep(0.005)


def debug(host):
    """By what `virtx cluster` has written, and with all that can be logged."""
    start(host)
    path = f"{host.state}/etc-virtx/virtxd.conf"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    write(path, text.replace("[virtxd]\n", "[virtxd]\nlog_level = debug\n", 1), 0o600)
    host.restart("virtxd")


def virtx(secrets, host, *words, secret_output=False, **more):
    """By the socket, and with the heads of what is asked and answered; what it says is told, but for a new secret."""
    done = host.virtx("-D", "-A", SOCKET, *words, **more)
    secrets.tell(f"virtx {words[0]}", done.stderr + ("" if secret_output else done.stdout))
    return done


def add_files(secrets, host, when=""):
    """What the command has made on the host; what was there before stays beside it."""
    own = r"^(/run/cluster-root)?/etc/"
    keys = {"host.key": r"(virtx/host\.key|pki/libvirt/private/(server|client)key\.pem)[^/]*$"}
    if os.path.exists(host.path(f"{ROOT}/etc/virtx/ca.key")):
        keys["ca.key"] = r"virtx/ca\.key$"
    for name, files in keys.items():
        secrets.add_key(f"{host.name} {name}{when}", read(host, f"/etc/virtx/{name}"), own + files)
    secrets.add_key(f"{host.name} QEMU's key{when}", read(host, "/etc/pki/qemu/server-key.pem"),
                    own + r"pki/qemu/(server|client)-key\.pem[^/]*$")
    serf = json.loads(read(host, "/etc/serf/virtx.json"))
    for name, key, file in (("RPC key", "rpc_auth", "serf"), ("serf key", "encrypt_key", "serf-encrypt")):
        texts = [serf[key], base64.b64decode(serf[key]), base64.b64decode(serf[key]).hex()]
        secrets.add(f"{host.name} {name}", texts, own + rf"(virtx/{file}\.key|virtx/serf\.json|serf/virtx\.json)$")


@pytest.fixture(scope="module")
def cores(tmp_path_factory):
    """The folder where all programs under test are, and may write cores."""
    folder = str(tmp_path_factory.mktemp("cores"))
    limits, before = resource.getrlimit(resource.RLIMIT_CORE), os.environ.get("VIRTX_WRAP", "")
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    os.environ["VIRTX_WRAP"] = f"env -C {folder} {before}"
    try:
        yield folder
    finally:
        os.environ["VIRTX_WRAP"] = before
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def cores_in(folder):
    return glob.glob(f"{folder}/core*")


@pytest.fixture(scope="module")
def secrets():
    secrets = Secrets()
    secrets.watch.start()
    yield secrets
    secrets.end()


@pytest.fixture(scope="module")
def lab(cores, secrets):
    """Two hosts, of which the second has joined."""
    with Lab(2, build_dir=BUILD, name=f"{PREFIX}sec") as lab:
        h1, h2 = lab.hosts
        for host in lab.hosts:
            make_root(host)
        for daemon in ("virtxd", "serf"):
            h2.stop(daemon)
        done = virtx(secrets, h1, "cluster", "init", "--address", h1.addr, "--root", ROOT, "--dry-run")
        assert done.returncode == 0, done.stderr
        done = virtx(secrets, h1, "cluster", "init", "--address", h1.addr, "--root", ROOT, "--yes")
        assert done.returncode == 0, done.stderr
        debug(h1)
        add_files(secrets, h1)
        wait_ready(h1)
        made = virtx(secrets, h1, "cluster", "token", secret_output=True, check=True).stdout.strip()
        secrets.add_token("join token", made.rpartition("/")[2])
        # One that is never used is as secret.
        other = virtx(secrets, h1, "cluster", "token", "-o", "json", secret_output=True, check=True).stdout
        secrets.add_token("unused join token", re.search(r"virtx_[0-9a-f]{64}", other)[0])
        done = virtx(secrets, h2, "cluster", "join", "-", "--root", ROOT, "--yes", input=made + "\n")
        assert done.returncode == 0, done.stderr
        debug(h2)
        add_files(secrets, h2)
        wait_joined(lab)
        yield lab


@pytest.fixture(scope="module")
def token(lab, secrets):
    """That of an operator, in /run/token of each host, and in /run/header as curl sends it."""
    h1, h2 = lab.hosts
    done = virtx(secrets, h1, "token", "create", "worker", "--role", "operator", secret_output=True, check=True)
    secret = done.stdout.strip()
    secrets.add_token("token", secret, rf"^/run/(token|header)$|^{CONTEXT}/\w+\.json$")
    for host in lab.hosts:
        for name, text in (("token", secret), ("header", f"Authorization: Bearer {secret}")):
            host.run(["install", "-m", "600", "/dev/stdin", f"/run/{name}"], input=text + "\n")
        wait_for("it to be known", lambda host=host: '"worker"' in host.api("GET", "/auth/tokens").text, 20)
    yield secret


@pytest.fixture(scope="module")
def vm(lab):
    uuid = create(lab.hosts[0], vmdef("secretive"))
    wait_for("h2 to know it", lambda: lab.hosts[1].api("GET", f"/vms/{uuid}").status == 200, 30)
    yield uuid
    delete(lab.hosts[0], uuid)


def user_data(secrets, name):
    """Another password for a guest."""
    text = f"{name}-{os.urandom(16).hex()}"
    secrets.add(f"user data {name}", [text], r"^/run/ci-[\w-]+$|^/vms/ds/ci/[0-9a-f-]{36}/seed\.iso$")
    return f"#cloud-config\npassword: {text}\n"


def power_off(host, vm):
    assert host.api("DELETE", f"/vms/{vm}/runstate/boot", {"force": 2}, timeout=60).status == 204

    def is_off():
        return host.api("GET", f"/vms/{vm}/runstate").json()["runstate"] in (2, 9)
    wait_for("it to be off", is_off, 30)


def curl(secrets, host, to, path, *args, config=""):
    """One host asks another one by https; a configuration from standard input has what nobody is to see."""
    done = host.run(["curl", "-s", "-i", "--cacert", "/etc/virtx/ca.pem", "--config", "-", *args], check=False,
                    input=f'url = "https://{to.addr}:{PORT}{path}"\n{config}')
    secrets.tell("answers", done.stdout)
    return int(done.stdout.split()[1])


def ask_all(secrets, host, vm):
    """All that the host tells."""
    document = host.api("GET", "/openapi.json").json()
    for path, item in document["paths"].items():
        if "get" in item and path != "/events":
            uuid = vm if path.startswith("/vms/") else host.uuid
            answer = host.api("GET", path.replace("{uuid}", uuid).replace("{id}", "worker"), timeout=60)
            secrets.tell(f"{host.name} GET {path}", answer.text)
    secrets.tell(f"{host.name} virtx list operation", host.virtx("-A", SOCKET, "list", "operation").stdout)


def test_command_line(lab, secrets, token, vm):
    """A token, a context, a certificate and cloud-init, by virtx, at the host that has the VM and at another one."""
    h1, h2 = lab.hosts
    server = f"https://{h1.addr}:{PORT}"
    for words in (("list", "vm"), ("list", "operation", "-o", "json"), ("token", "list")):
        done = h2.virtx("-D", "-A", server, "--token-file", "/run/token", *words)
        secrets.tell("virtx --token-file", done.stdout + done.stderr)
        assert "HTTP 200" in done.stderr or "HTTP 403" in done.stderr, done.stderr
    ca = h1.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "/etc/virtx/ca.pem"]).stdout
    done = h2.virtx("-D", "login", server, "--fingerprint", ca.strip().partition("=")[2], "--context", "lab", input=token + "\n")
    assert done.returncode == 0, done.stderr
    shown = [done, *(h2.virtx("-D", *words) for words in (("list", "vm"), ("context", "list", "-o", "json"),
                                                          ("context", "show", "-o", "json")))]
    secrets.tell("virtx with a context", "".join(done.stdout + done.stderr for done in shown))

    done = h1.run(["env", "-C", "/run", f"{BUILD}/virtx/virtx", "-D", "-A", SOCKET, "user", "certificate", "carol", "--role",
                   "viewer"])
    secrets.tell("virtx user", done.stdout + done.stderr)
    with open(h1.path("/run/carol.key"), encoding="ascii") as file:
        secrets.add_key("carol", file.read(), r"^/run/carol\.key$")
    done = h1.virtx("-D", "-A", server, "--certificate", "/run/carol.pem", "--key", "/run/carol.key", "list", "vm")
    assert done.returncode == 0, done.stderr
    secrets.tell("virtx --certificate", done.stdout + done.stderr)

    for host, words in ((h1, ("-A", SOCKET)), (h2, ("-A", f"https://{h2.addr}:{PORT}", "--token-file", "/run/token"))):
        files = []
        for option, name in (("-u", "user-data"), ("-m", "meta-data"), ("-c", "network-config")):
            host.run(["install", "-m", "600", "/dev/stdin", f"/run/ci-{name}"], input=user_data(secrets, f"{host.name}-{name}"))
            files += [option, f"/run/ci-{name}"]

        def boots(host=host, words=words, files=files):
            done = host.virtx("-D", *words, "boot", "vm", vm, *files, timeout=120)
            secrets.tell("virtx boot", done.stdout + done.stderr)
            return done.returncode == 0
        wait_for("the boot", boots, 60, 1)
        power_off(h1, vm)


def test_http(lab, secrets, token, vm):
    """Likewise by curl, and with what people do by mistake: a secret in the place of a name, and in what is no request."""
    h1, h2 = lab.hosts
    stream = h2.popen(["curl", "-s", "-N", "--cacert", "/etc/virtx/ca.pem", "-H", "@/run/header", "-o", "/run/events",
                       f"https://{h2.addr}:{PORT}/events"])
    try:
        for to in (h1, h2):
            body = json.dumps({"cloud_init": [{"name": "ci-userdata", "value": user_data(secrets, f"curl-{to.name}")}]})
            sent = f'data = {json.dumps(body)}\nheader = "Content-Type: application/json"\n'
            wait_for("the boot", lambda to=to, sent=sent: curl(secrets, h1, to, f"/vms/{vm}/runstate/boot", "-H", "@/run/header",
                                                               config=sent) == 204, 60, 1)
            power_off(h1, vm)
            # Cut off, of a wrong form, for no VM, and for one that runs nowhere.
            wrong = (body[:-3], body.replace('"value"', '"worth"'), body.replace('"ci-userdata"', "7"),
                     body.replace('{"name"', '["name"'), json.dumps({"cloud_init": body}))
            for text in wrong:
                sent = f'data = {json.dumps(text)}\nheader = "Content-Type: application/json"\n'
                for path in (f"/vms/{vm}/runstate/boot", f"/vms/{h1.uuid}/runstate/boot", f"/vms/{vm}", "/nowhere"):
                    # One only has a field that nobody knows.
                    if curl(secrets, h1, to, path, "-H", "@/run/header", config=sent) < 400:
                        power_off(h1, vm)
        known = f'header = "Authorization: Bearer {token}"\n'
        for path in (f"/vms/{token}", f"/vms?token={token}", f"/auth/tokens/{token}", f"/{token}/vms",
                     f"/vms/{token}/runstate/boot"):
            for more in ("", known, f"request = DELETE\n{known}"):
                curl(secrets, h2, h1, path, config=more)
        for value in (f"Basic {token}", f"Bearer {token}0", f"Bearer  {token}  x", token, f"bearer {token[:-1]}"):
            curl(secrets, h2, h1, "/vms", config=f'header = "Authorization: {value}"\n')
        for name in ("Host", "Origin", "X-VirtX-Caller", "X-Forwarded-For", "Last-Event-ID", "Prefer"):
            curl(secrets, h2, h1, "/vms", "-H", "@/run/header", config=f'header = "{name}: {token}"\n')
    finally:
        stream.terminate()
        stream.wait()
    for host in lab.hosts:
        ask_all(secrets, host, vm)
    assert "VmBoot" in secrets.told["h1 GET /operations"] and "VmBoot" in secrets.told["h1 virtx list operation"]


def crash(host, name, begin):
    """Has the job of that name crash, which begin() causes; True where it was met."""
    done = []
    thread = threading.Thread(target=lambda: done.append(begin()))
    thread.start()
    met = False
    while thread.is_alive() and not met:
        for pid in jobs(host, name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, CRASH)
                met = True
    thread.join()
    return met


@pytest.mark.skipif("valgrind" in os.environ.get("VIRTX_WRAP", ""), reason="valgrind tells of each crash")
def test_crash(lab, secrets, token, vm, cores):
    """Nothing is left of what they had in memory, where everything else that crashes leaves a core."""
    h1, h2 = lab.hosts
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
        pattern = file.read().strip()
    h1.run(wrapped(["sh", "-c", "kill -ABRT $$"]), check=False)
    if re.match(r"[^|/]", pattern):
        assert cores_in(cores)
    for path in cores_in(cores):
        os.unlink(path)

    body = {"cloud_init": [{"name": "ci-userdata", "value": user_data(secrets, "crashed")}]}
    causes = {
        "vm-boot": lambda: secrets.tell("answers", h1.api("POST", f"/vms/{vm}/runstate/boot", body, timeout=120).text),
        "cluster-sign": lambda: virtx(secrets, h1, "cluster", "renew", "--force", "--root", ROOT),
    }
    for name, begin in causes.items():
        assert any(crash(h1, name, begin) for _ in range(CRASHES)), name
        wait_for("it to be over", lambda: not jobs(h1, "vm-heal") and not jobs(h1, "vm-boot"), 60)
    add_files(secrets, h1, ", renewed")
    if h1.api("DELETE", f"/vms/{vm}/runstate/boot", {"force": 2}, timeout=60).status == 204:
        wait_for("the CD's files to be gone", lambda: not os.path.exists(h1.path(f"/run/virtx/ci-{vm}")), 60)

    # Others have tried from there with what was wrong.
    wait_for("h2 to be heard", lambda: h2.virtx("-A", f"https://{h1.addr}:{PORT}", "--token-file", "/run/token", "list",
                                                "vm").returncode == 0, 30)
    watch = h2.popen(wrapped([f"{BUILD}/virtx/virtx", "-A", f"https://{h1.addr}:{PORT}", "--token-file", "/run/token", "watch"]),
                     stdout=subprocess.DEVNULL)
    wait_for("the stream", lambda: 'virtx_event_streams 1' in h1.api("GET", "/metrics").text, 30)
    watch.send_signal(CRASH)
    assert watch.wait(timeout=30) != 0
    for host in lab.hosts:
        host.signal("virtxd", CRASH)
        host.wait_dead("virtxd")
        host.start("virtxd")
    wait_joined(lab)
    wait_for("the VM to be off", lambda: h1.api("GET", f"/vms/{vm}/runstate").json().get("runstate") in (2, 9), 60)
    assert cores_in(cores) == []


def read_all(folder, shown):
    """(path as a host sees it, mode, data) of all regular files below, on the same file system."""
    device = os.stat(folder).st_dev
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.lstat(os.path.join(top, name)).st_dev == device]
        for name in names:
            path = os.path.join(top, name)
            with contextlib.suppress(FileNotFoundError):
                info = os.lstat(path)
                if stat.S_ISREG(info.st_mode):
                    with open(path, "rb") as file:
                        yield shown + path[len(folder):], info.st_mode, file.read()


def test_search(lab, secrets, token, vm):
    """After all of the above."""
    for host in lab.hosts:
        ask_all(secrets, host, vm)
        assert "audit: " in host.log("virtxd") and " debug " in host.log("virtxd")
    # What was sent by mistake is answered to who has sent it.
    mistaken = {name for name in secrets.kinds if name == "token" or name.startswith("user data curl")}
    told = {what: secrets.find(text.encode()) for what, text in secrets.told.items()}
    assert {what: names - (mistaken if what == "answers" else set()) for what, names in told.items()
            if names - (mistaken if what == "answers" else set())} == {}

    assert secrets.watch.is_alive()
    secrets.end()
    assert any(b"virtx\0" in text and b"--token-file" in text for text in secrets.seen)
    assert any(b"\0--job\0vm-boot" in text for text in secrets.seen)
    shown = {text: names for text in secrets.seen if (names := secrets.find(text))}
    assert shown == {}

    places = [(lab.vms, "/vms")]
    for host in lab.hosts:
        places += [(host.path("/run"), "/run"), (f"{host.state}/log", "/var/log"), (f"{host.state}/etc-virtx", "/etc/virtx"),
                   (f"{host.state}/etc-libvirt", "/etc/libvirt"), (f"{host.state}/lib-libvirt", "/var/lib/libvirt"),
                   (f"{host.state}/cache-libvirt", "/var/cache/libvirt"), (f"{host.state}/local-vms", "/vms")]
    wrong, met = [], set()
    for folder, shown_as in places:
        for path, mode, data in read_all(folder, shown_as):
            for name in secrets.find(data):
                met.add(name)
                # What QEMU reads is its group's.
                closed = not mode & (0o007 if "QEMU" in name or path.endswith("seed.iso") else 0o077)
                if not secrets.kinds[name][1].search(path) or not closed:
                    wrong.append((name, path, oct(mode)))
    assert wrong == []
    # The search finds what is there.
    kept = {"h1 ca.key", "h1 host.key", "h2 host.key", "h1 serf key", "h1 RPC key", "h2 QEMU's key", "token", "carol"}
    assert kept - met == set()
    assert any(name.startswith("user data") for name in met)
