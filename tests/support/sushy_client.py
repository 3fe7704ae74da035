"""sushy, the library of Ironic, logged in for as long as a test needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.installation import PASSWORD


@contextmanager
def sushy_client(url: str, *, verify: bool | str = True) -> Iterator[Any]:
    """The root of a service, within a session.

    What is not logged out logs itself out whenever it is collected as garbage: in whatever thread that happens, and against a service
    that is gone for half a minute.

    Args:
        url: Where the service is.
        verify: Whether its certificate is checked, or the file with what it is checked with.
    """
    import sushy
    from sushy.auth import SessionAuth

    login = SessionAuth("admin", PASSWORD)
    root = sushy.Sushy(url, auth=login, verify=verify)
    try:
        yield root
    finally:
        login.close()
        root._conn.close()
