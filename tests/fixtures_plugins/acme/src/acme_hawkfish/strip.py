from __future__ import annotations

from hawkfish.plugins.fencing import FenceAgent, FenceState


class PowerStrip(FenceAgent):
    """A strip that remembers its outlet."""

    def __init__(self, address: str, outlet: int) -> None:
        self.address = address
        self.outlet = outlet
        self._state = FenceState.ON

    def status(self) -> FenceState:
        return self._state

    def fence(self) -> None:
        self._state = FenceState.OFF

    def unfence(self) -> None:
        self._state = FenceState.ON
