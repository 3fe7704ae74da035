"""A plugin of an installed distribution hears of a real run in a worker's process, also after that was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.systems import ResetType
from hawkfish.testing.simulator import running_simulator
from hawkfish.testing.waiting import wait_until
from tests.plugins.distributions import install
from tests.support.service import new_system

START_SECONDS = 60.0
READY_FD_VARIABLE = "HF_INTERNAL_READY_FD"


@pytest.fixture
def site(tmp_path):
    """A folder where the listening plugin is installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    install("listener", folder)
    return folder


def start_worker(folder, database_url, site):
    """A worker in a process of its own, which finds the plugin by its entry point."""
    reading, writing = os.pipe()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "HF_DATA_DIR": str(folder),
        "HF_DATABASE_URL": database_url,
        READY_FD_VARIABLE: str(writing),
    }
    with (folder / "worker.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hawkfish.worker"],
            cwd=folder,
            env=environment,
            pass_fds=[writing],
            stdout=log,
            stderr=log,
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        assert ready.read(1) == b"1", (folder / "worker.log").read_text()
    return process


@pytest.mark.slow
def test_nothing_is_lost_when_the_worker_is_killed_between_commit_and_dispatch(database_url, tmp_path, site):
    folder = tmp_path / "data"
    folder.mkdir()
    hold, heard = folder / "hold", folder / "heard.jsonl"
    application = Application.open(load_settings({}, data_dir=folder, database_url=database_url))

    def done(accepted):
        task = application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, START_SECONDS)
        assert task.ended
        assert task.error is None
        return accepted.subject_id

    def lines():
        return [json.loads(line) for line in heard.read_text().splitlines()] if heard.exists() else []

    def about(subject):
        return [line["message"].rpartition(".")[2] for line in lines() if line["subject"] == subject]

    workers = []
    try:
        with running_simulator(folder):
            workers.append(start_worker(folder, database_url, site))
            done(application.hosts.add(SYSTEM_ACTOR, "rack", "simulated", "simulated:///rack"))
            system_id = done(application.systems.create(SYSTEM_ACTOR, new_system("one", power_on=True)))
            wait_until(lambda: about(f"system:{system_id}") == ["ResourceCreated", "ResourcePoweredOn"], "it is heard")

            hold.touch()  # from now on nothing is heard ...
            done(application.systems.reset(SYSTEM_ACTOR, system_id, ResetType.FORCE_OFF))
            done(application.systems.delete(SYSTEM_ACTOR, system_id))
            assert "ResourceRemoved" not in about(f"system:{system_id}")
            workers[0].kill()  # ... and the worker dies with all that it was to tell
            workers[0].wait(START_SECONDS)
            hold.unlink()

            workers.append(start_worker(folder, database_url, site))
            wait_until(lambda: "ResourceRemoved" in about(f"system:{system_id}"), "the rest is heard", START_SECONDS)
        told_once = list(dict.fromkeys((line["id"], line["message"], line["subject"]) for line in lines()))
        names = [message.rpartition(".")[2] for _, message, subject in told_once if subject == f"system:{system_id}"]
        assert names == [
            "ResourceCreated",
            "ResourcePoweredOn",
            "ResourcePoweringOff",
            "ResourcePoweredOff",
            "ResourceRemoved",
        ]
        with application.database.read() as uow:
            written = [(event.id, event.message_id, event.subject) for event in uow.events.page(limit=1000)[::-1]]
        wait_until(lambda: len({line["id"] for line in lines()}) >= len(written), "all is heard", START_SECONDS)
        assert {(line["id"], line["message"], line["subject"]) for line in lines()} >= set(written)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(START_SECONDS)
        application.close()
