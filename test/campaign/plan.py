# SPDX-License-Identifier: GPL-2.0-or-later
"""What a round does, made of its seed before it begins: nothing in it depends on what happens, or when.

An action names a slot, which holds one VM at a time, and the host that is asked, by their numbers. A fault names one host or
two, and how long it lasts. Each is begun no earlier than `at`; what it meets then is the round's.
"""

import random

# How often each is chosen beside the others.
ACTIONS = {"boot": 6, "shutdown": 1, "poweroff": 2, "pause": 2, "resume": 3, "migrate": 4, "move": 2, "update": 2,
           "register": 1, "delete": 2, "failover": 1, "recall": 1, "maintain": 1, "list": 2}

# Name: (how often, shortest and longest time in s). What one leaves down is started again at its end.
FAULTS = {
    "kill_virtxd": (3, 0, 3), "kill_libvirtd": (2, 0, 3), "kill_serf": (2, 0, 8), "kill_sanlock": (1, 0, 4),
    "kill_virtlogd": (1, 0, 2), "stop_virtxd": (2, 1, 10), "stop_libvirtd": (2, 1, 10), "stop_serf": (2, 1, 10),
    "stop_sanlock": (1, 1, 6), "kill_job": (5, 0, 3), "stop_job": (2, 1, 8), "kill_qemu": (2, 0, 0), "stop_qemu": (1, 1, 8),
    "host_dies": (1, 5, 30), "link_down": (2, 1, 15), "one_way": (2, 1, 15), "storage_hangs": (1, 1, 12),
    "disk_full": (2, 1, 8), "registry_lost": (1, 0, 0), "registry_foreign": (1, 2, 8), "by_hand": (2, 0, 0),
    "serf_flooded": (1, 1, 4),
}

# With failovers a host stays dead for longer than its leases count (8 s and 60 s for its watchdog).
FAILOVER_DEATH = (75, 95)


def choose(chance, weights):
    return chance.choices(list(weights), [weight[0] if isinstance(weight, tuple) else weight for weight in weights.values()])[0]


def actions(chance, slot, hosts, seconds):
    """One slot's, in their order."""
    made, at = [], chance.uniform(0, 3)
    while at < seconds:
        made.append({"at": round(at, 2), "slot": slot, "name": choose(chance, ACTIONS), "host": chance.randrange(hosts),
                     "other": chance.randrange(hosts), "choice": chance.random()})
        at += chance.uniform(0.3, 5)
    return made


def fault(chance, at, hosts, names):
    name = choose(chance, names)
    _, shortest, longest = FAULTS[name]
    host = chance.randrange(hosts)
    return {"at": round(at, 2), "name": name, "host": host, "other": (host + chance.randrange(1, hosts)) % hosts,
            "lasts": round(chance.uniform(shortest, longest), 2), "choice": chance.random()}


def faults(chance, hosts, seconds, failovers):
    """Those of a round, in their order; one in four has a second one beside it."""
    made, at = [], chance.uniform(3, 6)
    if failovers:
        made.append({"at": round(chance.uniform(10, 20), 2), "name": "host_dies", "host": chance.randrange(hosts), "other": 0,
                     "lasts": round(chance.uniform(*FAILOVER_DEATH), 2), "choice": 0})
        at = made[0]["at"] + made[0]["lasts"]
    while at < seconds:
        made.append(fault(chance, at, hosts, FAULTS))
        if chance.random() < 0.25:
            made.append(fault(chance, at + chance.uniform(0, 1), hosts, FAULTS))
        at += made[-1]["lasts"] + chance.uniform(0.5, 4)
    return made


def make(seed, hosts, slots, seconds, failovers):
    """{"actions": a list for each slot, "faults": a list}."""
    return {"actions": [actions(random.Random(f"{seed} slot {slot}"), slot, hosts, seconds) for slot in range(slots)],
            "faults": faults(random.Random(f"{seed} faults"), hosts, seconds, failovers)}
