"""Tasks, their lines, their history: what everybody may ask, and what the engine alone may write."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Histogram
from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from hawkfish import metrics
from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow
from hawkfish.db.paging import cut, to_page
from hawkfish.db.repositories.task_statements import (
    ACCEPT,
    AT_LIMIT,
    BEGIN,
    BY_ID,
    BY_JOIN_KEY,
    CLAIMABLE,
    COUNT_FOR,
    COUNT_TOWARDS_LIMITS,
    FOLLOWER,
    HOLD,
    LEAVE_LIMITS,
    LEAVE_LINE,
    LIMITS,
    LOCKS,
    NOTE,
    OF_LIMITS,
    OVERDUE,
    STAND_IN_LINE,
    TASKS,
    WISHES,
    claimable_now,
    fenced_update,
    in_line,
)
from hawkfish.domain.messages import (
    TASK_ABORTED,
    TASK_CANCELLED,
    TASK_COMPLETED,
    TASK_PAUSED,
    TASK_REMOVED,
    TASK_STARTED,
    EventMessage,
)
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.tasks import ENDED, Limit, Task, TaskError, TaskLane, TaskMessage, TaskState
from hawkfish.errors import Conflict, LeaseLost, NotFound

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

WORKER_CHANNEL = "worker"
NUMBER_DIGITS = 12
END_MESSAGES = {
    TaskState.COMPLETED: TASK_COMPLETED,
    TaskState.FAILED: TASK_ABORTED,
    TaskState.CANCELLED: TASK_CANCELLED,
}
MESSAGE_LIMIT = 2000
PURGED_AT_ONCE = 1000


def task_channel(task_id: str) -> str:
    """The channel of the signal that tells that a task has ended."""
    return f"task-{task_id}"


def own_path(parent_path: str, number: int) -> str:
    """Place in line: the ancestors' numbers, then the task's own, in a form that sorts as text."""
    return f"{parent_path}{number:0{NUMBER_DIGITS}d}/"


class TaskRepository:
    """Tasks of one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._notes: list[dict[str, Any]] = []

    @property
    def _session(self) -> Session:
        """Asked for where it is needed, since what is written most goes past it."""
        return self._uow.session

    # --- reading -------------------------------------------------------------------------------------------------

    def find(self, task_id: str) -> Task | None:
        """The task, or None."""
        row = BY_ID.row(self._uow.connection, {"of_task": task_id})
        return None if row is None else to_task(row)

    def get(self, task_id: str) -> Task:
        """The task.

        Raises:
            NotFound: There is none.
        """
        task = self.find(task_id)
        if task is None:
            raise NotFound(
                f"There is no task {task_id}; ended tasks are kept for a while only.", kind="Task", id=task_id
            )
        return task

    def search(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        subject: str | None = None,
        projects: Collection[str] | None = None,
        parent_id: str | None = None,
        ended: bool | None = None,
        ended_since: datetime | None = None,
    ) -> list[Task]:
        """Tasks in the order of acceptance.

        Args:
            after: Number of the last task of the page before.
            limit: Length of the page.
            subject: Only tasks on this subject.
            projects: Only tasks of these projects.
            parent_id: Only children of this task.
            ended: Only ended ones, or only those that are not.
            ended_since: Only those that ended then or later.
        """
        statement = select(TASKS).where(TaskRow.number > after).order_by(TaskRow.number)
        if subject is not None:
            statement = statement.where(TaskRow.subject == subject)
        if projects is not None:
            statement = statement.where(TaskRow.project.in_(projects))
        if parent_id is not None:
            statement = statement.where(TaskRow.parent_id == parent_id)
        if ended is not None:
            statement = statement.where(TaskRow.ended_at.is_not(None) if ended else TaskRow.ended_at.is_(None))
        if ended_since is not None:
            statement = statement.where(TaskRow.ended_at >= ended_since)
        if limit is not None:
            statement = statement.limit(limit)
        rows = self._session.execute(statement)
        return [to_task(row) for row in rows]

    def newest(self, wanted: PageRequest) -> Page[Task]:
        """Tasks in the reverse order of acceptance; their places are their numbers, counted downwards."""
        # Places rise from one to the next, as everywhere; the index is over the numbers themselves.
        behind = wanted if wanted.after is None else replace(wanted, after=-int(wanted.after))
        rows = self._session.execute(cut(select(TASKS), behind, TaskRow.number, newest_first=True)).all()
        return to_page(
            rows, wanted, self.count(), lambda row: -row.number, lambda found: [to_task(row) for row in found]
        )

    def count(self, *, projects: Collection[str] | None = None, ended: bool | None = None) -> int:
        """How many tasks are kept; of some projects, or only those that have ended or have not."""
        statement = select(func.count()).select_from(TASKS)
        if projects is not None:
            statement = statement.where(TaskRow.project.in_(projects))
        if ended is not None:
            statement = statement.where(TaskRow.ended_at.is_not(None) if ended else TaskRow.ended_at.is_(None))
        return int(self._session.scalar(statement) or 0)

    def history(self, task_id: str) -> list[TaskMessage]:
        """What happened to a task, oldest first."""
        self._write_notes()
        rows = self._session.scalars(
            select(TaskHistoryRow).where(TaskHistoryRow.task_id == task_id).order_by(TaskHistoryRow.id)
        )
        return [TaskMessage(row.at, row.event, row.message, row.step, row.epoch) for row in rows]

    # --- accepting -----------------------------------------------------------------------------------------------

    def find_joinable(self, join_key: str) -> Task | None:
        """The task that an identical request would join."""
        row = BY_JOIN_KEY.row(self._uow.connection, {"of_key": join_key})
        return None if row is None else to_task(row)

    def has_followers(self, task: Task) -> bool:
        """Whether a task accepted later stands in line for one of its keys."""
        if not task.locks:
            return False
        return FOLLOWER.row(self._uow.connection, {"of_task": task.id, "of_number": task.number}) is not None

    def add(
        self,
        *,
        kind: str,
        kind_version: int,
        lane: TaskLane,
        title: str,
        actor: str,
        subject: str,
        project: str | None,
        arguments: Mapping[str, Any],
        locks: Sequence[str],
        limits: Sequence[Limit],
        join_key: str | None,
        parent: Task | None,
        cancelled_ids: Sequence[str],
        deadline: datetime | None,
        deadline_reason: str | None = None,
        after_id: str | None = None,
        task_id: str | None = None,
    ) -> Task:
        """Puts a task in line; the caller holds the keys by `serialize_on`, so numbers of one line are given in order."""
        now = self._uow.now()
        parent_path = "" if parent is None else self._path(parent)
        task_id = task_id or str(uuid.uuid4())
        given: dict[str, Any] = {
            "id": task_id,
            "kind": kind,
            "kind_version": kind_version,
            "state": TaskState.WAITING,
            "lane": lane,
            "title": title,
            "actor": actor,
            "subject": subject,
            "project": project,
            "arguments": dict(arguments),
            "results": {},
            "locks": list(locks),
            "parent_id": None if parent is None else parent.id,
            "cancelled_ids": list(cancelled_ids),
            "deadline": deadline,
            "deadline_reason": deadline_reason,
            "after_id": after_id,
            "created_at": now,
            "updated_at": now,
        }
        connection = self._uow.connection
        number = ACCEPT.row(connection, {**given, "join_key": join_key, "parent_path": parent_path}).number
        path = own_path(parent_path, number)
        if locks:
            urgent = lane is TaskLane.URGENT
            STAND_IN_LINE.change_each(
                connection, [{"task_id": task_id, "key": key, "path": path, "urgent": urgent} for key in locks]
            )
        if limits:
            COUNT_FOR.change_each(
                connection, [{"task_id": task_id, "key": limit.key, "maximum": limit.count} for limit in limits]
            )
        if parent is not None:
            self._session.execute(
                update(TASKS).where(TaskRow.id == parent.id).values(children_left=TaskRow.children_left + 1)
            )
        self.note(task_id, "accepted", title, at=now)
        return _accepted(number, given)

    def _path(self, task: Task) -> str:
        parent_path = self._session.scalar(select(TaskRow.parent_path).where(TaskRow.id == task.id))
        return own_path(str(parent_path), task.number)

    def ahead(self, keys: Collection[str], kinds: Collection[str]) -> list[Task]:
        """Tasks of some kinds that run or wait in line for one of the keys, oldest first."""
        if not keys or not kinds:
            return []
        given = {f"key{number}": key for number, key in enumerate(keys)}
        rows = in_line(len(given), tuple(kinds)).rows(self._uow.connection, given)
        return [to_task(row) for row in rows]

    def of_kinds(self, subject: str, kinds: Collection[str], *, after: int = 0) -> list[Task]:
        """Tasks of some kinds on a subject in the order of acceptance, from the one behind a number on."""
        statement = (
            select(TASKS)
            .where(TaskRow.subject == subject, TaskRow.kind.in_(kinds), TaskRow.number > after)
            .order_by(TaskRow.number)
        )
        return [to_task(row) for row in self._session.execute(statement)]

    # --- control -------------------------------------------------------------------------------------------------

    def change(self, task_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """Writes without the fence, for wishes (abort, pause) and for tasks that no worker has.

        Returns:
            Whether the task exists and met the conditions.
        """
        return self._write(and_(TaskRow.id == task_id, TaskRow.ended_at.is_(None), *conditions), values)

    def change_unclaimed(self, task_id: str, *, at_epoch: int | None = None, **values: Any) -> bool:
        """Writes to a task that no worker has at this moment, and none has had since `at_epoch`."""
        same = () if at_epoch is None else (TaskRow.epoch == at_epoch,)
        return self.change(task_id, TaskRow.worker_id.is_(None), *same, **values)

    def children(self, task_id: str) -> list[Task]:
        """The children of a task in the order of acceptance."""
        return self.search(parent_id=task_id)

    def wishes(self, worker_id: int) -> dict[str, tuple[bool, str | None, bool]]:
        """Abort requested, its reason, and pause requested, of each task that a worker has."""
        return to_wishes(WISHES.rows(self._uow.connection, {"of_worker": worker_id}))

    def overdue(self) -> list[Task]:
        """Tasks past their deadline of which no abort has been asked yet."""
        rows = OVERDUE.rows(self._uow.connection, {"now": self._uow.now()})
        return [to_task(row) for row in rows]

    # --- claiming ------------------------------------------------------------------------------------------------

    def claimable(self, lane: TaskLane, kinds: Mapping[str, int], most: int) -> list[str]:
        """Ids of tasks that may run now, oldest first; on PostgreSQL their rows are locked, and rows locked by others are passed over.

        Args:
            lane: Which lane.
            kinds: Newest version that the worker knows of each kind; newer tasks are left alone.
            most: How many at most.
        """
        statement = claimable_now(lane, tuple(kinds.items()), locking=self._uow.is_postgresql)
        return [row.id for row in statement.rows(self._uow.connection, {"now": self._uow.now(), "most": most})]

    def claim(self, task_ids: Sequence[str], worker_id: int) -> list[Task]:
        """Gives claimable tasks to a worker and raises their fences.

        Returns:
            Those that it got, as they were just before but with their new epochs; not those that came to a limit in the meantime.
        """
        try:
            with self._uow.connection.begin_nested():
                claimed = [self._claim(task_id, worker_id) for task_id in task_ids]
        except IntegrityError:
            # Another worker holds a key of one of them since we looked, or has declared this worker dead.
            claimed = [self._claim_if_free(task_id, worker_id) for task_id in task_ids]
        tasks = [task for task in claimed if task is not None]
        for task in tasks:
            if task.epoch == 1:
                self.note(task.id, "started", "A worker has begun.", epoch=1)
                self.tell(TASK_STARTED, task)
        return tasks

    def _claim_if_free(self, task_id: str, worker_id: int) -> Task | None:
        try:
            with self._uow.connection.begin_nested():
                return self._claim(task_id, worker_id)
        except IntegrityError:
            return None

    def _claim(self, task_id: str, worker_id: int) -> Task | None:
        before = self.get(task_id)
        if before.state not in CLAIMABLE or before.children_left:
            return None
        connection = self._uow.connection
        limits = OF_LIMITS.rows(connection, {"of_task": task_id})
        if limits:
            self._uow.serialize_on(f"limit:{limit.key}" for limit in limits)
            for limit in limits:
                if AT_LIMIT.row(connection, {"of_key": limit.key}).number >= limit.maximum:
                    return None
            COUNT_TOWARDS_LIMITS.change(connection, {"of_task": task_id})
        if before.locks:
            HOLD.change(connection, {"of_task": task_id})
        now = self._uow.now()
        BEGIN.change(
            connection,
            {
                "of_task": task_id,
                "state": TaskState.UNDOING if before.undoing else TaskState.RUNNING,
                "worker_id": worker_id,
                "started_at": before.started_at or now,
                "updated_at": now,
            },
        )
        return replace(before, epoch=before.epoch + 1, worker_id=worker_id)

    # --- writing under the fence ---------------------------------------------------------------------------------

    def write_fenced(self, task_id: str, epoch: int, **values: Any) -> int:
        """Writes as the worker that holds the task.

        Returns:
            How many of its children have not ended.

        Raises:
            LeaseLost: The task was given to another since.
        """
        given = {**values, "updated_at": self._uow.now(), "of_task": task_id, "of_epoch": epoch}
        written = fenced_update(frozenset(values)).row(self._uow.connection, given)
        if written is None:
            raise LeaseLost(
                f"Task {task_id} was taken over by another worker; lease {epoch} is void.", task=task_id, epoch=epoch
            )
        return int(written.children_left)

    def release(self, task_id: str, epoch: int, state: TaskState, **values: Any) -> None:
        """Gives a task back to the line as the worker that holds it."""
        self.write_fenced(task_id, epoch, state=state, worker_id=None, **values)
        self._let_go([task_id])
        if state is TaskState.PAUSED:
            self.tell(TASK_PAUSED, self.get(task_id))
        self._uow.publish(WORKER_CHANNEL)

    def _let_go(self, task_ids: Sequence[str]) -> None:
        self._session.execute(update(LOCKS).where(TaskLockRow.task_id.in_(task_ids)).values(held=False))
        self._session.execute(update(LIMITS).where(TaskLimitRow.task_id.in_(task_ids)).values(running=False))

    def end(self, task: Task, state: TaskState, *, message: str, error: TaskError | None = None, **values: Any) -> None:
        """Ends a task: by the worker that holds it (`task.epoch` is the fence), or one that nobody holds."""
        if state not in ENDED:
            raise Conflict(f"A task cannot end as {state.value}.", task=task.id)
        now = self._uow.now()
        values |= {
            "state": state,
            "ended_at": now,
            "worker_id": None,
            "message": message[:MESSAGE_LIMIT],
            "error": None if error is None else asdict(error),
        }
        if task.worker_id is not None:
            self.write_fenced(task.id, task.epoch, **values)
        elif not self.change_unclaimed(task.id, **values):
            raise Conflict(f"Task {task.id} was begun meanwhile; ask again.", task=task.id)
        if task.locks:
            LEAVE_LINE.change(self._uow.connection, {"of_task": task.id})
        LEAVE_LIMITS.change(self._uow.connection, {"of_task": task.id})
        if task.parent_id is not None:
            self._session.execute(
                update(TASKS).where(TaskRow.id == task.parent_id).values(children_left=TaskRow.children_left - 1)
            )
        self.note(task.id, "ended", message or state.value, epoch=task.epoch, at=now)
        self.tell(END_MESSAGES[state], task)
        self._uow.publish(task_channel(task.id))
        self._uow.publish(WORKER_CHANNEL)
        self._uow.on_commit(partial(_count, task.kind, state, (now - task.created_at).total_seconds()))

    def forget_join(self, task_id: str) -> None:
        """Has later identical requests make a task of their own."""
        self._session.execute(update(TASKS).where(TaskRow.id == task_id).values(join_key=None))

    def note(
        self,
        task_id: str,
        event: str,
        message: str,
        *,
        step: str | None = None,
        epoch: int = 0,
        at: datetime | None = None,
    ) -> None:
        """Adds a line to the history; the lines of a transaction are written together, at its end or before they are read."""
        values = {
            "task_id": task_id,
            "at": at or self._uow.now(),
            "event": event,
            "message": message[:MESSAGE_LIMIT],
            "step": step,
            "epoch": epoch,
        }
        if not self._notes:
            self._uow.before_commit(self._write_notes)
        self._notes.append(values)

    def _write_notes(self) -> None:
        if self._notes:
            notes, self._notes = self._notes, []
            NOTE.change_each(self._uow.connection, notes)

    def tell(self, message: EventMessage, task: Task, *arguments: object) -> None:
        """Writes down an event of a task; its id is the first argument of every message of tasks."""
        self._uow.events.add(
            message,
            f"task:{task.id}",
            task.id,
            *arguments,
            actor=task.actor,
            task_id=task.id,
            project=task.project,
            data={"kind": task.kind, "subject": task.subject, "title": task.title},
        )

    def take_from_worker(self, worker_id: int) -> list[str]:
        """Puts the tasks of a dead worker back in line; the fence shuts it out should it not be dead."""
        ids = list(self._session.scalars(select(TaskRow.id).where(TaskRow.worker_id == worker_id)))
        if not ids:
            return []
        for undoing, state in ((False, TaskState.WAITING), (True, TaskState.UNDO_WAITING)):
            self._write(
                and_(TaskRow.worker_id == worker_id, TaskRow.undoing == undoing),
                {"state": state, "worker_id": None, "epoch": TaskRow.epoch + 1},
            )
        self._let_go(ids)
        for task_id in ids:
            self.note(task_id, "taken-over", "The worker that ran this task died or fell silent; another goes on.")
        self._uow.publish(WORKER_CHANNEL)
        return ids

    def shut_out(self, task_id: str) -> None:
        """Takes a task from whoever has it: the fence keeps a worker that is still at it from writing anything more."""
        state = TaskState.UNDO_WAITING if self.get(task_id).undoing else TaskState.WAITING
        self._write(TaskRow.id == task_id, {"state": state, "worker_id": None, "epoch": TaskRow.epoch + 1})
        self._let_go([task_id])

    def purge(self, before: datetime, most: int = PURGED_AT_ONCE) -> int:
        """Deletes tasks that ended before a time, with their history, and tells of it; parents go after their children.

        Args:
            before: What ended earlier goes.
            most: How many are deleted at most, since others wait meanwhile; ask again while it is that many.

        Returns:
            How many were deleted.
        """
        parent = aliased(TaskRow)
        kept = exists().where(parent.id == TaskRow.parent_id, or_(parent.ended_at.is_(None), parent.ended_at >= before))
        old = select(TASKS).where(TaskRow.ended_at < before, ~kept).order_by(TaskRow.number.desc()).limit(most)
        tasks = [to_task(row) for row in self._session.execute(old)]
        self._session.execute(delete(TASKS).where(TaskRow.id.in_([task.id for task in tasks])))
        for task in tasks:
            self.tell(TASK_REMOVED, task)
        return len(tasks)

    def _write(self, condition: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        statement = (
            update(TASKS).where(condition).values(**values, version=TaskRow.version + 1, updated_at=self._uow.now())
        )
        return bool(self._session.execute(statement).rowcount)  # type: ignore[attr-defined]  # as above


def _count(kind: str, state: TaskState, seconds: float) -> None:
    ended, lasted = _series(kind, state)
    ended.inc()
    lasted.observe(seconds)


@lru_cache(maxsize=256)
def _series(kind: str, state: TaskState) -> tuple[Counter, Histogram]:
    """What counts the tasks of one kind that ended so; to find it costs more than to count."""
    return metrics.TASKS_ENDED.labels(kind, state.value), metrics.TASK_SECONDS.labels(kind)


def to_task(row: Row[Any]) -> Task:
    """A task as its row says it is."""
    given = dict(zip(FIELDS, _of_fields(row), strict=True))
    if given["error"] is not None:
        given["error"] = TaskError(**given["error"])
    given["locks"], given["cancelled_ids"] = tuple(given["locks"]), tuple(given["cancelled_ids"])
    return Task(**given)


def to_wishes(rows: Sequence[Row[Any]]) -> dict[str, tuple[bool, str | None, bool]]:
    """See `TaskRepository.wishes`."""
    return {row.id: (row.abort_requested, row.abort_reason, row.pause_requested) for row in rows}


def _accepted(number: int, given: Mapping[str, Any]) -> Task:
    """A task as it was just put in line, without reading it back: `given`, and the defaults of the other columns."""
    values = {name: given.get(name, default) for name, default in NEW.items()}
    values["number"] = number
    values["locks"], values["cancelled_ids"] = tuple(given["locks"]), tuple(given["cancelled_ids"])
    return Task(**values)


def _default_of(name: str) -> Any:
    default = TASKS.c[name].default
    return None if default is None else default.arg  # type: ignore[attr-defined]  # only plain values there


FIELDS = tuple(Task.__dataclass_fields__)
NEW = {name: _default_of(name) for name in FIELDS}
_of_fields = attrgetter(*FIELDS)
