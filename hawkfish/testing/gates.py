"""Two-sided capability gates: what is claimed must work, what is not claimed must not be offered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hawkfish.domain.hosts import ComputeCapability
from hawkfish.plugins.compute import CAPABILITY_INTERFACES, ComputeDriver, offered_capabilities


def needs(*capabilities: ComputeCapability) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a test of a contract (with a parameter `driver`) where the driver offers the capabilities.

    Elsewhere the test shows the other side: code and host do not both say yes. Nothing is skipped.
    """

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def gated(self: Any, driver: ComputeDriver, **fixtures: Any) -> None:
            facts = driver.probe()
            missing = [item for item in capabilities if item not in offered_capabilities(driver, facts)]
            for item in missing:
                assert not (isinstance(driver, CAPABILITY_INTERFACES[item]) and item in facts.capabilities)
            if not missing:
                test(self, driver=driver, **fixtures)

        return gated

    return decorate
