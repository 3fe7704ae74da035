"""The statements of every task. They name tables, not classes: the ORM's own treatment of a write costs more than the write."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from hawkfish.db.base import UtcDateTime
from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow
from hawkfish.domain.tasks import TaskLane, TaskState

TASKS, LOCKS = cast("Table", TaskRow.__table__), cast("Table", TaskLockRow.__table__)
LIMITS, HISTORY = cast("Table", TaskLimitRow.__table__), cast("Table", TaskHistoryRow.__table__)

# The statements of every task, made once: making one takes longer than running it.
BY_ID = select(TASKS).where(TASKS.c.id == bindparam("of_task"))
BY_JOIN_KEY = select(TASKS).where(TASKS.c.join_key == bindparam("of_key"))
ACCEPT = insert(TASKS).returning(TASKS.c.number)
NOTE = insert(HISTORY)
STAND_IN_LINE = insert(LOCKS)
HOLD = update(LOCKS).where(LOCKS.c.task_id == bindparam("of_task"), ~LOCKS.c.urgent).values(held=True)
OF_LIMITS = select(LIMITS.c.key, LIMITS.c.maximum).where(LIMITS.c.task_id == bindparam("of_task"))
AT_LIMIT = select(func.count()).where(LIMITS.c.key == bindparam("of_key"), LIMITS.c.running)
COUNT_TOWARDS_LIMITS = update(LIMITS).where(LIMITS.c.task_id == bindparam("of_task")).values(running=True)
BEGIN = (
    update(TASKS)
    .where(TASKS.c.id == bindparam("of_task"))
    .values(
        {name: bindparam(name, type_=TASKS.c[name].type) for name in ("state", "worker_id", "started_at", "updated_at")}
    )
    .values(epoch=TASKS.c.epoch + 1, version=TASKS.c.version + 1, step_begun=True, not_before=None)
)
WISHES = select(TASKS.c.id, TASKS.c.abort_requested, TASKS.c.abort_reason, TASKS.c.pause_requested).where(
    TASKS.c.worker_id == bindparam("of_worker")
)
LEAVE_LINE = delete(LOCKS).where(LOCKS.c.task_id == bindparam("of_task"))
LEAVE_LIMITS = delete(LIMITS).where(LIMITS.c.task_id == bindparam("of_task"))

CLAIMABLE = (TaskState.WAITING, TaskState.CHILDREN, TaskState.UNDO_WAITING)


@lru_cache(maxsize=64)
def fenced_update(columns: frozenset[str]) -> Update:
    """Writes columns of a task for the worker that holds it, and gives the number of its children that have not ended."""
    given = {name: bindparam(name, type_=TASKS.c[name].type) for name in columns | {"updated_at"}}
    return (
        update(TASKS)
        .where(
            TASKS.c.id == bindparam("of_task"), TASKS.c.epoch == bindparam("of_epoch"), TASKS.c.worker_id.is_not(None)
        )
        .values(**given, version=TASKS.c.version + 1)
        .returning(TASKS.c.children_left)
    )


@lru_cache(maxsize=16)
def claimable_now(lane: TaskLane, kinds: tuple[tuple[str, int], ...], *, locking: bool) -> Select[Any]:
    """Ids of tasks of a lane that may run `now`, the `most` first of them; see `TaskRepository.claimable`."""
    mine, other = aliased(TaskLockRow), aliased(TaskLockRow)
    in_the_way: ColumnElement[bool] = or_(
        other.held,
        # Ahead of it, and not an ancestor: those wait for it.
        and_(other.path < mine.path, func.substr(mine.path, 1, func.length(other.path)) != other.path),
    )
    if lane is TaskLane.URGENT:
        in_the_way = and_(other.urgent, other.path < mine.path)
    blocked = exists().where(
        mine.task_id == TaskRow.id, other.key == mine.key, other.task_id != mine.task_id, in_the_way
    )
    limit, running = aliased(TaskLimitRow), aliased(TaskLimitRow)
    used = select(func.count()).where(running.key == limit.key, running.running).scalar_subquery()
    at_limit = exists().where(limit.task_id == TaskRow.id, used >= limit.maximum)
    awaited = aliased(TaskRow)
    waits = and_(
        TaskRow.after_id.is_not(None), exists().where(awaited.id == TaskRow.after_id, awaited.ended_at.is_(None))
    )
    now = bindparam("now", type_=UtcDateTime())
    statement = (
        select(TaskRow.id)
        .where(TaskRow.ended_at.is_(None), TaskRow.lane == lane, TaskRow.state.in_(CLAIMABLE))
        .where(TaskRow.children_left == 0, or_(TaskRow.not_before.is_(None), TaskRow.not_before <= now))
        .where(or_(*(and_(TaskRow.kind == kind, TaskRow.kind_version <= version) for kind, version in kinds)))
        .where(~blocked, ~at_limit, ~waits)
        .order_by(TaskRow.number)
        .limit(bindparam("most", type_=Integer()))
    )
    return statement.with_for_update(skip_locked=True, of=TaskRow) if locking else statement
