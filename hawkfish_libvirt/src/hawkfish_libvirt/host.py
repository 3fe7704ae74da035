"""A host: its connections, its events, and how a domain of it is found.

There are three connections, because libvirtd reads at most five requests of one client at a time: storage that hangs must
not stand before machines, and nothing must stand before cutting the power.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import libvirt

from hawkfish.domain.machines import MachineEventKind
from hawkfish.errors import ForeignObject, MachineNotFound
from hawkfish.plugins.context import HostConfig, PluginContext
from hawkfish_libvirt.connection import Connection
from hawkfish_libvirt.events import EventHub
from hawkfish_libvirt.guest import Guest

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class LibvirtHost:
    """One host, as the driver's parts share it."""

    def __init__(self, config: HostConfig, context: PluginContext) -> None:
        self.name = config.name
        self.uri = config.uri
        self.installation_id = context.installation_id
        self.timeout = context.call_timeout
        self.events = EventHub(config.name)
        self.machines = Connection(
            config.name, config.uri, on_open=self.events.register, on_up=self._on_up, on_lost=self._on_lost
        )
        self.power = Connection(config.name, config.uri)
        self.storage = Connection(config.name, config.uri)
        self._lost_before = False

    def open(self) -> None:
        """Connects; goes on trying when that fails."""
        connections = (self.machines, self.power, self.storage)
        self.events.open()
        for connection in connections:
            connection.begin()
        end = time.monotonic() + self.timeout
        for connection in connections:
            connection.wait_open(end - time.monotonic())

    def close(self) -> None:
        """Lets go of connections and threads."""
        for connection in (self.machines, self.power, self.storage):
            connection.close()
        self.events.close()

    def machine(
        self,
        operation: str,
        machine_id: UUID,
        function: Callable[[Guest], Result],
        *,
        connection: Connection | None = None,
        changes: bool = False,
    ) -> Result:
        """Runs `function(guest)` on one machine, looked up anew: a domain object does not outlive its connection.

        Raises:
            MachineNotFound: There is no such machine.
        """

        def run(raw: libvirt.virConnect) -> Result:
            return function(Guest(raw, raw.lookupByUUID(machine_id.bytes)))

        try:
            return (connection or self.machines).call(
                f"{operation} of machine {machine_id}",
                run,
                self.timeout,
                subject=str(machine_id) if changes else None,
                owner=str(machine_id),
            )
        except MachineNotFound as error:
            raise MachineNotFound(
                f"{operation} was not possible: host {self.name} has no machine {machine_id}.",
                operation=operation,
                host=self.name,
                machine=str(machine_id),
                reason="no such machine",
            ) from error

    def require_own(self, guest: Guest, operation: str) -> None:
        """Refuses machines that this installation has not made.

        Raises:
            ForeignObject: It bears no stamp of ours.
        """
        stamp = guest.definition().stamp
        if stamp is None or stamp.installation_id != self.installation_id:
            raise ForeignObject(
                f"{operation} of machine {guest.name} on host {self.name} was refused: this installation has not made it. "
                "Adopt it first, or leave it alone.",
                operation=operation,
                host=self.name,
                reason="no stamp of this installation",
            )

    def _on_up(self) -> None:
        if self._lost_before:
            self._lost_before = False
            self.events.emit(MachineEventKind.CONNECTION_RESTORED)

    def _on_lost(self, reason: str) -> None:
        self._lost_before = True
        self.events.emit(MachineEventKind.CONNECTION_LOST, detail=reason)
