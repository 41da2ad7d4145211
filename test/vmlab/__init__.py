"""Whole machines with systemd, NFS, KVM and a watchdog, for tests: see VmLab, Host, and `vmlab --help`."""

from lab.rest import Response
from lab.util import PATIENCE, LabError, wait_for

from .cluster import VmLab
from .host import Host, Storage
from .machine import Machine, each

__all__ = ["VmLab", "Host", "Storage", "Machine", "Response", "LabError", "PATIENCE", "each", "wait_for"]
