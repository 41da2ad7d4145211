# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU as the lab uses it: its command line, its monitor, and the agent in the machine."""

import base64
import json
import os
import random
import socket
import time

from lab.util import PATIENCE, LabError

from . import net

# Times are what they are under emulation: nothing that calibrates, checks or waits. Programs are at the same addresses each
# time (norandmaps), so that what QEMU has translated is used again. No audit=0: the kernel would not tell what AppArmor
# refuses.
CMDLINE = ("console=ttyS0 quiet loglevel=4 systemd.show_status=1 mitigations=off tsc=reliable no_timer_check lpj=4000000 "
           "random.trust_cpu=on net.ifnames=0 nowatchdog panic=5 norandmaps")


def has_nested_kvm():
    """Whether this machine's KVM gives its guests a KVM of their own, as the emulated processor does."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    for module in ("kvm_intel", "kvm_amd"):
        try:
            with open(f"/sys/module/{module}/parameters/nested") as file:
                return file.read().strip() in ("1", "Y")
        except FileNotFoundError:
            pass
    return False


def accelerator():
    """'kvm' or 'tcg'; VIRTX_VMLAB_ACCEL says which, else what the machine can."""
    return os.environ.get("VIRTX_VMLAB_ACCEL") or ("kvm" if has_nested_kvm() else "tcg")


def processor(accel, features):
    """The options for the processor, with more features or less ("-avx2"); both have virtualization, so that the
    machines have KVM."""
    accelerator, model = ("kvm", "host") if accel == "kvm" else ("tcg,thread=multi,tb-size=256", "max,la57=off")
    return ["-accel", accelerator, "-cpu", ",".join([model, *filter(None, [features])])]


def size(equipment):
    """The options for CPUs and memory, of which each NUMA node has its share.

    Each CPU is a socket: cores of one are a feature of theirs (ht, cmp_legacy), which a VM's CPU model would have, too.
    """
    memory, cpus, nodes = (equipment[key] for key in ("memory", "cpus", "nodes"))
    argv = ["-m", str(memory), "-smp", f"{cpus},sockets={cpus}"]
    for node in range(nodes if nodes > 1 else 0):
        first, last = node * cpus // nodes, (node + 1) * cpus // nodes - 1
        argv += ["-object", f"memory-backend-ram,id=node{node},size={memory // nodes}M",
                 "-numa", f"node,nodeid={node},cpus={first}-{last},memdev=node{node}"]
    return argv


def command(machine, image, now, incoming):
    """The command line of a machine, at whose start it is `now`; incoming is the file of a state to go on from, or None.

    Its clock goes as long as the machine does, so that it is what its system has after a restore, and a reset.
    """
    rtc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    cmdline = f"{CMDLINE} systemd.hostname={machine.name} systemd.machine_id={machine.n:032x} vmlab.n={machine.n}"
    cmdline += "".join(f" systemd.mask={unit}" for unit in machine.masked)
    equipment = machine.equipment()
    cmdline = " ".join([cmdline, *filter(None, [equipment["cmdline"]])])
    argv = ["qemu-system-x86_64", "-name", machine.name, "-uuid", machine.uuid, "-no-user-config", "-nodefaults",
            "-machine", "q35,hpet=off", *processor(machine.lab.accel, equipment["cpu"]), *size(equipment),
            "-display", "none", "-rtc", f"base={rtc},clock=vm",
            "-kernel", f"{image}/vmlinux", "-initrd", f"{image}/initrd", "-append", cmdline,
            "-drive", f"file={machine.disk},format=qcow2,if=none,id=disk,cache=unsafe,discard=unmap",
            "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,path={machine.path('agent')},server=on,wait=off,id=agent",
            "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
            "-chardev", f"file,path={machine.path('console')},append=on,id=console", "-serial", "chardev:console",
            "-qmp", f"unix:{machine.path('monitor')},server=on,wait=off",
            # With a log for something QEMU keeps its stderr, and writes there what it dies of.
            "-d", "unimp", "-D", machine.path("log"), "-pidfile", machine.path("pid"), "-daemonize"]
    for i, network in enumerate(net.NETWORKS):
        argv += ["-netdev", f"tap,id={network},ifname={net.tap(machine.n, network)},script=no,downscript=no",
                 "-device", f"virtio-net-pci,netdev={network},mac=52:54:00:78:{i:02x}:{machine.n:02x},romfile="]
    if incoming:
        argv += ["-incoming", f"exec:cat '{incoming}'"]
    return argv


class Channel:
    """Lines of JSON over a socket of QEMU's, which serves one client at a time: the others wait to be let in."""

    def __init__(self, path, timeout):
        self._deadline = time.monotonic() + timeout * PATIENCE
        self._buffer = b""
        self._sock = socket.socket(socket.AF_UNIX)
        try:
            self._sock.connect(path)
        except OSError:
            self._sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._sock.close()

    def send(self, message, prefix=b""):
        self._sock.settimeout(max(0.01, self._deadline - time.monotonic()))
        self._sock.sendall(prefix + json.dumps(message).encode() + b"\n")

    def receive(self):
        """The next line, without what the agent's 0xff sets off."""
        while b"\n" not in self._buffer:
            self._sock.settimeout(max(0.01, self._deadline - time.monotonic()))
            data = self._sock.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line.rpartition(b"\xff")[2])


def monitor(path, name, timeout=60, /, **arguments):
    """One command for QEMU itself; what it returns."""
    with Channel(path, timeout) as channel:
        channel.receive()
        for request in ({"execute": "qmp_capabilities"}, {"execute": name, "arguments": arguments}):
            channel.send(request)
            answer = channel.receive()
            while "event" in answer:
                answer = channel.receive()
            if "error" in answer:
                raise LabError(f"QEMU: {name}: {answer['error']['desc']}")
        return answer["return"]


def agent(path, name, timeout=20, /, **arguments):
    """One command for the agent in the machine; what it returns. OSError when it does not answer."""
    with Channel(path, timeout) as channel:
        # What it still had to tell a client that went away comes first.
        mark = random.randrange(1 << 31)
        channel.send({"execute": "guest-sync-delimited", "arguments": {"id": mark}}, b"\xff")
        while channel.receive().get("return") != mark:
            pass
        channel.send({"execute": name, "arguments": arguments})
        answer = channel.receive()
    if "error" in answer:
        raise LabError(f"agent: {name}: {answer['error']['desc']}")
    return answer["return"]


def text(data):
    """What the agent gives in base64, as text."""
    return base64.b64decode(data).decode(errors="replace")
