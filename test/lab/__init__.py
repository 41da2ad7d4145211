"""A federation of hosts on one machine, for tests: see Lab and Host, and `lab --help`."""

from .cluster import Lab
from .host import Host
from .rest import Response
from .util import PATIENCE, LabError, wait_for, wrapped

__all__ = ["Lab", "Host", "Response", "LabError", "PATIENCE", "wait_for", "wrapped"]
