from __future__ import annotations

import socket

from hawkfish.plugins.console import ConsoleChannel, ConsoleProtocol


class RdpProtocol(ConsoleProtocol):
    """Passes on what the machine sends until it ends."""

    def serve(self, channel: ConsoleChannel, descriptor: int) -> None:
        with socket.socket(fileno=descriptor) as machine:
            while data := machine.recv(65536):
                channel.send(data)
        channel.close("The machine ended the console.")
