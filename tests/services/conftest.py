import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from hawkfish.services import downloads
from hawkfish.services.downloads import Downloader
from hawkfish.tasks.context import Wishes
from tests.support.installation import installation, shared_installation

__all__ = ["installation", "shared_installation"]

MOMENT = 0.5


@pytest.fixture(scope="package", autouse=True)
def impatient_downloads() -> Iterator[None]:
    """What breaks off is tried again after hundredths of a second: how long is waited, nobody here looks at."""
    with patch.object(downloads, "FIRST_PAUSE_SECONDS", 0.02):
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on servers may be silent for a moment only, which on a loaded machine those that are well are, too."""
    fetch = Downloader.fetch

    def fetch_impatiently(downloader: Downloader, *arguments: Any, **options: Any) -> Any:
        limits = replace(downloader._limits, stall_seconds=MOMENT)
        return fetch(Downloader(limits, downloader._trusted_ca_file), *arguments, **options)

    monkeypatch.setattr(Downloader, "fetch", fetch_impatiently)


@pytest.fixture
def abort_heard(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as a worker has heard that a task is to be aborted, which is a moment after that was accepted."""
    heard = threading.Event()
    update = Wishes.update

    def hear(wishes: Wishes, *, abort: bool, **others: Any) -> None:
        update(wishes, abort=abort, **others)
        if abort:
            heard.set()

    monkeypatch.setattr(Wishes, "update", hear)
    return heard
