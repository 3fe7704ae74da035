"""The statements of every task. They name tables, not classes: the ORM's own treatment of a write costs more than the write."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from hawkfish.db.base import UtcDateTime
from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow
from hawkfish.db.prepared import Prepared, insert_into
from hawkfish.domain.tasks import TaskLane, TaskState

TASKS, LOCKS = cast("Table", TaskRow.__table__), cast("Table", TaskLockRow.__table__)
LIMITS, HISTORY = cast("Table", TaskLimitRow.__table__), cast("Table", TaskHistoryRow.__table__)

# The statements of every task, made once: making one takes longer than running it.
BY_ID = Prepared(select(TASKS).where(TASKS.c.id == bindparam("of_task")))
ENDED_AT = Prepared(select(TASKS.c.ended_at).where(TASKS.c.id == bindparam("of_task")))
BY_JOIN_KEY = Prepared(select(TASKS).where(TASKS.c.join_key == bindparam("of_key")))
_MINE, _OTHER, _OWNER = LOCKS.alias("mine"), LOCKS.alias("other"), TASKS.alias("owner")
FOLLOWER = Prepared(
    select(_OWNER.c.number)
    .where(_MINE.c.task_id == bindparam("of_task"), _OTHER.c.key == _MINE.c.key, _OTHER.c.task_id == _OWNER.c.id)
    .where(_OWNER.c.number > bindparam("of_number", type_=TASKS.c.number.type))
    .limit(1)
)
ACCEPT = Prepared(
    insert_into(
        TASKS,
        "id",
        "kind",
        "kind_version",
        "state",
        "lane",
        "title",
        "actor",
        "subject",
        "project",
        "arguments",
        "results",
        "locks",
        "join_key",
        "parent_id",
        "parent_path",
        "cancelled_ids",
        "deadline",
        "deadline_reason",
        "after_id",
        "created_at",
        "updated_at",
    ).returning(TASKS.c.number)
)
NOTE = Prepared(insert_into(HISTORY, "task_id", "at", "event", "message", "step", "epoch"))
STAND_IN_LINE = Prepared(insert_into(LOCKS, "task_id", "key", "path", "urgent"))
COUNT_FOR = Prepared(insert_into(LIMITS, "task_id", "key", "maximum"))
HOLD = Prepared(update(LOCKS).where(LOCKS.c.task_id == bindparam("of_task"), ~LOCKS.c.urgent).values(held=True))
OF_LIMITS = Prepared(select(LIMITS.c.key, LIMITS.c.maximum).where(LIMITS.c.task_id == bindparam("of_task")))
AT_LIMIT = Prepared(select(func.count().label("number")).where(LIMITS.c.key == bindparam("of_key"), LIMITS.c.running))
COUNT_TOWARDS_LIMITS = Prepared(update(LIMITS).where(LIMITS.c.task_id == bindparam("of_task")).values(running=True))
BEGIN = Prepared(
    update(TASKS)
    .where(TASKS.c.id == bindparam("of_task"))
    .values(
        {name: bindparam(name, type_=TASKS.c[name].type) for name in ("state", "worker_id", "started_at", "updated_at")}
    )
    .values(epoch=TASKS.c.epoch + 1, version=TASKS.c.version + 1, step_begun=True, not_before=None)
)
WISHES = Prepared(
    select(TASKS.c.id, TASKS.c.abort_requested, TASKS.c.abort_reason, TASKS.c.pause_requested).where(
        TASKS.c.worker_id == bindparam("of_worker")
    )
)
UNCLAIMED = Prepared(
    select(func.count().label("number")).select_from(
        select(TASKS.c.id).where(TASKS.c.ended_at.is_(None), TASKS.c.worker_id.is_(None)).limit(1).subquery()
    )
)
OVERDUE = Prepared(
    select(TASKS).where(
        TASKS.c.ended_at.is_(None),
        TASKS.c.deadline < bindparam("now", type_=UtcDateTime()),
        ~TASKS.c.abort_requested,
        ~TASKS.c.undoing,
    )
)
LEAVE_LINE = Prepared(delete(LOCKS).where(LOCKS.c.task_id == bindparam("of_task")))
LEAVE_LIMITS = Prepared(delete(LIMITS).where(LIMITS.c.task_id == bindparam("of_task")))

CLAIMABLE = (TaskState.WAITING, TaskState.CHILDREN, TaskState.UNDO_WAITING)


@lru_cache(maxsize=64)
def fenced_update(columns: frozenset[str]) -> Prepared:
    """Writes columns of a task for the worker that holds it, and gives the number of its children that have not ended."""
    given = {name: bindparam(name, type_=TASKS.c[name].type) for name in columns | {"updated_at"}}
    return Prepared(
        update(TASKS)
        .where(
            TASKS.c.id == bindparam("of_task"), TASKS.c.epoch == bindparam("of_epoch"), TASKS.c.worker_id.is_not(None)
        )
        .values(**given, version=TASKS.c.version + 1)
        .returning(TASKS.c.children_left)
    )


@lru_cache(maxsize=16)
def in_line(keys: int, kinds: tuple[str, ...]) -> Prepared:
    """Tasks of some kinds that stand in line for one of so many keys (`key0`, ...), oldest first; see `TaskRepository.ahead`."""
    stands = or_(*(LOCKS.c.key == bindparam(f"key{number}") for number in range(keys)))
    return Prepared(
        select(TASKS)
        .where(or_(*(TASKS.c.kind == kind for kind in kinds)), TASKS.c.ended_at.is_(None))
        .where(TASKS.c.id.in_(select(LOCKS.c.task_id).where(stands)))
        .order_by(TASKS.c.number)
    )


@lru_cache(maxsize=16)
def claimable_now(lane: TaskLane, kinds: tuple[tuple[str, int], ...], *, locking: bool) -> Prepared:
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
        .where(TaskRow.ended_at.is_(None), TaskRow.lane == lane)
        .where(or_(*(TaskRow.state == state for state in CLAIMABLE)))
        .where(TaskRow.children_left == 0, or_(TaskRow.not_before.is_(None), TaskRow.not_before <= now))
        .where(or_(*(and_(TaskRow.kind == kind, TaskRow.kind_version <= version) for kind, version in kinds)))
        .where(~blocked, ~at_limit, ~waits)
        .order_by(TaskRow.number)
        .limit(bindparam("most", type_=Integer()))
    )
    return Prepared(statement.with_for_update(skip_locked=True, of=TaskRow) if locking else statement)
