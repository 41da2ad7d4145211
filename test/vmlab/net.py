# SPDX-License-Identifier: GPL-2.0-or-later
"""The networks of the lab: bridges in a namespace of the lab's own, a tap for each network card."""

import os

from lab import net

# In the order of the machines' cards: eth0 is the cluster's, eth1 the storage's, eth2 the lab's way to the machines.
NETWORKS = ("network", "storage", "control")


def namespace(lab):
    """The network namespace that the lab's machines run in."""
    return f"virtx-vmlab-{lab}"


def address(n, network="network"):
    """The address of machine n in one of the networks."""
    return f"10.78.{NETWORKS.index(network)}.{n}"


def tap(n, network):
    return f"{network}{n}"


def create(lab, numbers):
    """Make the namespace, its bridges and the taps of the machines of these numbers."""
    name = namespace(lab)
    net.ip("netns", "add", name)
    net.ip("-n", name, "link", "set", "lo", "up")
    for network in NETWORKS:
        net.ip("-n", name, "link", "add", network, "type", "bridge")
        net.ip("-n", name, "address", "add", f"{address(254, network)}/24", "dev", network)
        net.ip("-n", name, "link", "set", network, "up")
        for n in numbers:
            net.ip("-n", name, "tuntap", "add", tap(n, network), "mode", "tap")
            net.ip("-n", name, "link", "set", tap(n, network), "master", network, "up")


def delete(lab):
    """Kill every process in the namespace and delete it; none is no error."""
    if os.path.exists(f"{net.NETNS_DIR}/{namespace(lab)}"):
        net.delete(namespace(lab))


def open_socket(lab):
    """A TCP socket in the lab's namespace, which reaches the machines."""
    return net.open_socket(namespace(lab))
