"""Installs the fixture distributions: their files and a real `.dist-info`, without pip and in a moment."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures_plugins"


def install(name: str, site: Path) -> None:
    """Installs `fixtures_plugins/<name>` into the folder `site`."""
    source = FIXTURES / name
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    shutil.copytree(source / "src", site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{key} = {value}" for key, value in project["entry-points"]["hawkfish"].items()]
    (info / "entry_points.txt").write_text("[hawkfish]\n" + "\n".join(lines) + "\n")


def entry_points_in(site: Path) -> dict[str, EntryPoint]:
    """The entry points of what is installed in `site`, by name."""
    return {
        item.name: item
        for distribution in distributions(path=[str(site)])
        for item in distribution.entry_points
        if item.group == "hawkfish"
    }


def run_python(*arguments: str, site: Path, cwd: Path) -> str:
    """Runs Python with `site` on its path, outside the repository, and gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
