"""HawkFish as a library: no HTTP, the same services. Needs an installation whose worker runs (`hawkfish serve`).

python examples/library.py DATA_DIR
"""

from __future__ import annotations

import sys

from hawkfish.bootstrap import Application
from hawkfish.config import load_settings
from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.systems import NewDisk, NewSystem, ResetType
from hawkfish.services.accepted import Accepted

WAIT_SECONDS = 60


def main(data_dir: str) -> None:
    """Makes a system, switches it on and off, and deletes it."""
    application = Application.open(load_settings(data_dir=data_dir))
    try:
        new = NewSystem(name="from-library", vcpus=1, memory_mib=256, disks=(NewDisk(capacity_bytes=2**30),))
        accepted = application.systems.create(SYSTEM_ACTOR, new)
        finish(application, accepted)
        for reset_type in (ResetType.ON, ResetType.FORCE_OFF):
            finish(application, application.systems.reset(SYSTEM_ACTOR, accepted.subject_id, reset_type))
            system = application.systems.get(SYSTEM_ACTOR, accepted.subject_id)
            print(f"{system.name} on {system.host_name}: {system.power_state}")
        finish(application, application.systems.delete(SYSTEM_ACTOR, accepted.subject_id))
        print("deleted")
    finally:
        application.close()


def finish(application: Application, accepted: Accepted) -> None:
    """Waits for the task of what was accepted; the worker runs it, here or anywhere."""
    if accepted.task is None:
        return
    task = application.tasks.wait(SYSTEM_ACTOR, accepted.task.id, WAIT_SECONDS)
    if task.error is not None:
        raise application.tasks.error_of(task)


if __name__ == "__main__":
    main(sys.argv[1])
