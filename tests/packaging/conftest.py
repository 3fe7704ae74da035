"""Builds all five distributions from a clean copy and installs them where the repository cannot be seen."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "hawkfish": ".",
    "hawkfish_libvirt": "hawkfish_libvirt",
    "hawkfish_storage_nfs": "hawkfish_storage_nfs",
    "hawkfish_storage_lvm": "hawkfish_storage_lvm",
    "hawkfish_storage_iscsi": "hawkfish_storage_iscsi",
}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def clean_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a commit of the working tree would hold: no build folders, no egg-info, nothing ignored."""
    copy = tmp_path_factory.mktemp("copy")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return copy


@pytest.fixture(scope="session")
def wheels(clean_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The five wheels, each built from its source distribution, so that those are whole too."""
    out = tmp_path_factory.mktemp("wheels")
    for folder in DISTRIBUTIONS.values():
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, clean_copy / folder, cwd=out)
    return {wheel.name.partition("-")[0]: wheel for wheel in out.glob("*.whl")}


@pytest.fixture(scope="session")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheels; other distributions are lent to it by a path."""
    home = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    run(*pip, "install", "--no-index", "--no-deps", *wheels.values(), cwd=home)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # Being a plain path, the folder's own .pth files, and with them the editable installs of the repository, are not read.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + os.linesep)
    return python
