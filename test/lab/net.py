"""The lab's network: one namespace holds a bridge, each host is a namespace with a veth into it.

All addresses live inside these namespaces, so labs of different names can use the same ones.
"""

import ctypes
import os
import signal
import socket
import subprocess
import threading

from .util import LabError, wait_for

NETNS_DIR = "/run/netns"
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def ip(*args, check=True):
    """Run ip(8) and return its output."""
    done = subprocess.run(["ip", *args], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise LabError(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def namespaces(lab):
    """The lab's existing network namespaces: the hosts', then the bridge's."""
    prefix = f"virtx-{lab}-"
    names = os.listdir(NETNS_DIR) if os.path.isdir(NETNS_DIR) else []
    ours = [name[len(prefix):] for name in names if name.startswith(prefix)]
    return [prefix + end for end in sorted(ours) if end == "net" or end[1:].isdigit()]


def address(n):
    """The address of host n."""
    return f"10.77.0.{n}"


def create_bridge(lab):
    """Make the namespace of the bridge, and the bridge."""
    net = f"virtx-{lab}-net"
    ip("netns", "add", net)
    ip("-n", net, "link", "add", "br0", "type", "bridge")
    ip("-n", net, "link", "set", "br0", "up")


def create_host(lab, n):
    """Make the namespace of host n, plugged into the bridge."""
    net, host = f"virtx-{lab}-net", f"virtx-{lab}-h{n}"
    ip("netns", "add", host)
    ip("-n", net, "link", "add", f"h{n}", "type", "veth", "peer", "name", "eth0", "netns", host)
    ip("-n", net, "link", "set", f"h{n}", "master", "br0", "up")
    ip("-n", host, "address", "add", f"{address(n)}/24", "dev", "eth0")
    ip("-n", host, "link", "set", "lo", "up")
    ip("-n", host, "link", "set", "eth0", "up")


def set_link(lab, n, up):
    """Plug or unplug host n's cable, at the bridge's end: the host keeps its configuration."""
    ip("-n", f"virtx-{lab}-net", "link", "set", f"h{n}", "up" if up else "down")


def set_drop(lab, n, other, drop):
    """Lose, or stop losing, every packet that host n sends to the other host.

    They go to a MAC address that nobody has: no firewall is needed, the sender gets no error.
    """
    where = ["neigh", "replace" if drop else "del", address(other), "dev", "eth0"]
    if drop:
        where += ["lladdr", "02:00:00:00:00:00", "nud", "permanent"]
    ip("-n", f"virtx-{lab}-h{n}", *where)


def pids(namespace):
    """The processes in a namespace: exactly those that the lab, or a child of it, started there."""
    return [int(pid) for pid in ip("netns", "pids", namespace).split()]


def delete(namespace):
    """Kill every process in a namespace and delete it."""

    def empty():
        alive = pids(namespace)
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not alive

    wait_for(f"the processes in {namespace} to die", empty, timeout=30)
    ip("netns", "del", namespace)


def open_socket(namespace, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    """A new socket that belongs to the namespace; the caller stays where it is.

    A namespace is a property of a thread, and a socket keeps the one it was made in.
    """
    result = []

    def enter_and_open():
        fd = os.open(f"{NETNS_DIR}/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(fd, CLONE_NEWNET) != 0:
                result.append(OSError(ctypes.get_errno(), f"setns {namespace}"))
            else:
                result.append(socket.socket(family, kind))
        finally:
            os.close(fd)

    thread = threading.Thread(target=enter_and_open)
    thread.start()
    thread.join()
    if not result or isinstance(result[0], OSError):
        raise LabError(f"no socket in {namespace}: {result}")
    return result[0]
