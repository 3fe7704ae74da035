"""The interface of console protocols: how bytes pass between a client's WebSocket and a machine's console."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConsoleChannel:
    """The client's side of a console, as the gateway hands it to a protocol.

    Attributes:
        receive: Waits for the next message; None when the client has gone.
        send: Sends a binary message; waits while the client reads slowly.
        close: Ends the connection with a reason for people.
        view_only: Input from the client must not reach the machine.
    """

    receive: Callable[[], bytes | None]
    send: Callable[[bytes], None]
    close: Callable[[str], None]
    view_only: bool = False


class ConsoleProtocol(ABC):
    """One protocol, such as VNC."""

    subprotocols: tuple[str, ...] = ("binary",)
    """WebSocket subprotocols that clients of it may ask for, best first."""

    @abstractmethod
    def serve(self, channel: ConsoleChannel, descriptor: int) -> None:
        """Pumps between the channel and the connected socket `descriptor` until one side ends; closes the descriptor.

        Called in the gateway's cooperative loop: sockets are used through the standard library, which the gateway has made
        cooperative; nothing else may block.
        """
