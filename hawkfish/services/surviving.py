"""What keeps a thread alive that others rely on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from hawkfish.errors import HawkFishError


@contextmanager
def surviving(log: structlog.stdlib.BoundLogger, trouble: str, **names: Any) -> Iterator[None]:
    """Ends a turn of a thread's work where it fails, and logs why; the next turn may go well.

    A thread that died would leave events untold and subscriptions unserved, which nobody would notice.

    Args:
        log: Where the caller logs.
        trouble: What cannot be done, for people.
        **names: What it cannot be done to.
    """
    try:
        yield
    except HawkFishError as error:
        log.warning(trouble, error=error.message, **names)
    except Exception:
        log.exception(trouble, **names)
