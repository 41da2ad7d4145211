# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of the lab of whole machines."""

import argparse
import os
import subprocess
import sys
import time

from lab.util import LabError

from . import image
from .cluster import VmLab
from .host import DAEMONS

DESCRIPTION = """\
Bring up hosts that are whole machines, with systemd, NFS, KVM and a watchdog, in QEMU on this machine. VIRTX_VMLAB
names the lab (default: vmlab): labs of different names do not meet. VIRTX_VMLAB_CACHE is where image and snapshots are
kept (default: /var/cache/virtx-vmlab), VIRTX_VMLAB_ACCEL is kvm or tcg (default: kvm, if it can nest)."""

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build(args):
    print(image.build(args.again))


def up(args):
    lab = VmLab(args.hosts, args.build, memory=args.memory, cpus=args.cpus, snapshot=args.snapshot)
    lab.up()
    print(lab.times(), end="")
    status(args)


def down(args):
    try:
        lab = VmLab.attach()
    except LabError:
        lab = VmLab(0)
    lab.down()


def enter(args):
    machine = VmLab.attach().machine(args.machine)
    data = None if sys.stdin.isatty() else sys.stdin.buffer.read()
    try:
        done = machine.run(args.command, input=data or None, timeout=args.timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(error) from None
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)


def snapshot(args):
    VmLab.attach().snapshot(args.name)


def restore(args):
    VmLab.attach().restore(args.name)


def forget(args):
    VmLab.attach().forget(args.name)


def power(args):
    VmLab.attach().machine(args.machine).power(args.how)


def equip(args):
    given = {"cpu": args.cpu, "cpus": args.cpus, "nodes": args.nodes, "memory": args.memory, "cmdline": args.cmdline}
    VmLab.attach().machine(args.machine).equip(**{key: value for key, value in given.items() if value is not None})


def cut(args):
    VmLab.attach().machine(args.machine).cut(args.network)


def mend(args):
    VmLab.attach().machine(args.machine).cut(args.network, False)


def clock(args):
    VmLab.attach().machine(args.machine).clock(args.seconds)


def netem(args):
    VmLab.attach().machine(args.machine).netem(*args.rules)


def status(args):
    lab = VmLab.attach()
    for machine in lab.machines:
        answers = machine.process() and machine.answers()
        print(machine.name, machine.addr, machine.uuid, f"qemu={machine.process() or '-'}", end="")
        if answers and machine is not lab.storage:
            for daemon in DAEMONS:
                print(f" {daemon}={machine.pid(daemon) or '-'}", end="")
        print("" if answers else " does not answer")
    print("snapshots:", *lab.snapshots())


def log(args):
    machine = VmLab.attach().machine(args.machine)
    if args.unit:
        sys.stdout.write(machine.log(args.unit))
        return
    sys.stdout.write(machine.console())
    if machine.answers():
        sys.stdout.write(machine.log())


def main():
    parser = argparse.ArgumentParser(prog="vmlab", description=DESCRIPTION)
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def add(call, text, *names):
        verb = verbs.add_parser(call.__name__, help=text)
        verb.set_defaults(call=call)
        for name in names:
            verb.add_argument(name)
        return verb

    verb = add(build, "make the image that all machines start from, unless it is in the cache")
    verb.add_argument("--again", action="store_true", help="make it anew, with the packages of today")
    verb = add(up, "bring up a lab, instead of one that is up")
    verb.add_argument("hosts", nargs="?", type=int, default=2, help="how many hosts (2)")
    verb.add_argument("--build", metavar="DIR", default=f"{REPOSITORY}/build-vmlab",
                      help="the build directory, set up with --prefix=/usr --sysconfdir=/etc (build-vmlab)")
    verb.add_argument("--snapshot", choices=VmLab.ORDER, default="ready", help="as what (ready)")
    verb.add_argument("--memory", metavar="MIB", type=int, default=1280, help="of each host (1280)")
    verb.add_argument("--cpus", type=int, default=1, help="of each host (1)")
    add(down, "take the lab down; its snapshots are kept")
    verb = add(enter, "run a command on a machine (h1, nfs), with what is piped in as its input", "machine")
    verb.add_argument("--timeout", type=int, default=600, help="seconds (600)")
    verb.add_argument("command", nargs=argparse.REMAINDER)
    add(snapshot, "keep the state of all machines", "name")
    add(restore, "go back to a snapshot; bare, ready and running are made if need be", "name")
    add(forget, "remove a snapshot and those made from it", "name")
    verb = add(power, "switch a machine off or on, or reset it: no one is asked", "machine")
    verb.add_argument("how", choices=("off", "on", "reset"))
    verb = add(equip, "make a machine of something else, or again as the others are: it is switched off and on", "machine")
    verb.add_argument("--cpu", metavar="FEATURES", help="of its processor, more or less: --cpu=-avx2,-bmi2")
    verb.add_argument("--cpus", type=int)
    verb.add_argument("--nodes", type=int, help="NUMA nodes, which share memory and CPUs")
    verb.add_argument("--memory", metavar="MIB", type=int)
    verb.add_argument("--cmdline", metavar="WORDS", help="more for the kernel: 'hugepages=96'")
    for call, text in ((cut, "pull a cable of a machine"), (mend, "plug it in again")):
        verb = add(call, text, "machine")
        verb.add_argument("network", choices=("network", "storage"))
    verb = add(clock, "step a machine's clock", "machine")
    verb.add_argument("seconds", type=int, help="such as +3600")
    verb = add(netem, "delay or lose what a machine sends: delay 150ms loss 0.5%%; nothing ends it", "machine")
    verb.add_argument("rules", nargs=argparse.REMAINDER)
    add(status, "the machines, the process ids of the daemons in them, and the snapshots")
    verb = add(log, "what a machine, or a unit of it, has logged", "machine")
    verb.add_argument("unit", nargs="?")
    args = parser.parse_args()
    start = time.monotonic()
    try:
        args.call(args)
    except LabError as error:
        sys.exit(f"vmlab: {error}")
    if args.call in (build, up, snapshot, restore):
        print(f"{time.monotonic() - start:.1f} s")
