# SPDX-License-Identifier: GPL-2.0-or-later
"""Random Vmdefs through our domain XML, a real libvirt's define and dump, and back."""

import os
import random
import re

from lab import wrapped

COUNT = int(os.environ.get("VIRTX_ROUND_TRIPS", "500"))


def test_random_vmdefs(lab1):
    seed = int(os.environ.get("VIRTX_SEED", random.randrange(1, 2**63)))
    host = lab1.hosts[0]
    before = sorted(host.virsh("list", "--all", "--uuid").stdout.split())
    run = host.run([*wrapped([f"{lab1.build_dir}/test/integration/roundtrip"]), "qemu:///system",
                    str(COUNT), str(seed), "/vms"], timeout=300, check=False)
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    assert f"seed {seed}\n" in output
    assert re.search(rf"^{COUNT} round trips, 0 differ$", output, re.MULTILINE), output
    assert sorted(host.virsh("list", "--all", "--uuid").stdout.split()) == before
