"""A network between us and a libvirt host that can be cut: TCP to its libvirtd, over the virtual switch of the test bed.

Run as a program it relays connections of a unix socket to an address of the namespace that it is started in.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hawkfish.testing.waiting import wait_until
from tests.support.libvirt_host import LibvirtHostBed

OUR_ADDRESS = "10.99.0.254/24"
HOST_ADDRESS = ("10.99.0.1", 16509)


class Cable:
    """The way to `host-1` of a test bed; a cut says nothing to either end, as in the real world."""

    def __init__(self, bed: LibvirtHostBed, path: Path) -> None:
        self._switch = f"hf{(bed.folder / 'tag').read_text().strip()}-0"
        self.uri = f"qemu+unix:///system?socket={path}"

    def cut(self) -> None:
        """Nothing arrives any more."""
        self.ip("link", "set", "host-1", "down")

    def mend(self) -> None:
        """All goes through again."""
        self.ip("link", "set", "host-1", "up")

    def ip(self, *words: str) -> None:
        """Runs `ip` in the namespace of the switch."""
        subprocess.run(["ip", "-n", self._switch, *words], check=True, capture_output=True, timeout=30)

    def relay(self, path: Path) -> subprocess.Popen[bytes]:
        """Starts the relay in that namespace."""
        root = Path(__file__).parents[2]
        command = ["ip", "netns", "exec", self._switch, sys.executable, "-m", __name__, str(path)]
        return subprocess.Popen(command, cwd=root)


@contextmanager
def network_cable(bed: LibvirtHostBed) -> Iterator[Cable]:
    """A whole one; gone afterwards."""
    path = bed.folder / "cable.sock"
    cable = Cable(bed, path)
    cable.ip("addr", "replace", OUR_ADDRESS, "dev", "br0")
    relay = cable.relay(path)
    try:
        wait_until(path.exists, "the relay listens")
        yield cable
    finally:
        cable.mend()
        relay.kill()
        relay.wait(30)
        path.unlink()


def main(path: str) -> None:
    """Relays each connection by two threads."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client,), daemon=True).start()


def _serve(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(HOST_ADDRESS) as host:
        back = threading.Thread(target=_pump, args=(host, client), daemon=True)
        back.start()
        _pump(client, host)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main(sys.argv[1])
