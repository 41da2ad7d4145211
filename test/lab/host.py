"""One host of the lab: a network, mount and UTS namespace, with its daemons in them."""

import contextlib
import os
import shlex
import signal
import subprocess
import uuid

from . import daemons, net, rest
from .util import PATIENCE, LabError, sanlock_lists, tail, wait_for, wrapped, write

# What libvirt takes a host's memory from. The machine's own is shared by all hosts and labs, and changes with its caches.
MEMINFO = f"Node 0 MemTotal: {16 << 20} kB\nNode 0 MemFree: {14 << 20} kB\n"

# Directories of a host's own, under its state directory, and where the host sees them.
OWN = {
    "etc-libvirt": "/etc/libvirt",
    "etc-qemu": "/etc/qemu/firmware",
    "etc-sanlock": "/etc/sanlock",
    "etc-virtx": "/etc/virtx",
    "lib-libvirt": "/var/lib/libvirt",
    "cache-libvirt": "/var/cache/libvirt",
    "log": "/var/log",
    # Below the storage: what is seen, and could be written to, while that is not mounted.
    "local-vms": "/vms",
}

NAMESPACE = uuid.UUID("6d7c1c5e-7a0b-4f0e-9f39-0c1d5b9e77aa")


def process_stat(pid):
    """The fields of /proc/PID/stat from the state on, None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid):
    """When a process started, which tells it from a later one of the same id; None if it ended."""
    stat = process_stat(pid)
    return int(stat[19]) if stat and stat[0] not in "ZX" else None


class Host:
    """A host; made by Lab, and all its state is in files, so that any process can attach to it."""

    def __init__(self, lab, n):
        self.lab = lab
        self.n = n
        self.name = f"h{n}"
        self.addr = net.address(n)
        self.uuid = str(uuid.uuid5(NAMESPACE, f"{lab.name}/{self.name}"))
        # None: another one each time that sanlock starts. By its own a host is back in seconds.
        self.sanlock_name = self.uuid
        self.netns = f"virtx-{lab.name}-{self.name}"
        self.state = f"{lab.state}/{self.name}"
        self._children = []

    def __repr__(self):
        return f"<Host {self.name} of {self.lab.name}>"

    # Namespaces

    def up(self):
        """Make the namespaces and mounts of the host, and hold them with a sleeping process."""
        for directory in (*OWN, "pid"):
            os.makedirs(f"{self.state}/{directory}")
        write(f"{self.state}/hosts", "127.0.0.1 localhost\n" +
              "".join(f"{host.addr} {host.name}\n" for host in self.lab.hosts))
        write(f"{self.state}/hostname", f"{self.name}\n")
        write(f"{self.state}/meminfo", MEMINFO)
        daemons.configure(self)
        net.create_host(self.lab.name, self.n)
        holder = self._spawn(
            ["ip", "netns", "exec", self.netns, "unshare", "-m", "-u", "sh", "-ec",
             self._mount_script()], f"{self.state}/holder.log", stdout=subprocess.PIPE)
        if holder.stdout.readline() != b"ready\n":
            raise LabError(f"{self.name}: cannot set up its mounts:\n"
                           + tail(f"{self.state}/holder.log"))
        holder.stdout.close()
        self._write_pid("holder", holder.pid)

    def _mount_script(self):
        """Shell that turns new namespaces into the host's and then sleeps for ever."""
        quote = shlex.quote
        lines = [f"hostname {self.name}"]
        for directory, target in OWN.items():
            lines.append(f"mkdir -p {target}")
            lines.append(f"mount --bind {quote(self.state)}/{directory} {target}")
        for file in ("hosts", "hostname"):
            lines.append(f"touch /etc/{file}; mount --bind {quote(self.state)}/{file} /etc/{file}")
        lines += [
            f"mount --bind {quote(self.lab.vms)} /vms",
            "for node in /sys/devices/system/node/node*/meminfo; do"
            f" [ ! -e $node ] || mount --bind {quote(self.state)}/meminfo $node; done",
            # A copy of any lab's storage mount in here would keep it busy for that lab's teardown.
            f"grep -o ' {quote(self.lab.STATE)}/[^ ]*' /proc/self/mounts | xargs -r umount",
            # Guests run under software emulation everywhere, so that a test means the same on a
            # machine that has KVM, has none, or has one that does not work. A file that cannot
            # be opened for writing is to libvirt as good as none.
            f"if [ -e /dev/kvm ]; then mount --bind {quote(self.state)}/hostname /dev/kvm;"
            " mount -o remount,bind,ro /dev/kvm; fi",
            "mount -t tmpfs -o mode=755 tmpfs /run",
            "mkdir /run/lock /run/sanlock /run/libvirt /run/hugepages",
            *self._mount_watchdog(),
            "mount -t hugetlbfs hugetlbfs /run/hugepages",
            "echo ready",
            "exec sleep infinity >&-",
        ]
        return "\n".join(lines)

    def _mount_watchdog(self):
        """Of wdmd there is one for all that share /dev/shm."""
        if not self.lab.watchdog:
            return []
        return [f"touch {daemons.WATCHDOG}", "mount -t tmpfs tmpfs /dev/shm",
                f"mount --bind {shlex.quote(self.lab.state)}/class-watchdog /sys/class/watchdog"]

    def path(self, path):
        """A path of the host (such as /run/x) as this process can open it."""
        return f"/proc/{self._holder()}/root{path}"

    def _holder(self):
        return str(self.pid("holder"))

    # Commands

    def enter(self, argv):
        """The command line that runs argv on the host."""
        return ["nsenter", "-t", self._holder(), "-m", "-u", "-n", "--", *map(str, argv)]

    def environment(self, extra=None):
        """What a command on the host finds in its environment: the same whoever runs the lab."""
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        if self.lab.build_dir:
            path = f"{self.lab.build_dir}/virtx:{path}"
        # /root is that of the machine, /run the host's own.
        return {"PATH": path, "HOME": "/root", "XDG_CONFIG_HOME": "/run/config", "LC_ALL": "C.UTF-8",
                "TERM": os.environ.get("TERM", "dumb"), **(extra or {})}

    def run(self, argv, input=None, timeout=60, check=True, env=None):
        """Run a command on the host to its end: CompletedProcess with text stdout and stderr."""
        done = subprocess.run(self.enter(argv), input=input, timeout=timeout * PATIENCE, text=True,
                              stdin=subprocess.DEVNULL if input is None else None,
                              capture_output=True, env=self.environment(env))
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {shlex.join(map(str, argv))} exited with "
                           f"{done.returncode}: {done.stderr or done.stdout}")
        return done

    def popen(self, argv, env=None, **kwargs):
        """Start a command on the host; keyword arguments as for subprocess.Popen."""
        return subprocess.Popen(self.enter(argv), env=self.environment(env), **kwargs)

    def virsh(self, *args, **kwargs):
        """Run virsh on the host."""
        return self.run(["virsh", "-q", "-c", "qemu:///system", *args], **kwargs)

    def virtx(self, *args, **kwargs):
        """Run the command line under test on the host; its exit code is the caller's to check."""
        return self.run(wrapped([f"{self.lab.build_dir}/virtx/virtx", *args]), **{"check": False, **kwargs})

    def serf(self, command, *args, **kwargs):
        """Run a serf command on the host."""
        return self.run(["serf", command, f"-rpc-auth={self.lab.serf_key}", *args], **kwargs)

    def sanlock_status(self):
        """What sanlock knows: lists of text under 'lockspaces', 'processes' and 'resources'."""
        return sanlock_lists(self.run(["sanlock", "client", "status"]).stdout)

    # Daemons

    def start(self, daemon, timeout=30):
        """Start a daemon and wait until it is ready."""
        self.launch(daemon)
        self.wait_ready(daemon, timeout)

    def launch(self, daemon):
        """Start a daemon and do not wait."""
        if self.alive(daemon):
            raise LabError(f"{self.name}: {daemon} is running already")
        process = self._spawn(self.enter(daemons.command(self, daemon)), self.logfile(daemon),
                              env=self.environment(daemons.environment(self, daemon)))
        self._write_pid(daemon, process.pid)

    def wait_ready(self, daemon, timeout=30):
        """Wait until a launched daemon is ready."""

        def is_ready():
            if not self.alive(daemon):
                raise LabError(f"{self.name}: {daemon} died:\n{tail(self.logfile(daemon))}")
            return daemons.ready(self, daemon)

        wait_for(f"{daemon} of {self.name} to be ready", is_ready, timeout)

    def _spawn(self, argv, log, **kwargs):
        """Start a process that outlives this one, its messages going to a log file."""
        with open(log, "ab") as file:
            process = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL,
                                       stderr=file, **{"stdout": file, **kwargs})
        self._children.append(process)
        return process

    def _write_pid(self, daemon, pid):
        write(f"{self.state}/pid/{daemon}", f"{pid} {start_time(pid)}")

    def _read_pid(self, daemon):
        """The last (process id, start time) of a daemon, (None, None) if it was never started."""
        try:
            with open(f"{self.state}/pid/{daemon}") as file:
                return tuple(map(int, file.read().split()))
        except FileNotFoundError:
            return None, None

    def pid(self, daemon):
        """The process id of a daemon; LabError when it was not started or is dead."""
        pid, started = self._read_pid(daemon)
        if pid is None or start_time(pid) != started:
            raise LabError(f"{self.name}: {daemon} is not running")
        return pid

    def alive(self, daemon):
        try:
            return self.pid(daemon) > 0
        except LabError:
            return False

    def jobs(self):
        """The jobs that change a VM, whichever virtxd began them: {pid: command line as a list}."""
        return {pid: argv for pid, argv in self._processes().items()
                if "--job" in argv and any(word.startswith("vm-") for word in argv)}

    def wait_jobs(self, timeout=60):
        """Wait until none changes a VM: one that outlives its virtxd goes on, with what it has locked."""
        wait_for(f"jobs of {self.name} to end", lambda: not self.jobs(), timeout)

    def children(self, daemon):
        """The direct children of a daemon: {pid: command line as a list}."""
        parent = self.pid(daemon)
        return {pid: argv for pid, argv in self._processes().items()
                if (state := process_stat(pid)) and int(state[1]) == parent}

    def _processes(self):
        found = {}
        for pid in net.pids(self.netns):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/cmdline") as file:
                    found[pid] = file.read().split("\0")[:-1]
        return found

    def qemu_pid(self, vm):
        """The process id of the running QEMU of a VM, by the VM's libvirt name; None while libvirt runs none."""
        try:
            with open(self.path(f"/run/libvirt/qemu/{vm}.pid")) as file:
                return int(file.read() or 0) or None
        except FileNotFoundError:
            return None

    def signal(self, daemon, number):
        """Send a signal to a daemon."""
        os.kill(self.pid(daemon), number)

    def stop(self, daemon, timeout=30):
        """Ask a daemon to end (SIGTERM) and wait until it did."""
        self.signal(daemon, signal.SIGTERM)
        self.wait_dead(daemon, timeout)

    def kill(self, daemon, timeout=10):
        """Kill a daemon and wait until it is gone."""
        self.signal(daemon, signal.SIGKILL)
        self.wait_dead(daemon, timeout)

    def wait_dead(self, daemon, timeout=30):
        """Wait until a daemon is gone; its exit status, None if another process started it."""
        wait_for(f"{daemon} of {self.name} to end", lambda: not self.alive(daemon), timeout)
        pid, _ = self._read_pid(daemon)
        codes = [child.wait() for child in self._children if child.pid == pid]
        return codes[-1] if codes else None

    def restart(self, daemon, timeout=30):
        self.stop(daemon, timeout)
        self.start(daemon, timeout)

    def logfile(self, daemon):
        """The path, outside the host, of what a daemon wrote to stdout and stderr."""
        return f"{self.state}/log/{daemon}.log"

    def log(self, daemon):
        """What a daemon has logged."""
        with open(self.logfile(daemon), errors="replace") as file:
            return file.read()

    def configure(self, config):
        """Write virtxd's configuration anew, with {section: {key: value}} over the lab's own."""
        daemons.configure_virtxd(self, config)

    # The API

    def connect(self, port=daemons.API_PORT, addr="127.0.0.1", timeout=30):
        """A TCP connection made on the host, as a socket of this process."""
        sock = net.open_socket(self.netns)
        sock.settimeout(timeout * PATIENCE)
        try:
            sock.connect((addr, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def api(self, method, path, body=None, headers=None, timeout=30, port=daemons.API_PORT,
            addr="127.0.0.1"):
        """One request to the host's virtxd; a body that is not text or bytes is sent as JSON."""
        sock = self.connect(port, addr, timeout)
        return rest.request(sock, f"{addr}:{port}", method, path, body, headers)

    # Faults

    def power_off(self):
        """End all that runs on it at once. What its disk has stays; by what wdmd has in memory it would know its last end."""
        holder = self.pid("holder")

        def rest():
            return [pid for pid in net.pids(self.netns) if pid != holder and start_time(pid) is not None]

        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in rest():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        wait_for(f"all of {self.name} to end", lambda: not rest(), 10)
        if self.lab.watchdog:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path("/dev/shm/wdmd"))

    def link(self, up):
        """Plug (True) or unplug (False) the host's network cable."""
        net.set_link(self.lab.name, self.n, up)

    def drop(self, other, drop=True):
        """Silently lose what this host sends to the other one; drop=False ends it."""
        net.set_drop(self.lab.name, self.n, other.n, drop)

    def on_local_disk(self):
        """What was made at /vms while the storage was not mounted there."""
        try:
            return [f"{self.name}: {name}" for name in os.listdir(f"{self.state}/local-vms")]
        except FileNotFoundError:
            return []

    def reap(self):
        """Collect the exit statuses of what this process started; all of it is dead."""
        for child in self._children:
            child.wait()
