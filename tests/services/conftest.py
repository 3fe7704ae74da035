from collections.abc import Iterator
from unittest.mock import patch

import pytest

from hawkfish.services import downloads
from tests.support.installation import installation, shared_installation

__all__ = ["installation", "shared_installation"]


@pytest.fixture(scope="package", autouse=True)
def impatient_downloads() -> Iterator[None]:
    """What breaks off is tried again after hundredths of a second: how long is waited, nobody here looks at."""
    with patch.object(downloads, "FIRST_PAUSE_SECONDS", 0.02):
        yield
