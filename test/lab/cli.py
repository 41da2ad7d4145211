"""The command line of the lab."""

import argparse
import os
import sys
import time

from . import daemons
from .cluster import Lab
from .util import LabError

DESCRIPTION = """\
Bring up hosts on this machine that are namespaces, with libvirt, sanlock, serf and virtxd on each
and /vms shared. VIRTX_LAB names the lab (default: lab): labs of different names do not meet."""

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def up(args):
    start = time.monotonic()
    lab = Lab(args.hosts, args.build, storage=args.storage, virtxd=not args.no_virtxd)
    lab.up()
    print(f"lab '{lab.name}' is up after {time.monotonic() - start:.1f} s")
    status(args)


def down(args):
    try:
        lab = Lab.attach()
    except LabError:
        lab = Lab(0)
    lab.down()


def enter(args):
    host = Lab.attach().host(args.host)
    argv = host.enter(args.command or ["bash", "--norc"])
    os.execvpe(argv[0], argv, host.environment({"PS1": f"{host.name}# "}))


def status(args):
    lab = Lab.attach()
    for host in lab.hosts:
        print(f"{host.name} {host.addr} {host.uuid}", end="")
        for daemon in daemons.order(host.lab):
            print(f" {daemon}={host.pid(daemon) if host.alive(daemon) else '-'}", end="")
        print()


def log(args):
    host = Lab.attach().host(args.host)
    sys.stdout.write(host.log(args.daemon))


def main():
    parser = argparse.ArgumentParser(prog="lab", description=DESCRIPTION)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("up", help="bring up a lab, instead of one that is up")
    verb.add_argument("hosts", nargs="?", type=int, default=1, help="how many hosts (1)")
    verb.add_argument("--build", metavar="DIR", default=f"{REPOSITORY}/build",
                      help="the build directory (build)")
    verb.add_argument("--storage", choices=("dir", "ext4"), default="dir",
                      help="what /vms is: a directory, or a file system of its own")
    verb.add_argument("--no-virtxd", action="store_true", help="all but virtxd")
    verb.set_defaults(call=up)
    verb = verbs.add_parser("down", help="take the lab down and remove its files")
    verb.set_defaults(call=down)
    verb = verbs.add_parser("enter", help="run a command, or a shell, on a host")
    verb.add_argument("host")
    verb.add_argument("command", nargs=argparse.REMAINDER)
    verb.set_defaults(call=enter)
    verb = verbs.add_parser("status", help="the hosts and the process ids of their daemons")
    verb.set_defaults(call=status)
    verb = verbs.add_parser("log", help="what a daemon of a host has logged")
    verb.add_argument("host")
    verb.add_argument("daemon", nargs="?", default="virtxd", choices=daemons.ORDER)
    verb.set_defaults(call=log)
    args = parser.parse_args()
    try:
        args.call(args)
    except LabError as error:
        sys.exit(f"lab: {error}")
