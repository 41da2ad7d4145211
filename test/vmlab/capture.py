# SPDX-License-Identifier: GPL-2.0-or-later
"""All that goes over a network of the lab."""

import os
import socket
import struct
import threading

from lab import net as namespaces

from . import net

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33
FRAME = 1 << 17  # bytes: what the kernel puts together is longer than what the cable takes


class Capture:
    """The frames of the machines' cables in that network while a with statement lasts, in a file."""

    def __init__(self, lab, path, network="network"):
        self.lab = lab
        self.path = path
        self.network = network
        self.lost = 0
        self._ends = threading.Event()

    def _open(self, machine):
        sock = namespaces.open_socket(net.namespace(self.lab.name), socket.AF_PACKET, socket.SOCK_RAW)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        sock.settimeout(0.2)
        sock.bind((net.tap(machine.n, self.network), ETH_P_ALL))
        return sock

    def _keep(self, sock, file):
        while True:
            try:
                file.write(sock.recv(FRAME))
            except TimeoutError:
                if self._ends.is_set():
                    return

    def __enter__(self):
        self._file = open(self.path, "ab")
        self._socks = [self._open(machine) for machine in self.lab.hosts]
        self._threads = [threading.Thread(target=self._keep, args=(sock, self._file)) for sock in self._socks]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.end()

    def end(self):
        """No more is kept; lost is how many frames are missing."""
        if self._ends.is_set():
            return
        self._ends.set()
        for thread in self._threads:
            thread.join()
        for sock in self._socks:
            self.lost += struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
            sock.close()
        self._file.close()

    def size(self):
        return os.path.getsize(self.path)

    def find(self, words):
        """Those of the words, bytes, that were there to be read."""
        found, before = set(), b""
        longest = max(map(len, words))
        with open(self.path, "rb") as file:
            while data := file.read(1 << 24):
                found.update(word for word in words if word in before + data)
                before = data[-longest:]
        return found
