"""What `hawkfish doctor` says of an installation."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from hawkfish.cli.doctor_checks import image_store
from hawkfish.config import load_settings

MIB = 1 << 20


def test_it_says_how_the_image_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({}, data_dir=tmp_path, image_reserve_bytes=MIB)
    fresh = image_store(settings)
    assert fresh.status == "ok"
    assert re.fullmatch(rf"{tmp_path}, [0-9.]+ GiB free; the store is made in it with the first image", fresh.found)
    settings.image_store.mkdir()
    assert re.fullmatch(rf"{settings.image_store}, [0-9.]+ GiB free", image_store(settings).found)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=MIB))
    full = image_store(settings)
    assert (full.status, full.found) == ("fail", f"{settings.image_store}, 0.0 GiB free, which is kept free")
    assert "hawkfish images prune" in full.advice
