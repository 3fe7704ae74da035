"""Power: the verb `reset`, and the tasks that switch machines on, off and over.

ForceOff never waits: it is urgent, acts at once, and cancels what is ahead of it and would raise power. Everything else on one
system happens in the order in which it was accepted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from hawkfish.config import Settings
from hawkfish.db import UnitOfWork
from hawkfish.domain.accounts import Actor
from hawkfish.domain.hosts import Host
from hawkfish.domain.machines import MachineObservation, MachineStamp, PowerState, StartOptions
from hawkfish.domain.systems import AppliedSetup, BootOverride, BootOverrideEnabled, ResetType, System, SystemState
from hawkfish.domain.tasks import Limit, Task, TaskError, TaskLane
from hawkfish.errors import ActionNotSupported, BackendError, BackendTimeout, Conflict, HawkFishError, MachineNotFound
from hawkfish.plugins.compute import (
    ComputeDriver,
    SupportsBootOverride,
    SupportsGracefulShutdown,
    SupportsNmi,
    SupportsPause,
    SupportsReset,
)
from hawkfish.services.accepted import Accepted
from hawkfish.services.access import Access
from hawkfish.services.boot import (
    as_accepted,
    boot_arguments,
    boot_from_json,
    boot_to_json,
    define_for_start,
    is_defined_as,
)
from hawkfish.services.drivers import DriverPool
from hawkfish.services.failures import tell_failure
from hawkfish.services.host_limits import power_cuts_on, shutdowns_on, tasks_on
from hawkfish.services.media_order import (
    POWER_ON,
    RAISES_POWER,
    RESTART,
    line_of_media,
    media_ahead,
    media_missed,
    refuse_without_media,
    wait_for_media,
)
from hawkfish.services.refusals import notes_refusals
from hawkfish.tasks import Step, StepContext, TaskKind

POLL_SECONDS = 0.25
ASK_AGAIN_SECONDS = 5.0
ACCEPTANCE = timedelta(minutes=5)  # longer than any transaction lasts
OVERTAKEN_MARGIN = 5.0  # seconds that a task is given to end after the last call of its driver has

SHUT_DOWN, FORCE_OFF, POWER_OFF, SIGNAL = (
    "system.shut-down",
    "system.force-off",
    "system.power-off",
    "system.signal",
)

KIND_OF_RESET: Mapping[ResetType, str] = {
    ResetType.ON: POWER_ON,
    ResetType.FORCE_ON: POWER_ON,
    ResetType.FORCE_RESTART: RESTART,
    ResetType.POWER_CYCLE: RESTART,
    ResetType.GRACEFUL_RESTART: RESTART,
    ResetType.GRACEFUL_SHUTDOWN: SHUT_DOWN,
    ResetType.FORCE_OFF: FORCE_OFF,
    ResetType.NMI: SIGNAL,
    ResetType.PAUSE: SIGNAL,
    ResetType.RESUME: SIGNAL,
}
TRANSITIONS: Mapping[str, PowerState] = {
    POWER_ON: PowerState.POWERING_ON,
    SHUT_DOWN: PowerState.POWERING_OFF,
    FORCE_OFF: PowerState.POWERING_OFF,
    POWER_OFF: PowerState.POWERING_OFF,
}


def start_machine(driver: ComputeDriver, system: System, boot: BootOverride) -> MachineObservation:
    """Starts a system's machine with its boot override, where one is set, and gives the machine as it is then."""
    options = None
    if boot.enabled is not BootOverrideEnabled.DISABLED and isinstance(driver, SupportsBootOverride):
        options = StartOptions(boot_first=boot.device, once=boot.enabled is BootOverrideEnabled.ONCE)
    return driver.start_machine(system.id, options)


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What came of an action.

    Attributes:
        boot: The boot override that a start has used.
        machine: The machine as it is afterwards; where the action does not know, it is looked at.
    """

    boot: BootOverride | None = None
    machine: MachineObservation | None = None


Action = Callable[[StepContext, System, ComputeDriver], Acted]
"""Acts on power."""


class PowerVerbs:
    """The verb `reset` of systems."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._database = access.database

    @notes_refusals("systems.reset")
    def reset(
        self, actor: Actor, system_id: UUID, reset_type: ResetType, *, idempotency_key: str | None = None
    ) -> Accepted:
        """Accepts a change of power; one to a state that is reached already succeeds.

        While the system is being made, the change waits for that.

        Raises:
            NotFound: There is no such system.
            ActionNotSupported: Its host does not offer this type.
            Conflict: The system is being deleted, or is in a state that does not allow it.
        """
        self._access.authorize(actor, "systems.reset", f"system:{system_id}")

        def write(uow: UnitOfWork) -> Accepted:
            uow.serialize_on([line_of_media(system_id)])
            system = uow.systems.get(system_id)
            _refuse(system, reset_type)
            kind = _kind(system, reset_type)
            media = media_ahead(uow, system_id) if kind in RAISES_POWER else []
            starts = kind == RESTART or (kind == POWER_ON and system.power_state is not PowerState.ON)
            missed = media_missed(uow, system) if starts else []
            task = self._access.queue.submit(
                uow,
                kind,
                title=f"{reset_type} of system {system.name}",
                actor=actor.user_name,
                subject=f"system:{system_id}",
                arguments={
                    "system_id": str(system_id),
                    "reset_type": reset_type,
                    "applies_setup": system.awaits_start,
                    **boot_arguments(system),
                    "media": [change.id for change in (*missed, *media)],
                },
                locks=[f"system:{system_id}"],
                limits=_limits(kind, reset_type, system, self._access.settings),
                idempotency_key=idempotency_key,
                cancels=RAISES_POWER if kind == FORCE_OFF else (),
                **(wait_for_media(uow, self._access.settings.media_wait) if media else {}),
            )
            if kind in TRANSITIONS and not task.ended and _is_to_be_shown(uow, system, task):
                uow.systems.begin_transition(system, TRANSITIONS[kind], task)
            self._access.audit.record(
                uow, actor, "systems.reset", f"system:{system_id}", reset_type=reset_type, task=task.id
            )
            return Accepted(system_id, task)

        return self._database.run(write)


def _refuse(system: System, reset_type: ResetType) -> None:
    if system.state not in {SystemState.READY, SystemState.CREATING}:
        reason = f" ({system.failure})" if system.failure else ""
        raise Conflict(
            f"The system {system.name} cannot be reset while it is {system.state}{reason}.",
            kind="ComputerSystem",
            id=str(system.id),
        )
    if reset_type not in system.reset_types:
        offered = ", ".join(system.reset_types)
        raise ActionNotSupported(
            f"The host {system.host_name} of {system.name} does not offer {reset_type}; it offers {offered}.",
            action="ComputerSystem.Reset",
        )


def _kind(system: System, reset_type: ResetType) -> str:
    if reset_type is ResetType.PUSH_POWER_BUTTON:
        return SHUT_DOWN if system.is_running else POWER_ON
    kind = KIND_OF_RESET[reset_type]
    # A machine that is still to be made is switched off in its turn: at once there is nothing yet to switch off.
    return POWER_OFF if kind == FORCE_OFF and system.state is SystemState.CREATING else kind


def start_limits(system: System, starts: int) -> tuple[Limit, ...]:
    """Keeps all starts on a host, whoever asks for them, at so many at once."""
    return (Limit(f"starts@{system.host_id}", starts),)


def _limits(kind: str, reset_type: ResetType, system: System, settings: Settings) -> tuple[Limit, ...]:
    if kind == FORCE_OFF:
        return (power_cuts_on(system.host_id),)
    waits_for_guest = kind == SHUT_DOWN or reset_type is ResetType.GRACEFUL_RESTART
    there = shutdowns_on(system.host_id) if waits_for_guest else tasks_on(system.host_id, settings.host_tasks)
    return (there, *start_limits(system, settings.host_starts)) if kind in RAISES_POWER else (there,)


def _is_to_be_shown(uow: UnitOfWork, system: System, task: Task) -> bool:
    """Whether power is shown to be on its way until the end of this task."""
    cuts_off_shutdown = task.kind == FORCE_OFF and system.power_state is PowerState.POWERING_OFF  # done when this is
    return _changes(system, task.kind) or cuts_off_shutdown or _overtakes(uow, task)


def _changes(system: System, kind: str) -> bool:
    """Whether the power state that is shown will change."""
    rises = TRANSITIONS[kind] is PowerState.POWERING_ON
    return rises != (system.power_state in {PowerState.ON, PowerState.POWERING_ON})


def _overtakes(uow: UnitOfWork, task: Task) -> bool:
    """Whether it cancels what has begun already, and may raise power a moment before it is cut: a restart of a machine that is off."""
    return any(not uow.tasks.get(cancelled).ended for cancelled in task.cancelled_ids)


class PowerTasks:
    """The kinds of task that change power."""

    def __init__(self, access: Access, drivers: DriverPool, installation_id: str) -> None:
        self._database = access.database
        self._installation_id = installation_id
        self._drivers = drivers
        self._graceful_seconds = access.settings.graceful_timeout
        self._overtaken_seconds = access.settings.driver_timeout + OVERTAKEN_MARGIN

    def kinds(self) -> tuple[TaskKind, ...]:
        """What a worker registers."""
        look = Step(name="look", run=self._look, needed=_must_know_its_run)
        return (
            self._kind(POWER_ON, self._power_on, before=(look,)),
            self._kind(RESTART, self._restart, before=(look,)),
            self._kind(SHUT_DOWN, self._shut_down),
            self._kind(FORCE_OFF, self._force_off, lane=TaskLane.URGENT),
            self._kind(POWER_OFF, self._force_off),
            self._kind(SIGNAL, self._signal),
        )

    def _kind(
        self, name: str, run: Action, *, before: tuple[Step, ...] = (), lane: TaskLane = TaskLane.NORMAL
    ) -> TaskKind:
        def act(ctx: StepContext) -> dict[str, Any]:
            system, host = self._read(ctx)
            # What cuts the power has a connection of its own, which may still work where nothing else does.
            driver = self._drivers.driver(host, even_if_down=lane is TaskLane.URGENT)
            ctx.check()
            acted = run(ctx, system, driver)
            machine, boot = acted.machine or driver.find_machine(system.id), acted.boot
            power = PowerState.OFF if machine is None else machine.power_state
            return {
                "power_state": power,
                "run_id": None if machine is None else machine.run_id,
                "booted": None if boot is None else boot_to_json(boot),
                # What the machine has now is shown with the end of the start that brought it.
                "facts": asdict(machine.facts)
                if machine is not None and self._brings_facts(ctx, system, machine)
                else None,
            }

        return TaskKind(
            name=name,
            lane=lane,
            # No undo: a machine that was started, or that is off, is in no state that harms; undoing power would.
            steps=(*before, Step(name="act", run=act, record=_record)),
            on_success=_end,
            on_failure=_end_badly,
        )

    @staticmethod
    def _brings_facts(ctx: StepContext, system: System, machine: MachineObservation) -> bool:
        return ctx.task.kind in RAISES_POWER and machine.facts != system.observed

    def _read(self, ctx: StepContext) -> tuple[System, Host]:
        with self._database.read() as uow:
            system = as_accepted(uow.systems.get(UUID(ctx.arguments["system_id"])), ctx.arguments)
            if ctx.task.kind in RAISES_POWER:
                refuse_without_media(uow, system, ctx.arguments.get("media", ()))
            return system, uow.hosts.get(system.host_id)

    def _accepted_boot(self, ctx: StepContext) -> BootOverride:
        """The override as it was when the task was accepted; a `Once` that an earlier start has used since is no more."""
        boot = boot_from_json(ctx.arguments["boot"])
        if boot.enabled is BootOverrideEnabled.ONCE:
            with self._database.read() as uow:
                # One may also have ended while this one was being accepted, which read the override a moment before; those of a
                # system that had this UUID before are no matter.
                since = ctx.task.created_at - ACCEPTANCE
                made_at = uow.systems.get(UUID(ctx.arguments["system_id"])).created_at
                ended = uow.tasks.search(
                    subject=ctx.task.subject, ended_since=since if made_at is None else max(since, made_at)
                )
            if any(_has_used(task, ctx.task) for task in ended):
                return BootOverride()
        return boot

    # --- what the kinds do; each is content with what is so already ----------------------------------------------

    def _look(self, ctx: StepContext) -> dict[str, Any]:
        """Remembers the run before the start: whoever goes on after a crash can tell whether the start has happened."""
        system, host = self._read(ctx)
        return {"run_id": _found(self._drivers.driver(host), system, "start").run_id}

    def _power_on(self, ctx: StepContext, system: System, driver: ComputeDriver) -> Acted:
        machine = self._settled(ctx, system, driver, "start")
        if machine.power_state is PowerState.POWERING_OFF:
            raise BackendTimeout(
                f"The machine of {system.name} has been on its way out for {self._graceful_seconds} s and was not started; use "
                "ForceOff, then try again.",
                operation="start",
                host=system.host_name,
                seconds=self._graceful_seconds,
            )
        boot = self._accepted_boot(ctx)
        ran_before, now = machine.run_id, machine
        if machine.power_state is PowerState.OFF:
            self._define(ctx, system, driver, machine)
        # A start that was interrupted may have left it paused, or marked as if it were on its way; starting it again ends that
        # start, and leaves other pauses be.
        if machine.power_state in {PowerState.OFF, PowerState.PAUSED} or _is_taken_over(ctx):
            try:
                now = start_machine(driver, system, boot)
            except BackendError:
                found = driver.find_machine(system.id)
                if found is None or found.power_state is not PowerState.ON:
                    raise
                now = found  # the start took effect, though its answer was lost
        if now.power_state is PowerState.PAUSED:
            raise Conflict(
                f"The system {system.name} is paused and was not switched on; use Resume.",
                kind="ComputerSystem",
                id=str(system.id),
            )
        looked = ctx.results.get("look")
        is_this_start = looked is None or ran_before is None or ran_before != looked["run_id"]
        return Acted(boot=boot if is_this_start else None, machine=now)

    def _settled(self, ctx: StepContext, system: System, driver: ComputeDriver, operation: str) -> MachineObservation:
        """The machine. One whose guest has halted is waited for until it is off, since it cannot be started before."""
        end = time.monotonic() + self._graceful_seconds
        while True:
            machine = _found(driver, system, operation)
            if machine.power_state is not PowerState.POWERING_OFF or time.monotonic() >= end:
                return machine
            ctx.sleep(POLL_SECONDS)

    def _restart(self, ctx: StepContext, system: System, driver: ComputeDriver) -> Acted:
        machine = _found(driver, system, "restart")
        reset_type = ResetType(ctx.arguments["reset_type"])
        boot = self._accepted_boot(ctx)
        looked = ctx.results.get("look")
        if looked is not None and machine.run_id not in {None, looked["run_id"]}:
            # It has restarted already, before its worker died; what may be left to do is the end of that start.
            return Acted(boot=boot, machine=start_machine(driver, system, boot))
        # With an override pending, or other firmware, a plain reset is not enough: both are read at a start.
        plain = (
            boot.enabled is BootOverrideEnabled.DISABLED
            and reset_type not in {ResetType.POWER_CYCLE, ResetType.GRACEFUL_RESTART}
            and is_defined_as(system, machine)
        )
        if plain and machine.power_state is PowerState.ON and self._has_reset(system, driver):
            return Acted()
        if machine.power_state is not PowerState.OFF:
            if reset_type is ResetType.GRACEFUL_RESTART:
                self._shut_down(ctx, system, driver)
            else:
                driver.power_off_machine(system.id)
            machine = self._settled(ctx, system, driver, "restart")
        ctx.check()
        self._define(ctx, system, driver, machine)
        return Acted(boot=boot, machine=start_machine(driver, system, boot))

    def _has_reset(self, system: System, driver: ComputeDriver) -> bool:
        """Resets a running machine. False if that cannot be done, or its guest has gone off in this moment: a reset is no start."""
        if not isinstance(driver, SupportsReset):
            return False
        try:
            driver.reset_machine(system.id)
        except Conflict:
            if not self._goes_off(system, driver):
                raise
            return False
        return not self._goes_off(system, driver)

    def _define(self, ctx: StepContext, system: System, driver: ComputeDriver, machine: MachineObservation) -> None:
        """Lets a machine that is off follow what was accepted before this start."""
        stamp = MachineStamp(installation_id=self._installation_id, task_id=ctx.task_id, epoch=ctx.epoch)
        define_for_start(driver, self._drivers, system, machine, stamp)

    def _shut_down(self, ctx: StepContext, system: System, driver: ComputeDriver) -> Acted:
        end = time.monotonic() + self._graceful_seconds
        ask_at = -math.inf
        while True:
            machine = driver.find_machine(system.id)
            if machine is None or machine.power_state is PowerState.OFF:
                return Acted()
            if machine.power_state is PowerState.PAUSED:
                raise Conflict(
                    f"The guest of {system.name} cannot be asked to shut down while it is paused; use Resume first, or ForceOff.",
                    kind="ComputerSystem",
                    id=str(system.id),
                )
            now = time.monotonic()
            if now >= end:
                raise BackendTimeout(
                    f"The guest of {system.name} did not shut down within {self._graceful_seconds} s; it runs on. "
                    "Try again, or use ForceOff.",
                    operation="graceful shutdown",
                    host=system.host_name,
                    seconds=self._graceful_seconds,
                )
            if now >= ask_at:
                # A guest that was still starting did not hear the first time.
                self._ask_to_shut_down(system, driver)
                ask_at = now + min(ASK_AGAIN_SECONDS, self._graceful_seconds / 4)
                ctx.progress(message="Waiting for the guest to shut down")
            ctx.sleep(POLL_SECONDS)

    def _ask_to_shut_down(self, system: System, driver: ComputeDriver) -> None:
        if not isinstance(driver, SupportsGracefulShutdown):
            raise ActionNotSupported(
                f"{system.host_name} cannot ask a guest to shut down.", action="ComputerSystem.Reset"
            )
        try:
            driver.request_shutdown(system.id)
        except HawkFishError:
            if not self._goes_off(system, driver):  # else it went off in this moment, as it should
                raise

    def _goes_off(self, system: System, driver: ComputeDriver) -> bool:
        machine = driver.find_machine(system.id)
        return machine is None or machine.power_state in {PowerState.OFF, PowerState.POWERING_OFF}

    def _force_off(self, ctx: StepContext, system: System, driver: ComputeDriver) -> Acted:
        driver.power_off_machine(system.id)
        for task_id in ctx.task.cancelled_ids:
            # What was under way may have started the machine a moment after our cut.
            overtaken = ctx.wait_for(task_id, self._overtaken_seconds)
            ctx.check()
            driver.power_off_machine(system.id)
            if not overtaken.ended:
                raise BackendTimeout(
                    f"The machine of {system.name} was switched off, but a start of before has not ended on "
                    f"{system.host_name} for {self._overtaken_seconds:.0f} s and may still switch it on; look, and switch it "
                    "off again.",
                    operation="power off",
                    host=system.host_name,
                    seconds=self._overtaken_seconds,
                )
        return Acted()

    def _signal(self, ctx: StepContext, system: System, driver: ComputeDriver) -> Acted:
        reset_type = ResetType(ctx.arguments["reset_type"])
        if reset_type is ResetType.NMI and isinstance(driver, SupportsNmi):
            driver.send_nmi(system.id)
        elif reset_type is ResetType.PAUSE and isinstance(driver, SupportsPause):
            driver.pause_machine(system.id)
        elif reset_type is ResetType.RESUME and isinstance(driver, SupportsPause):
            driver.resume_machine(system.id)
        else:
            raise ActionNotSupported(f"{system.host_name} does not offer {reset_type}.", action="ComputerSystem.Reset")
        return Acted()


def _must_know_its_run(task: Task) -> bool:
    """Whether it must be known which run a start has begun: it ends the override that it was accepted with, or asks a guest to end.

    Whoever goes on after a crash would use the override twice, or ask the guest that has only just begun to boot.
    """
    once = task.arguments["boot"][0] == BootOverrideEnabled.ONCE
    return bool(once or task.arguments["reset_type"] == ResetType.GRACEFUL_RESTART)


def _is_taken_over(ctx: StepContext) -> bool:
    """Whether another worker may have begun this step."""
    return ctx.epoch > 1


def _found(driver: ComputeDriver, system: System, operation: str) -> MachineObservation:
    machine = driver.find_machine(system.id)
    if machine is None:
        raise machine_gone(system, operation)
    return machine


def machine_gone(system: System, operation: str) -> MachineNotFound:
    """What is said of a machine that was taken away behind our back."""
    return MachineNotFound(
        f"The machine of {system.name} is no longer defined on {system.host_name}; define it there again, or delete the "
        "system and make it anew.",
        operation=operation,
        host=system.host_name,
        machine=str(system.id),
    )


def uses_up(task: Task, boot: BootOverride) -> bool:
    """Whether a task is a start that was accepted with this `Once`."""
    return boot.enabled is BootOverrideEnabled.ONCE and (
        task.kind in RAISES_POWER and task.arguments["boot"] == boot_to_json(boot)
    )


def _has_used(earlier: Task, task: Task) -> bool:
    """Whether an earlier task used the `Once` that both were accepted with."""
    used = (earlier.results.get("act") or {}).get("booted")
    return earlier.number < task.number and used == list(task.arguments["boot"])


def _record(uow: UnitOfWork, ctx: StepContext, result: Any) -> None:
    """Writes what was seen, and uses up a `Once`, in the transaction that records the step."""
    system_id = UUID(ctx.arguments["system_id"])
    uow.systems.observe_power(system_id, PowerState(result["power_state"]), result["run_id"])
    if result["booted"] and result["booted"][0] == BootOverrideEnabled.ONCE:
        uow.systems.use_up_boot(system_id, boot_from_json(result["booted"]).number)
    if result.get("facts") is not None:
        uow.systems.write(system_id, observed=result["facts"])


def _applies_setup(task: Task) -> bool:
    """Whether a task is a start that was to bring another set-up or firmware."""
    return task.kind in RAISES_POWER and bool(task.arguments.get("applies_setup"))


def _end(uow: UnitOfWork, task: Task, failure: str = "") -> None:
    system_id = UUID(task.arguments["system_id"])
    uow.systems.end_transition(system_id, task.id)
    system = uow.systems.find(system_id) if _applies_setup(task) else None
    if system is not None:
        found = AppliedSetup(firmware=system.present_firmware, setup=system.present_setup)
        wanted = as_accepted(system, task.arguments)
        if not failure and found != AppliedSetup(firmware=wanted.firmware, setup=wanted.setup):
            return  # it ran already, and was not started: what was asked for still waits for a start
        applied = None if failure else asdict(found)
        uow.systems.write(system_id, setup_applied_at=uow.now(), setup_applied=applied, setup_failure=failure)


def _end_badly(uow: UnitOfWork, task: Task, error: TaskError) -> None:
    _end(uow, task, error.message)
    tell_failure(uow, task, error)
