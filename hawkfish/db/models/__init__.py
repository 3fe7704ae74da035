"""All models. A new module is imported here and its classes are named in `ALL`, so that migrations see them."""

from hawkfish.db.models.accounts import InstallationRow, LoginFailureRow, SessionRow, UserRow
from hawkfish.db.models.audit import AuditRow
from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow, TaskWorkerRow

ALL = (
    InstallationRow,
    LoginFailureRow,
    SessionRow,
    UserRow,
    AuditRow,
    TaskRow,
    TaskLockRow,
    TaskLimitRow,
    TaskHistoryRow,
    TaskWorkerRow,
)

__all__ = [
    "ALL",
    "AuditRow",
    "InstallationRow",
    "LoginFailureRow",
    "SessionRow",
    "TaskHistoryRow",
    "TaskLimitRow",
    "TaskLockRow",
    "TaskRow",
    "TaskWorkerRow",
    "UserRow",
]
