"""What the hosts share as /vms: a directory, or an ext4 file system in a file."""

import errno
import os
import subprocess

from .util import LabError


def create(kind, vms, size_mib):
    """Make the storage at the path vms, with the directory of the disk images in it."""
    os.makedirs(vms)
    if kind == "ext4":
        image = f"{vms}.ext4"
        with open(image, "wb") as file:
            file.truncate(size_mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, vms], check=True)
    elif kind != "dir":
        raise LabError(f"storage is 'dir' or 'ext4', not '{kind}'")
    os.makedirs(f"{vms}/ds")


def thaw_leftover(vms):
    """End a freeze that was left behind: nothing that waits for the storage can be killed in it."""
    if os.path.ismount(vms):
        subprocess.run(["fsfreeze", "-u", vms], stderr=subprocess.DEVNULL)


def destroy(vms):
    """Unmount the storage; its users are gone."""
    if os.path.ismount(vms):
        subprocess.run(["umount", vms], check=True)


def fill(vms, leave):
    """Allocate all free space but so many bytes to one file."""
    with open(f"{vms}/ballast", "wb") as file:
        step = 1 << 30
        while step >= 4096:  # what the file system needs for itself is not known before
            fs = os.statvfs(vms)
            room = fs.f_bavail * fs.f_frsize - leave
            try:
                if room < step:
                    raise OSError(errno.ENOSPC, "no room for a whole step")
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
