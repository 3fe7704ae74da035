"""From an accepted Reset to the call of the driver: `python bench/reset.py`.

The moment of acceptance is the task's, that of the call the simulator's, which writes down when each run began; both read one clock.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
from contextlib import closing
from datetime import datetime

from harness import Figure, Report, Service, parser, percentile, serve

P50_MS = 30.0


def accepted_at(service: Service) -> dict[str, float]:
    """When the last power task of each system was accepted."""
    with closing(sqlite3.connect(service.data_dir / "hawkfish.db")) as database:
        rows = database.execute(
            "SELECT subject, max(created_at) FROM hf_tasks WHERE kind LIKE 'system.%' GROUP BY subject"
        )
        return {
            subject.partition(":")[2]: datetime.fromisoformat(f"{created}+00:00").timestamp()
            for subject, created in rows
        }


def called_at(service: Service) -> dict[str, float]:
    """When the simulator was told to start each machine."""
    with closing(sqlite3.connect(service.data_dir / "simulator.state")) as database:
        records = [
            (machine, json.loads(record)) for machine, record in database.execute("SELECT id, record FROM machines")
        ]
    return {machine: record["run"]["started_at"] for machine, record in records if record.get("run")}


def main() -> None:
    """Switches systems on, one after the other."""
    given = parser(__doc__).parse_args()
    count = 3 if given.tiny else 100
    report = Report("reset")
    with serve(count) as service:
        with service.client() as client:
            for system in service.members():
                client.post(f"{system}/Actions/ComputerSystem.Reset", json={"ResetType": "On"}).raise_for_status()
        accepted, called = accepted_at(service), called_at(service)
    waits = [1000 * (called[machine] - accepted[machine]) for machine in called]
    if len(waits) != count:
        raise RuntimeError(f"{len(waits)} of {count} machines run")
    report.note(systems=count, p99_ms=round(percentile(waits, 99), 1))
    report.add(Figure.at_most("accepted Reset to driver call, p50", statistics.median(waits), P50_MS, "ms", 1))
    report.end()


if __name__ == "__main__":
    main()
