# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of a snapshot: for each machine what its disk was, which later disks are laid over, and the state to go
on from; and the note that makes it one."""

import glob
import json
import os
import shutil

from . import image


def note(path):
    """What the snapshot was made as; None if it, or one that its disks are laid over, is not there."""
    try:
        with open(f"{path}/snapshot.json") as file:
            kept = json.load(file)
    except FileNotFoundError:
        return None
    return kept if not kept["parent"] or note(kept["parent"]) else None


def finish(part, path, **kept):
    """All is in the directory part: it is a snapshot now, unless another process has just made the same."""
    with open(f"{part}/snapshot.json", "w") as file:
        json.dump(kept, file)
    try:
        os.rename(part, path)
    except OSError:
        if not note(path):
            raise
        shutil.rmtree(part)


def used(path):
    """Keep the snapshot, and those that it stands on, from being removed as old."""
    while path:
        os.utime(path)
        path = note(path)["parent"]


def remove(path):
    """Remove a snapshot and all that stand on it."""
    for other in glob.glob(f"{image.CACHE}/image-*/*-*") + glob.glob(f"{image.CACHE}/lab-*/snapshots/*"):
        kept = note(other)
        if kept and kept["parent"] == path:
            remove(other)
    shutil.rmtree(path, ignore_errors=True)


def fresh(pattern):
    """The newest of the snapshots that was not itself made from an older build's; None if there is none."""
    found = [path for path in glob.glob(pattern) if (kept := note(path)) and kept["fresh"]]
    return max(found, key=os.path.getmtime, default=None)
