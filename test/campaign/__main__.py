# SPDX-License-Identifier: GPL-2.0-or-later
"""campaign [minutes] [seed]: rounds from seed on, each on a lab of its own, until the time is over or one is wrong."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from campaign import look, plan  # noqa: E402
from campaign.client import Client  # noqa: E402
from campaign.end import End  # noqa: E402
from campaign.faults import Faults  # noqa: E402
from campaign.journal import Journal  # noqa: E402
from campaign.watch import Probe, Watch  # noqa: E402
from lab import Lab, wait_for  # noqa: E402
from lab.vms import wait_joined  # noqa: E402

SLOTS = 6
SECONDS = 60        # of a round's faults
FAILOVERS = 130     # and of one with failovers
ARMED = 150         # s until hosts with names of their own are armed


class Round:
    """One seed's."""

    def __init__(self, seed, args):
        self.seed, self.args = seed, args
        self.failovers = args.failovers if args.failovers is not None else seed % 3 == 0
        self.seconds = args.seconds or (FAILOVERS if self.failovers else SECONDS)
        self.plan = plan.make(seed, args.hosts, SLOTS, self.seconds, self.failovers)
        self.image = args.image
        self.harm_until = 0.0   # when no guest is ended any more for what a fault did
        self.to_repair = False  # a fault has left what is for an operator to mend
        self.lab = self.journal = self.faults = None
        self.clients, self.probes, self.baseline, self.spaces = [], [], {}, {}

    def vms(self):
        return [vm for client in self.clients for vm in list(client.vms)]

    def config(self):
        config = {"sanlock": {"kill_unprotected": "yes"}, "jobs": {"collect_period": 2}}
        if self.failovers:
            config["ha"] = {"enabled": "yes", "policy": "restart", "unsafe_without_watchdog": "yes"}
        return config

    def go(self, path):
        """Whether all was right; what was done, told in a line."""
        self.journal = Journal(path)
        self.journal.tell("round", seed=self.seed, hosts=self.args.hosts, failovers=self.failovers, plan=self.plan)
        lab = Lab(self.args.hosts, build_dir=self.args.build, name=f"{self.args.prefix}camp", storage="ext4", config=self.config())
        for host in lab.hosts:
            if self.failovers:
                host.sanlock_name = None
        with lab:
            self.lab = lab
            wait_joined(lab)
            if self.failovers:
                self.wait_armed()
            told = self.play()
            if self.journal.violations:
                self.keep_logs(os.path.splitext(path)[0])
        self.journal.close()
        return told

    def wait_armed(self):
        for host in self.lab.hosts:
            for other in self.lab.hosts:
                wait_for(f"{host.name} to know that {other.name} is armed", lambda host=host, other=other: host.api(
                    "GET", f"/hosts/{other.uuid}").json()["ha"]["armed"], ARMED)

    def play(self):
        self.spaces = look.networks(self.lab.hosts)
        self.baseline = {host.name: look.process(host.pid("virtxd")) for host in self.lab.hosts}
        self.journal.begin()
        self.journal.tell("round", begins=True, baseline=self.baseline)
        self.clients = [Client(self, actions, slot) for slot, actions in enumerate(self.plan["actions"])]
        self.faults = Faults(self, self.plan["faults"])
        self.probes = [Probe(self, host) for host in self.lab.hosts]
        watch = Watch(self)
        for thread in (watch, *self.probes, *self.clients, self.faults):
            thread.start()
        for thread in (*self.clients, self.faults):
            thread.join()
        self.faults.heal()
        for probe in self.probes:
            probe.going = False
        end = End(self)
        end.run()
        watch.going = False
        watch.join()
        return {"faults": self.faults.begun, "vms": len(self.vms()), "looks": watch.looks, **end.figures()}

    def keep_logs(self, folder):
        """What the daemons have logged, beside the journal."""
        for host in self.lab.hosts:
            shutil.copytree(f"{host.state}/log", f"{folder}/{host.name}", dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("swtp*", "*.sock"))


def arguments():
    parser = argparse.ArgumentParser(prog="test/run campaign", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=5, help="begin no round after so many (5)")
    parser.add_argument("seed", nargs="?", type=int, default=random.randrange(1, 1 << 30), help="the first round's")
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=0, help="so many at most")
    parser.add_argument("--seconds", type=float, default=0, help="of each round's faults")
    parser.add_argument("--failovers", type=int, choices=(0, 1), help="else in each third round")
    parser.add_argument("--build", default=os.environ.get("VIRTX_BUILD", f"{ROOT}/build"))
    parser.add_argument("--prefix", default=os.environ.get("VIRTX_LAB_PREFIX", ""))
    parser.add_argument("--keep-going", action="store_true", help="after a round that is wrong")
    parser.add_argument("--plan", action="store_true", help="print what the seed does, and do nothing")
    return parser.parse_args()


def guest_image():
    made = subprocess.run([f"{ROOT}/test/guest/build"], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    return next(path for path in made if "counter" in path)


def main():
    args = arguments()
    if args.plan:
        print(json.dumps(Round(args.seed, argparse.Namespace(**vars(args), image=None)).plan, indent=1))
        return 0
    args.image = guest_image()
    os.makedirs(f"{args.build}/campaign", exist_ok=True)
    ends, seed, wrong, faults = time.monotonic() + args.minutes * 60, args.seed, 0, 0
    while (not args.rounds or seed < args.seed + args.rounds) and time.monotonic() < ends:
        path = f"{args.build}/campaign/{seed}.jsonl"
        round_ = Round(seed, args)
        told = round_.go(path)
        faults += told["faults"]
        print(f"seed {seed}{' with failovers' if round_.failovers else ''}: {told}", flush=True)
        for (rule, vm, host), what in round_.journal.violations:
            print(f"  VIOLATION {rule} {vm or host or ''}: {what}", flush=True)
        if round_.journal.violations:
            wrong += 1
            print(f"  journal: {path}\n  again: test/run campaign {args.minutes:g} {seed}", flush=True)
            if not args.keep_going:
                break
        seed += 1
    print(f"{seed - args.seed + (1 if wrong and not args.keep_going else 0)} rounds, {faults} faults, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
