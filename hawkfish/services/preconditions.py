"""What a request demands of a system before anything is changed."""

from __future__ import annotations

from hawkfish.domain.systems import System
from hawkfish.errors import PreconditionFailed


def refuse_other_version(system: System, expected_version: int | None) -> None:
    """Refuses where the caller has seen another version; for a request that changes nothing, and so writes none.

    Args:
        system: As it is now.
        expected_version: The version that it must have; None for any.

    Raises:
        PreconditionFailed: It has another.
    """
    if expected_version not in {None, system.version}:
        raise PreconditionFailed(
            f"The system {system.name} was changed by another; read it again.",
            kind="ComputerSystem",
            id=str(system.id),
        )
