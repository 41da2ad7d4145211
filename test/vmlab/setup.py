# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes hosts of bare machines: VirtX as it installs itself, and the configuration that the README asks for."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile

from lab.util import LabError, wait_for

from . import image, net
from .machine import each

LIST = "/var/lib/virtx-installed"  # on a host: the files that the lab has installed there

EXPORTS = f"/srv/vms {net.address(0, 'storage')}/24(rw,no_root_squash,no_subtree_check)\n"

FSTAB = "nfs:/srv/vms /vms nfs vers=4.2,hard,_netdev,bg 0 0\n"

QEMU_CONF = """\
dynamic_ownership = 0
lock_manager = "sanlock"
"""

QEMU_SANLOCK_CONF = """\
auto_disk_leases = 0
require_lease_for_disks = 0
host_id = {n}
"""

LIBVIRT_GUESTS = """\
ON_SHUTDOWN=shutdown
PARALLEL_SHUTDOWN=10
SHUTDOWN_TIMEOUT=120
"""

VIRTXD_CONF = """\
[http]
listen = 127.0.0.1:8080 open
listen = {addr}:8080 plain open
listen = {control}:8080 plain open

[libvirt]
migrate_uri = qemu+tcp://%s/system
"""

# As the README has it, with one reload of systemd's, and without enabling what Debian has enabled: each would be seconds.
CONFIGURE = """\
mkdir /vms
cat {etc}/fstab >> /etc/fstab
cat {etc}/qemu.conf >> /etc/libvirt/qemu.conf
cp {etc}/qemu-sanlock.conf /etc/libvirt/qemu-sanlock.conf
echo 'auth_tcp = "none"' >> /etc/libvirt/libvirtd.conf
echo softdog > /etc/modules-load.d/softdog.conf
sed -i 's/^sanlock_opts=.*/sanlock_opts=""/' /etc/default/sanlock
cat {etc}/libvirt-guests >> /etc/default/libvirt-guests
install -m 600 {etc}/virtx.json /etc/serf/virtx.json
systemd-sysusers
systemd-tmpfiles --create
install -m 640 -g virtx {etc}/virtxd.conf /etc/virtx/virtxd.conf

systemctl --no-reload enable libvirtd-tcp.socket virtxd
systemctl daemon-reload
mount /vms
modprobe softdog
systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
systemctl start libvirtd-tcp.socket libvirtd
systemctl restart wdmd
systemctl restart sanlock
systemctl restart serf
systemctl start virtxd
"""


# Not the lockspace's unit: a restart of it would leave the lockspace.
UPGRADE = """\
systemd-sysusers
systemd-tmpfiles --create
systemctl daemon-reload
systemctl restart virtxd
"""


def tarball(files):
    """Files {name: (mode, bytes)} as a compressed archive; the same files give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, (mode, data) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), 6, mtime=0)


class Install:
    """What `meson install` of a build directory puts on a host: an archive, and a name for it."""

    def __init__(self, build_dir):
        files = {}
        with tempfile.TemporaryDirectory() as work:
            image.run("meson", "install", "-C", build_dir, "--no-rebuild", "--quiet", "--strip", "--destdir", work)
            if not os.path.exists(f"{work}/usr/sbin/virtxd"):
                raise LabError(f"{build_dir} does not install into /usr: meson setup {build_dir} --prefix=/usr "
                               "--sysconfdir=/etc")
            for folder, _, names in os.walk(work):
                for path in (f"{folder}/{name}" for name in names):
                    with open(path, "rb") as file:
                        files[os.path.relpath(path, work)] = (os.stat(path).st_mode & 0o7777, file.read())
        files[LIST[1:]] = (0o644, "".join(f"/{name}\n" for name in sorted(files)).encode())
        self.data = tarball(files)
        self.name = hashlib.sha256(self.data).hexdigest()[:16]


def serf_settings(host):
    return {"node_name": host.name, "bind": host.addr, "rpc_addr": "127.0.0.1:7373", "user_event_size_limit": 1024,
            "retry_join": [other.addr for other in host.lab.hosts if other is not host], "retry_interval": "3s"}


def install(host, what):
    """Put VirtX on a host, in place of one that is there."""
    host.shell(f"touch {LIST} && xargs -a {LIST} rm -f")
    host.run(["tar", "-xzf", "-", "-C", "/"], input=what.data)


def configure(host):
    """Follow the README on a host that has VirtX, up to the start of virtxd."""
    control = net.address(host.n, "control")
    texts = {"fstab": FSTAB, "qemu.conf": QEMU_CONF, "qemu-sanlock.conf": QEMU_SANLOCK_CONF.format(n=host.n),
             "libvirt-guests": LIBVIRT_GUESTS,
             "virtx.json": json.dumps(serf_settings(host), indent=4) + "\n",
             "virtxd.conf": VIRTXD_CONF.format(addr=host.addr, control=control)}
    etc = "/root/vmlab"
    files = {f"{etc[1:]}/{name}": (0o644, text.encode()) for name, text in texts.items()}
    host.run(["tar", "-xzf", "-", "-C", "/"], input=tarball(files))
    host.shell(CONFIGURE.format(etc=etc), timeout=180)


def wait_members(lab, timeout=60):
    """Wait until each host's serf sees all hosts alive."""
    for host in lab.hosts:

        def all_alive():
            members = json.loads(host.serf("members", "-format=json").stdout)["members"]
            return sum(member["status"] == "alive" for member in members) == lab.n

        wait_for(f"{lab.n} serf members at {host.name}", all_alive, timeout, 0.3)


def make_ready(lab, put=None):
    """Make of bare machines hosts that have joined each other and a new storage; put(host) puts VirtX on one, if not as
    the lab's build installs itself."""
    if put is None:
        what = Install(lab.build_dir)

        def put(host):
            install(host, what)

    lab.storage.shell("mkdir /srv/vms; cat >> /etc/exports; exportfs -ra", input=EXPORTS)
    for host in lab.hosts:
        put(host)
    each(configure, lab.hosts)
    wait_members(lab)
    lab.hosts[0].virtx("storage", "init", check=True)
    for host in lab.hosts:
        host.wait_ready()


def upgrade(lab):
    """Put the lab's build on hosts that are ready with another one."""
    what = Install(lab.build_dir)
    for host in lab.hosts:
        install(host, what)
    each(lambda host: host.shell(UPGRADE, timeout=180), lab.hosts)
    for host in lab.hosts:
        host.wait_ready()
