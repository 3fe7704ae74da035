"""The interface of fence agents: making sure that a silent host is really off before its machines start elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum


class FenceState(StrEnum):
    """What a fence device says of a host's power."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class FenceAgent(ABC):
    """Controls the power of one physical host. Off means seen to be off, not asked to be."""

    @abstractmethod
    def status(self) -> FenceState:
        """What the device says now."""

    @abstractmethod
    def fence(self) -> None:
        """Cuts the power and returns once the device says that it is off.

        Raises:
            BackendError: It could not be cut, or not be seen to be off; nothing may be started elsewhere.
        """

    @abstractmethod
    def unfence(self) -> None:
        """Gives the power back."""
