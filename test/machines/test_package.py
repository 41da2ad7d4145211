# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages on whole machines: from bare Debian to a cluster, upgraded while VMs run, removed and purged.
VIRTX_OLD_PACKAGES is a folder with those of the version before, else they are the new ones, with a lower number."""

import os
import subprocess

import pytest
from conftest import PREFIX, TIMES, packages
from lab import wait_for
from lab.vms import runstate
from test_smoke import leases
from vmlab import VmLab, guest, setup

OTHERS = ("libvirtd", "sanlock", "wdmd", "serf")  # whose processes nothing of ours may touch
FOLDER = "/root/packages"  # on a host


def lowered(path, folder):
    """The same package with a version that comes before."""
    tree = f"{folder}/tree"
    subprocess.run(["dpkg-deb", "-R", path, tree], check=True)
    with open(f"{tree}/DEBIAN/control", encoding="utf-8") as file:
        control = file.read()
    version = version_of(path)
    with open(f"{tree}/DEBIAN/control", "w", encoding="utf-8") as file:
        file.write(control.replace(version, f"{version}~before"))
    subprocess.run(["dpkg-deb", "-b", tree, f"{folder}/{os.path.basename(path).replace(version, version + '~before')}"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-r", tree], check=True)


def version_of(path):
    return subprocess.run(["dpkg-deb", "-f", path, "Version"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def old(new, tmp_path_factory):
    folder = os.environ.get("VIRTX_OLD_PACKAGES")
    if not folder:
        folder = tmp_path_factory.mktemp("old")
        for path in new:
            lowered(path, folder)
    return packages(folder)


def put(host, paths):
    """Install these packages; what dpkg says."""
    files = {}
    for path in paths:
        with open(path, "rb") as file:
            files[f"{FOLDER[1:]}/{os.path.basename(path)}"] = (0o644, file.read())
    host.shell(f"rm -rf {FOLDER}")
    host.run(["tar", "-xzf", "-", "-C", "/"], input=setup.tarball(files))
    return dpkg(host, "install", *(f"{FOLDER}/{os.path.basename(path)}" for path in paths))


def dpkg(host, verb, *what):
    """What apt has done in the end: its own part takes minutes on emulated machines. All that is needed has to be there."""
    with host.lab.timed(f"{host.name}: dpkg --{verb}"):
        return host.shell(f"dpkg --{verb} {' '.join(what)} 2>&1", timeout=300, env={"DEBIAN_FRONTEND": "noninteractive"}).stdout


def installed(host, package="virtx"):
    """The version that dpkg has installed; "" for none."""
    shown = host.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package], check=False).stdout.split()
    return shown[1] if shown and shown[0] == "installed" else ""


class Running:
    """A VM on a host, and all that goes on there: what must be the same after something was done to the packages."""

    def __init__(self, host, uuid, name):
        self.host, self.uuid, self.name = host, uuid, name
        self.before = self.look()

    def look(self):
        host = self.host
        return {"boot": host.boot_id(), "daemons": {daemon: host.pid(daemon) for daemon in OTHERS},
                "qemu": host.read(f"/run/libvirt/qemu/{self.uuid}.pid"), "leases": sorted(host.sanlock_status()["resources"]),
                "lockspaces": host.sanlock_status()["lockspaces"],
                "left": host.show("virtx-lockspace.service", "InactiveEnterTimestampMonotonic"),
                "config": host.shell("sha256sum /etc/virtx/*; stat -c '%a %U %G' /etc/virtx /etc/virtx/virtxd.conf").stdout,
                "registry": host.shell("cd /vms && find xml ds lock -type f ! -name seen | sort").stdout}

    def check(self):
        assert self.look() == self.before
        guest.wait_counting(self.host.lab, self.name)


@pytest.fixture
def lab():
    """Bare machines, of a lab of their own: the others have VirtX as it installs itself."""
    with VmLab(2, name=f"{PREFIX}pkg", snapshot="bare") as lab:
        yield lab
        TIMES.append(lab.times())


def test_packages(lab, old, new):
    h1, h2 = lab.hosts
    setup.make_ready(lab, lambda host: install_first(host, old))
    uuid = guest.start(lab)
    assert runstate(h2, uuid) == "running" and leases(h2) == 3

    # With a VM on the host, and the other one of the old version.
    upgrade(Running(h2, uuid, "guest"), new)
    moved = h1.virtx("migrate", "vm", uuid, "-h", h1.uuid, "--live", "--wait", timeout=180)
    assert moved.returncode == 0, moved.stderr
    wait_for("h1 to run it", lambda: runstate(h1, uuid) == "running" and leases(h1) == 3, 60, 0.2)
    upgrade(Running(h1, uuid, "guest"), new)

    remove_without_vms(h2)
    remove_with_vm(Running(h1, uuid, "guest"), new)
    purge(h2)


def install_first(host, paths):
    """Nothing runs that was not asked for, and what is asked for next is there."""
    put(host, paths)
    assert installed(host) == installed(host, "virtx-client") == version_of(paths[0])
    assert not host.alive("virtxd") and not host.alive("virtx-lockspace")
    assert host.run(["systemctl", "is-enabled", "virtxd"], check=False).stdout.strip() == "disabled"
    assert host.shell("stat -c '%a %U %G' /etc/virtx /run/virtx").stdout.split("\n")[:2] == ["750 root virtx", "710 root virtx"]
    assert host.virtx("--version").returncode == 0
    # The machines keep no documentation, of whatever package.
    listed = host.run(["dpkg", "-L", "virtx", "virtx-client", "virtx-doc"]).stdout.splitlines()
    for path in ("examples/vm-qcow2.json", "examples/virtx-alerts.yml", "virtxd.conf", "README.md.gz"):
        assert f"/usr/share/doc/virtx/{path}" in listed


def upgrade(running, new):
    """virtxd is another one, is ready again without having left the lockspace, and all else is as it was."""
    host = running.host
    virtxd, version = host.pid("virtxd"), installed(host)
    put(host, new)
    assert installed(host) == version_of(new[0]) != version
    assert host.pid("virtxd") not in (0, virtxd)
    host.wait_ready()
    assert runstate(host, running.uuid) == "running"
    running.check()


def remove_without_vms(host):
    """The host leaves the lockspace, and keeps its configuration."""
    daemons = {daemon: host.pid(daemon) for daemon in OTHERS}
    dpkg(host, "remove", "virtx")
    assert installed(host) == "" and installed(host, "virtx-client")
    assert host.sanlock_status()["lockspaces"] == []
    assert {daemon: host.pid(daemon) for daemon in OTHERS} == daemons
    assert host.run(["pgrep", "-x", "virtxd"], check=False).stdout == ""
    assert host.run(["systemctl", "list-unit-files", "virtx*"], check=False).stdout.find(".service") == -1
    host.run(["test", "-s", "/etc/virtx/virtxd.conf"])


def remove_with_vm(running, new):
    """The VM goes on with its leases, and is there when VirtX is again."""
    host = running.host
    said = dpkg(host, "remove", "virtx")
    assert "stays in sanlock's lockspace" in said, said
    assert installed(host) == "" and host.pid("virtxd") == 0
    assert leases(host) == 3 and host.sanlock_status()["lockspaces"] == running.before["lockspaces"]
    assert host.read(f"/run/libvirt/qemu/{running.uuid}.pid") == running.before["qemu"]
    guest.wait_counting(host.lab, running.name)

    put(host, new)
    host.start("virtxd")
    host.wait_ready()
    assert runstate(host, running.uuid) == "running"
    running.check()


def purge(host):
    """Our configuration and state go, and nothing of the storage."""
    before = host.lab.storage.shell("cd /srv/vms && find . -type f ! -name seen | sort").stdout
    dpkg(host, "purge", "virtx")
    left = host.shell("ls -d /etc/virtx /run/virtx /etc/systemd/system/*/virtx* /lib/systemd/system/virtx* 2> /dev/null || :")
    assert left.stdout == ""
    assert host.lab.storage.shell("cd /srv/vms && find . -type f ! -name seen | sort").stdout == before
    host.run(["mountpoint", "/vms"])
