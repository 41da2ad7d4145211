"""What the other modules share: the lab's error, and the only way in which it waits."""

import os
import time


class LabError(Exception):
    """Something in the lab did not do what was asked; the text says what and shows the log."""


def wait_for(what, condition, timeout=10.0, interval=0.02):
    """Poll condition() until it returns something true, and return that; LabError after timeout."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise LabError(f"timed out after {timeout:g} s waiting for {what}")
        time.sleep(interval)


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
