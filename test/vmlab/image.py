# SPDX-License-Identifier: GPL-2.0-or-later
"""What all machines start from: a Debian with the packages but nothing configured, and its kernel.

Kept in a cache: a root by the list of its packages, a disk image by that and by what is laid over it.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import struct
import subprocess
import time

from lab.util import LabError, write

CACHE = os.environ.get("VIRTX_VMLAB_CACHE", "/var/cache/virtx-vmlab")
HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(os.path.dirname(os.path.dirname(HERE)), "README.md")
GUEST = os.path.join(os.path.dirname(HERE), "guest", "build")  # makes the images that VMs in the machines boot from
SUITE = "bookworm"
OLD = 7 * 24 * 3600  # seconds after which what nobody used is removed

# What a machine has beside what the README has installed on a host.
PACKAGES = [
    "systemd-sysv", "dbus", "udev", "kmod", "linux-image-cloud-amd64", "qemu-guest-agent",
    # The libraries that VirtX was linked with.
    "libevent-core-2.1-7", "libevent-extra-2.1-7", "libevent-openssl-2.1-7", "libssl3", "libyajl2", "libmsgpackc2", "libinih1", "libxml2",
    "libsanlock-client1", "libyaml-0-2",
    "ifupdown", "nfs-kernel-server", "open-iscsi", "multipath-tools", "targetcli-fb", "sg3-utils",
    "apparmor", "nftables", "numad",
    "jq",  # for the manual's examples
    "python3-minimal", "iputils-ping", "procps", "psmisc", "lsof", "strace", "tcpdump", "less",
]

# What no test needs and every boot would wait for, or what would run at times of its own.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "logrotate.timer", "systemd-tmpfiles-clean.timer",
    "e2scrub_reap.service", "getty@tty1.service", "serial-getty@ttyS0.service", "nfs-blkmap.service",
    "systemd-pstore.service", "systemd-binfmt.service", "hwclock.service", "rtslib-fb-targetctl.service",
]

# What a test that is about them starts or enables: at boot each takes seconds of every machine.
DISABLED = ["apparmor.service", "multipathd.service", "multipathd.socket", "networking.service", "open-iscsi.service",
            "iscsid.socket", "ssh.service", "numad.service"]

# What the kernel needs to reach its disk, and to show its network cards in their order; and /dev/kvm, which libvirtd would
# miss when it starts before udev has come that far. The one for another processor is refused.
MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "kvm_amd", "kvm_intel"]

INIT = """\
#!/bin/sh
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module 2>/dev/null; done
tries=0
until [ -b /dev/vda ] || [ $tries = 500 ]; do sleep 0.02; tries=$((tries + 1)); done
mount -t ext4 -o noatime /dev/vda /new
exec switch_root /new /lib/systemd/systemd
"""


def run(*argv, **kwargs):
    """Run a program; its output, or LabError with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)} exited with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def packages():
    """The packages of a machine: those that the README names, and the lab's own."""
    with open(README, encoding="utf-8") as file:
        named = re.search(r"^ +apt install ((?:.*\\\n)*.*)", file.read(), re.M).group(1)
    return sorted({*named.replace("\\", " ").split(), *PACKAGES})


def digest(*parts):
    """A short name for what was made from these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def root_key():
    return digest(SUITE, *packages())


def image_key():
    """Named after all that goes into the image: the packages, this program and the files laid over."""
    parts = [root_key()]
    for path in [os.path.join(HERE, "image.py"), GUEST, *sorted(glob.glob(f"{HERE}/root/**", recursive=True))]:
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                parts += [os.path.relpath(path, HERE), str(os.stat(path).st_mode), file.read()]
    return digest(*parts)


def image_dir():
    """Where the image is, whether or not it was made yet."""
    return f"{CACHE}/image-{image_key()}"


@contextlib.contextmanager
def locked(what="image"):
    """What is made in the cache, for one process at a time."""
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{CACHE}/{what}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made(path, make):
    """The directory in the cache, filled by make(directory) when it is not there."""
    if not os.path.isdir(path):
        part = f"{path}.part"
        remove(part)
        os.makedirs(part)
        make(part)
        os.rename(part, path)
    os.utime(path)
    return path


def remove(path):
    """Remove a tree; one that still has something mounted in it is left, and said so."""
    if any(line.split()[1].startswith(f"{path}/") for line in open("/proc/self/mounts")):
        raise LabError(f"something is mounted in {path}")
    shutil.rmtree(path, ignore_errors=True)


def build(rebuild=False):
    """Make the image, unless it is in the cache: the directory with base.qcow2, vmlinux and initrd."""
    with locked():
        root = f"{CACHE}/root-{root_key()}"
        if rebuild:
            remove(root)
            remove(image_dir())
        path = made(image_dir(), lambda work: make_image(made(root, make_root), work))
        prune({root, path})
        return path


def prune(keep):
    """Remove what other lists and older programs have left in the cache, once it is old."""
    for path in glob.glob(f"{CACHE}/root-*") + glob.glob(f"{CACHE}/image-*") + glob.glob(f"{CACHE}/image-*/*-*"):
        if path not in keep and time.time() - os.path.getmtime(path) > OLD:
            remove(path)


def sources():
    """This machine's own sources of Debian packages, as lines of a sources.list."""
    given = run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI) $(RELEASE) $(COMPONENT)",
                "Created-By: Packages")
    lines = [line.split("|") for line in given.splitlines()]
    return [f"deb {source}" for origin, name, source in lines if origin == "Debian" and name.startswith(SUITE)]


def make_root(path):
    """Unpack and configure the packages. No initramfs: the lab has one of its own, that starts faster."""
    debian = sources()
    if not debian:
        run("apt-get", "update", "-q")
        debian = sources()
    options = ["--mode=root", "--variant=minbase", f"--include={','.join(packages())}",
               '--aptopt=APT::Install-Recommends "false"', '--aptopt=APT::Sandbox::User "root"']
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man", "info")]
    run("mmdebstrap", *options, SUITE, path, *debian, env={**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"})
    os.chmod(path, 0o755)


def make_image(root, work):
    """The disk image from a copy of the root with the lab's files on it, the kernel and its initramfs."""
    copy = f"{work}/root"
    run("cp", "-a", "--reflink=auto", root, copy)
    run("cp", "-a", "--no-preserve=ownership", f"{HERE}/root/.", copy)
    for unit in MASKED:
        os.symlink("/dev/null", f"{copy}/etc/systemd/system/{unit}")
    for unit in DISABLED:
        wanted = glob.glob(f"{copy}/etc/systemd/system/*.wants/{unit}")
        if not wanted:
            raise LabError(f"no unit wants {unit}, which was to be disabled")
        for path in wanted:
            os.unlink(path)
    write(f"{copy}/etc/machine-id", "")
    write(f"{copy}/etc/hostname", "localhost\n")
    write(f"{copy}/etc/resolv.conf", "")  # names are in /etc/hosts; a server that cannot be reached would be waited for
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{copy}/var/lib/dbus/machine-id")
    os.makedirs(f"{copy}/var/log/journal", exist_ok=True)
    run(GUEST, "-o", f"{copy}/root")
    make_kernel(copy, f"{work}/vmlinux")
    make_initrd(copy, work)
    raw = f"{work}/base.raw"
    with open(raw, "wb") as file:
        file.truncate(8 << 30)
    run("mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-E", "lazy_itable_init=1,lazy_journal_init=1",
        "-d", copy, raw)
    run("qemu-img", "convert", "-O", "qcow2", raw, f"{work}/base.qcow2")
    os.unlink(raw)
    shutil.rmtree(copy)


def make_kernel(root, path):
    """The kernel as an ELF file, which QEMU starts without a boot loader or decompression in the machine."""
    with open(glob.glob(f"{root}/boot/vmlinuz-*")[0], "rb") as file:
        image = file.read()
    offset, size = struct.unpack_from("<II", image, 0x248)
    start = (image[0x1f1] + 1) * 512 + offset
    packed = image[start:start + size]
    # The last four bytes are the size when unpacked.
    done = subprocess.run(["lz4", "-dc"], input=packed[:-4], capture_output=True)
    if not done.stdout.startswith(b"\x7fELF"):
        raise LabError(f"the kernel cannot be unpacked: {done.stderr.decode()}")
    with open(path, "wb") as file:
        file.write(done.stdout)


def module_files(root):
    """The files of MODULES and of what they need, in the order of loading; what is built in has none."""
    base = glob.glob(f"{root}/lib/modules/*")[0]
    depends = {}
    with open(f"{base}/modules.dep") as file:
        for line in file:
            path, _, needed = line.partition(":")
            depends[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = [*reversed(needed.split()), path]
    order = []
    for name in MODULES:
        order += [path for path in depends.get(name, []) if path not in order]
    return [f"{base}/{path}" for path in order]


def make_initrd(root, work):
    """An initramfs that loads the modules and goes on with the disk."""
    tree = f"{work}/initramfs"
    for directory in ("bin", "dev", "new", "modules"):
        os.makedirs(f"{tree}/{directory}")
    shutil.copy("/bin/busybox", f"{tree}/bin/busybox")
    for applet in ("sh", "mount", "insmod", "sleep", "switch_root"):
        os.symlink("busybox", f"{tree}/bin/{applet}")
    for i, path in enumerate(module_files(root)):
        shutil.copy(path, f"{tree}/modules/{i:02}-{os.path.basename(path)}")
    write(f"{tree}/init", INIT, 0o755)
    names = run("find", ".", cwd=tree)
    with open(f"{work}/initrd", "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree, check=True,
                       input=names.encode(), stdout=file)
    shutil.rmtree(tree)
