"""What the other modules share: the lab's error, and the only way in which it waits."""

import fcntl
import os
import time


# By what factor all that the lab does may take longer, as when virtxd runs under valgrind.
PATIENCE = float(os.environ.get("VIRTX_PATIENCE", "1"))


class LabError(Exception):
    """Something in the lab did not do what was asked; the text says what and shows the log."""


def wait_for(what, condition, timeout=10.0, interval=0.02):
    """Poll condition() until it returns something true, and return that; LabError after timeout (x PATIENCE)."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise LabError(f"timed out after {timeout:g} s waiting for {what}")
        time.sleep(interval)


def wrapped(argv):
    """The command line of a program under test, under VIRTX_WRAP if that is set."""
    return os.environ.get("VIRTX_WRAP", "").split() + argv


def tail(path, lines=15):
    """The last lines of a file, empty when there is none."""
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except FileNotFoundError:
        return ""


def write(path, text, mode=0o644):
    """Write a whole file, made with the given mode."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def take_lock(path, name, variable):
    """The lock of a lab, an open file: two processes with one lab would take it down under each other."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    lock = open(path, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise LabError(f"lab '{name}' is in use by another process; "
                       f"{variable}=OTHERNAME makes one of your own") from None
    return lock


def sanlock_lists(status):
    """What `sanlock client status` says: lists of text under 'lockspaces', 'processes' and 'resources'."""
    kinds = {"s": "lockspaces", "p": "processes", "r": "resources"}
    lists = {name: [] for name in kinds.values()}
    for line in status.splitlines():
        kind, _, rest = line.partition(" ")
        if kind in kinds:
            lists[kinds[kind]].append(rest)
    return lists
