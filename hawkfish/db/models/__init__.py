"""All models. A new module is imported here and its classes are named in `ALL`, so that migrations see them."""

from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow, TaskWorkerRow

ALL = (TaskRow, TaskLockRow, TaskLimitRow, TaskHistoryRow, TaskWorkerRow)

__all__ = ["ALL", "TaskHistoryRow", "TaskLimitRow", "TaskLockRow", "TaskRow", "TaskWorkerRow"]
