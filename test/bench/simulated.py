# SPDX-License-Identifier: GPL-2.0-or-later
"""The hosts of test/bench/sim: each a real serf agent and a real virtxd, on an address of its own.

Only libvirt is not there: virtxd and its jobs get the library of test/bench/standin in its place, and
the VMs are bytes in a file. There is no sanlock, so that /readyz says that the lockspace is not joined;
the VMs are such as VirtX did not make, which have no images and no registry to look after.
"""

import http.client
import json
import mmap
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time

STATE = "/run"  # a tmpfs of the simulation's own
API_PORT, RPC_PORT = 8080, 7373

# virDomainState, and the lifecycle event and detail that tell of it
RUNNING, PAUSED, OFF = 1, 3, 5
EVENTS = {RUNNING: (2, 0), PAUSED: (3, 0), OFF: (5, 0)}
# The run states of the API
SHOWN = {RUNNING: "running", PAUSED: "paused", OFF: "poweroff"}
NUMBERS = {RUNNING: 4, PAUSED: 5, OFF: 2}


def again(variable):
    """Run this command once more, in namespaces of its own, where the variable is set; how it ended.

    All of it dies with the first process in there, that one with unshare, and unshare with us.
    """
    return subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork",
         "--kill-child", sys.executable, *sys.argv], env={**os.environ, variable: "inside"}).returncode


def settle_in():
    """Make of the new namespaces what hosts need.

    All addresses are here, yet to each host those of the others are not its own: it sends to them from another.
    """
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", STATE], check=True)
    for words in ("link set lo up", "address add 10.78.0.1/32 dev lo", "route add local 10.77.0.0/16 dev lo src 10.78.0.1"):
        subprocess.run(["ip", *words.split()], check=True)


def unpack(data, at=0):
    """One object of msgpack, as far as serf's agent uses it, and where it ends; IndexError when cut."""
    kind = data[at]
    if kind < 0x80:
        return kind, at + 1
    if kind >> 4 == 8 or kind == 0xde:
        n, at = (kind & 15, at + 1) if kind != 0xde else (int.from_bytes(data[at + 1:at + 3], "big"), at + 3)
        found = {}
        for _ in range(n):
            key, at = unpack(data, at)
            found[key], at = unpack(data, at)
        return found, at
    if kind >> 5 == 5 or kind in (0xd9, 0xda):
        size = {0xd9: 1, 0xda: 2}.get(kind, 0)
        n = int.from_bytes(data[at + 1:at + 1 + size], "big") if size else kind & 31
        at += 1 + size
        if at + n > len(data):
            raise IndexError
        return data[at:at + n].decode(), at + n
    size = {0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8}[kind]
    if at + 1 + size > len(data):
        raise IndexError
    return int.from_bytes(data[at + 1:at + 1 + size], "big"), at + 1 + size


class SerfStats:
    """A connection to an agent that asks for its figures."""

    def __init__(self, addr):
        self.sock = socket.create_connection((addr, RPC_PORT), timeout=10)
        self.seq = 0
        self.ask("handshake", b"\x81\xa7Version\x01", 1)

    def ask(self, command, body, n):
        self.seq = (self.seq + 1) % 128
        name = bytes([0xa0 | len(command)]) + command.encode()
        self.sock.sendall(b"\x82\xa7Command" + name + b"\xa3Seq" + bytes([self.seq]) + body)
        data, objects, at = b"", [], 0
        while len(objects) < n:
            try:
                found, at = unpack(data, at)
                objects.append(found)
            except IndexError:
                more = self.sock.recv(65536)
                if not more:
                    raise ConnectionError("serf closed its connection") from None
                data += more
        return objects[-1]

    def queues(self):
        """The longest of its queues of messages."""
        stats = self.ask("stats", b"", 2)["serf"]
        return max(int(stats[name]) for name in ("event_queue", "intent_queue", "query_queue"))


class Host:
    """A host; its number is from 1 on."""

    def __init__(self, sim, n):
        self.sim, self.n = sim, n
        self.addr = f"10.77.{n // 250}.{1 + n % 250}"
        self.dir = f"{STATE}/h{n}"
        self.uuid = f"00000000-0000-4000-8000-{n:012x}"
        self.processes = {}
        self.client = self.stats = None
        for directory in ("xml", "lock", "ds"):
            os.makedirs(f"{self.dir}/vms/{directory}")
        for directory in ("xml", "ds"):
            self.write(f"vms/{directory}/.virtx-storage", f"{self.uuid}\n")
        self.write("vms/lock/__VIRTX__DISKS__", "")
        self.write("host", f"{n} {sim.vms}\n")
        self.write("states", chr(OFF) * sim.vms)
        os.mkfifo(f"{self.dir}/events")
        self.events = os.open(f"{self.dir}/events", os.O_RDWR)
        with open(f"{self.dir}/states", "r+b") as file:
            self.states = mmap.mmap(file.fileno(), sim.vms)

    def write(self, name, text):
        with open(f"{self.dir}/{name}", "w") as file:
            file.write(text)

    def vm(self, i):
        """The UUID of its VM i, from 0 on."""
        return f"{self.n:08x}-0000-4000-9000-{i:012x}"

    def change(self, vms, state):
        """What libvirt would see and tell: these VMs are now in that state."""
        for i in vms:
            self.states[i] = state
        records = b"".join(struct.pack("=Ihh", i, *EVENTS[state]) for i in vms)
        for at in range(0, len(records), 4096):
            os.write(self.events, records[at:at + 4096])

    def spawn(self, name, argv, env):
        with open(f"{self.dir}/{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                                    stderr=log, env={**os.environ, **env})

    def start_serf(self, seeds):
        self.write("serf.json", json.dumps({
            "node_name": f"h{self.n}", "bind": f"{self.addr}:7946", "rpc_addr": f"{self.addr}:{RPC_PORT}",
            "user_event_size_limit": 1024, "log_level": "warn", "profile": "lan",
            "retry_join": seeds, "retry_interval": "1s"}))
        self.spawn("serf", ["serf", "agent", f"-config-file={self.dir}/serf.json"], {})

    def settings(self):
        """virtxd's configuration."""
        return f"""\
[virtxd]
storage_root = {self.dir}/vms
run_dir = {self.dir}/run
state_dir = {self.dir}
[http]
listen = {self.addr}:{API_PORT} plain open
[libvirt]
uri = sim://{self.dir}
[serf]
rpc = {self.addr}:{RPC_PORT}
"""

    def start_virtxd(self):
        self.write("virtxd.conf", self.settings())
        build = self.sim.build
        self.spawn("virtxd", [f"{build}/virtxd/virtxd", "-c", f"{self.dir}/virtxd.conf"],
                   {"LD_LIBRARY_PATH": f"{build}/test/bench/standin"})

    def get(self, path):
        """The body of an answer, over one connection that is kept."""
        for attempt in (1, 2):
            if not self.client:
                self.client = http.client.HTTPConnection(self.addr, API_PORT, timeout=30)
            try:
                self.client.request("GET", path)
                answer = self.client.getresponse()
                body = answer.read()
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                self.client.close()  # it was idle for too long
                self.client = None
                if attempt == 2:
                    raise
        if answer.status != 200:
            raise RuntimeError(f"h{self.n}: GET {path}: {answer.status} {body[:200]}")
        return body

    def metrics(self):
        """Its figures: {'name{labels}': number}."""
        lines = self.get("/metrics").decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in lines if not line.startswith("#")}

    def queues(self):
        self.stats = self.stats or SerfStats(self.addr)
        return self.stats.queues()

    def cpu(self, name):
        """Seconds of CPU that a process took, with its children that have ended."""
        with open(f"/proc/{self.processes[name].pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def private_kib(self):
        with open(f"/proc/{self.processes['virtxd'].pid}/smaps_rollup") as file:
            return sum(map(int, re.findall(r"^Private_\w+: +(\d+)", file.read(), re.M)))


class Sim:
    """A cluster of simulated hosts."""

    def __init__(self, n_hosts, n_vms, build, host_type=Host):
        self.vms, self.build = n_vms, build
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.hosts = [host_type(self, n) for n in range(1, n_hosts + 1)]

    def start(self, timeout):
        """Start all, and wait until each host sees all hosts and VMs; the seconds that it took."""
        began = time.monotonic()
        seeds = [host.addr for host in self.hosts[:3]]
        for host in self.hosts:
            host.start_serf([addr for addr in seeds if addr != host.addr])
            host.start_virtxd()
        done = self.wait_complete(began, timeout)
        if len(done) < len(self.hosts):
            raise RuntimeError(f"after {timeout:g} s only {len(done)} hosts see all hosts and VMs")
        return max(done.values())

    def check_alive(self):
        for host in self.hosts:
            for name, process in host.processes.items():
                if process.poll() is not None:
                    with open(f"{host.dir}/{name}.log", errors="replace") as log:
                        raise RuntimeError(f"h{host.n}: {name} ended with {process.returncode}:\n"
                                           + log.read()[-2000:])

    def expected(self):
        """How many VMs are in each state, as the metrics of each host should tell, and its hosts."""
        states = b"".join(bytes(host.states) for host in self.hosts)
        counts = {f'virtx_vms{{scope="cluster",runstate="{word}"}}': states.count(state)
                  for state, word in SHOWN.items()}
        return {**counts, 'virtx_hosts{cstate="active"}': len(self.hosts)}

    def wait_complete(self, began, timeout, each=None):
        """Poll until every host tells what is so; {number: seconds since began} of those that did.

        each(host) is called in each round for each host.
        """
        wanted, done = self.expected(), {}
        while len(done) < len(self.hosts) and time.monotonic() < began + timeout:
            for host in self.hosts:
                if each:
                    each(host)
                if host.n in done:
                    continue
                try:
                    found = host.metrics()
                except OSError:
                    self.check_alive()  # else it does not listen yet
                    continue
                if all(found[name] == value for name, value in wanted.items()):
                    done[host.n] = time.monotonic() - began
            time.sleep(0.05)
        return done

    def wrong(self):
        """How many VMs are shown by a host in another state than they are in, of all hosts together."""
        truth = {host.vm(i): NUMBERS[state]
                 for host in self.hosts for i, state in enumerate(bytes(host.states))}
        wrong = 0
        for host in self.hosts:
            items = json.loads(host.get("/vms"))["items"]
            found = {item["uuid"]: item["fields"]["runstate"] for item in items}
            wrong += sum(found.get(uuid) != truth.get(uuid) for uuid in truth.keys() | found.keys())
        return wrong

    def cpu(self):
        return {name: sum(host.cpu(name) for host in self.hosts) for name in ("serf", "virtxd")}

    def sent(self):
        """User events that all hosts together have sent."""
        return sum(value for host in self.hosts for name, value in host.metrics().items()
                   if name.startswith("virtx_gossip_sent_total"))
