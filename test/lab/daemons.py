"""What runs on a host: how each daemon is configured, started, and known to be ready."""

import glob
import json
import os
import socket
import subprocess

from .util import PATIENCE, LabError, wrapped, write

API_PORT = 8080
WATCHDOG = "/run/watchdog"
SERF_RPC = ("127.0.0.1", 7373)

# The order of starting; stopping is in reverse. wdmd runs only where the lab has watchdogs.
ORDER = ("virtlogd", "libvirtd", "wdmd", "sanlock", "serf", "virtxd")

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "{uuid}"
"""

QEMU_CONF = """\
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
hugetlbfs_mount = "/run/hugepages"
lock_manager = "sanlock"
"""

QEMU_SANLOCK_CONF = """\
auto_disk_leases = 0
require_lease_for_disks = 0
host_id = {n}
"""

# sanlock exits when it may not raise its limits, which a container often withholds.
SETRLIMIT_C = """\
#define _GNU_SOURCE
#include <sys/resource.h>

int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
        (void)resource, (void)limit;
        return 0;
}
"""


def may_raise_limits():
    """Whether this process has CAP_SYS_RESOURCE."""
    with open("/proc/self/status") as status:
        caps = [line.split()[1] for line in status if line.startswith("CapEff:")]
    return bool(int(caps[0], 16) >> 24 & 1)


def build_preload(directory):
    """Compile the library that lets sanlock start without CAP_SYS_RESOURCE; None if it may."""
    if may_raise_limits():
        return None
    source, library = f"{directory}/setrlimit.c", f"{directory}/setrlimit.so"
    write(source, SETRLIMIT_C)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def build_watchdog(directory):
    """Compile the library that is wdmd's watchdog device, and say what the kernel would of it."""
    library, device = f"{directory}/watchdog.so", f"{directory}/class-watchdog/watchdog0"
    source = os.path.join(os.path.dirname(__file__), "watchdog.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    os.makedirs(device)
    write(f"{device}/state", "active\n")
    write(f"{device}/identity", "VirtX lab\n")
    return library


def order(lab):
    """The daemons of a lab's hosts, in the order of starting."""
    return [daemon for daemon in ORDER if daemon != "wdmd" or lab.watchdog]


def virtxd_settings(host, extra):
    """virtxd's configuration as {section: {key: value or list of values}}, extra laid over it.

    A value of None in extra removes the key.
    """
    http = {"listen": [f"127.0.0.1:{API_PORT} open"]}
    if host.lab.n > 1:
        http["listen"].append(f"{host.addr}:{API_PORT} plain open")
    settings = {
        "virtxd": {"storage_root": "/vms", "state_dir": "/run/virtx"},
        "http": http,
        "libvirt": {"uri": "qemu:///system", "migrate_uri": "qemu+tcp://%s/system"},
        "serf": {"rpc": "%s:%d" % SERF_RPC, "rpc_auth": host.lab.serf_key},
        "sanlock": {"io_timeout": 1, "answer_timeout": min(int(10 * PATIENCE), 60)},
    }
    for section, keys in extra.items():
        settings.setdefault(section, {}).update(keys)
    return settings


def ini(settings):
    """Settings as the text of an INI file; a list repeats its key."""
    lines = []
    for section, keys in settings.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            lines += [f"{key} = {item}" for item in values if item is not None]
        lines.append("")
    return "\n".join(lines)


def mask_secure_boot(directory):
    """Hide QEMU's firmwares with secure boot: libvirt prefers them, and test guests are unsigned.

    An empty file of the same name in /etc/qemu/firmware is how an administrator does it.
    """
    for path in glob.glob("/usr/share/qemu/firmware/*.json"):
        with open(path) as file:
            features = json.load(file)["features"]
        if "secure-boot" in features:
            write(f"{directory}/{os.path.basename(path)}", "")


def configure(host):
    """Write the configuration of all daemons of a host, seen by it under /etc."""
    write(f"{host.state}/etc-libvirt/libvirtd.conf", LIBVIRTD_CONF.format(uuid=host.uuid))
    write(f"{host.state}/etc-libvirt/qemu.conf", QEMU_CONF)
    write(f"{host.state}/etc-libvirt/qemu-sanlock.conf", QEMU_SANLOCK_CONF.format(n=host.n))
    mask_secure_boot(f"{host.state}/etc-qemu")
    others = [other.addr for other in host.lab.hosts if other is not host]
    serf = {
        "node_name": host.name,
        "bind": host.addr,
        "rpc_addr": "%s:%d" % SERF_RPC,
        "rpc_auth": host.lab.serf_key,
        "user_event_size_limit": 1024,
        "retry_join": others,
        "retry_interval": "1s",
    }
    write(f"{host.state}/etc-virtx/serf.json", json.dumps(serf, indent=4), 0o600)
    configure_virtxd(host, host.lab.config)


def configure_virtxd(host, extra):
    write(f"{host.state}/etc-virtx/virtxd.conf", ini(virtxd_settings(host, extra)), 0o600)


def command(host, daemon):
    """The command line of a daemon, which stays in the foreground."""
    if daemon == "virtxd":
        return wrapped([f"{host.lab.build_dir}/virtxd/virtxd"])
    return {
        "virtlogd": ["virtlogd"],
        "libvirtd": ["libvirtd", "--listen"],
        "wdmd": ["wdmd", "-D", "-w", WATCHDOG],
        "sanlock": ["sanlock", "daemon", "-D", "-L", "-1", "-w", str(int(host.lab.watchdog)), "-U", "root", "-G", "root",
                    "-l", "0", "-h", "0", *(["-e", host.sanlock_name] if host.sanlock_name else [])],
        "serf": ["serf", "agent", "-config-file=/etc/virtx/serf.json"],
    }[daemon]


def environment(host, daemon):
    """What a daemon gets in its environment on top of the host's."""
    if daemon == "wdmd":
        return {"LD_PRELOAD": f"{host.lab.state}/watchdog.so", "VIRTX_LAB_HOLDER": str(host.pid("holder"))}
    if daemon == "sanlock" and host.lab.preload:
        return {"LD_PRELOAD": host.lab.preload}
    if daemon == "virtxd":
        passed = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "VALGRIND_OPTS",
                  "LLVM_PROFILE_FILE", "VIRTX_JOBS", "VIRTX_PLAIN")
        return {name: os.environ[name] for name in passed if name in os.environ}
    return {}


def listens(host, where):
    """Whether something accepts connections at a path or at an (address, port) of the host."""
    try:
        if isinstance(where, tuple):
            host.connect(where[1], where[0], timeout=1).close()
        else:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(1)
                sock.connect(host.path(where))
    except OSError:
        return False
    return True


def ready(host, daemon):
    """Whether a started daemon does its work."""
    if daemon == "libvirtd":
        # It listens before its drivers are there, and answers after.
        return host.virsh("list", check=False).returncode == 0
    return listens(host, {
        "virtlogd": "/run/libvirt/virtlogd-sock",
        "wdmd": "/run/wdmd/wdmd.sock",
        "sanlock": "/run/sanlock/sanlock.sock",
        "serf": SERF_RPC,
        "virtxd": ("127.0.0.1", API_PORT),
    }[daemon])


def check_installed(with_virtxd, build_dir):
    """Fail early, and in one message, when something to run is missing."""
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces and mounts: run it as root")
    path = "/usr/sbin:/usr/bin:/sbin:/bin".split(":")
    missing = [name for name in (*ORDER[:-1], "virsh", "ip", "nsenter", "qemu-img")
               if not any(os.access(f"{place}/{name}", os.X_OK) for place in path)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)} (run test/packages lab)")
    if with_virtxd and not os.access(f"{build_dir}/virtxd/virtxd", os.X_OK):
        raise LabError(f"no virtxd/virtxd in {build_dir}: build it, or say --build or --no-virtxd")
