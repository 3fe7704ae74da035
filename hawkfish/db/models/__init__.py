"""All models. A new module is imported here and its classes are named in `ALL`, so that migrations see them."""

from hawkfish.db.models.accounts import InstallationRow, LoginFailureRow, SessionRow, UserRow
from hawkfish.db.models.audit import AuditRow
from hawkfish.db.models.events import EventRow, EventSinkRow
from hawkfish.db.models.hosts import HostReservationRow, HostRow, HostWatchRow, StoragePoolHostRow, StoragePoolRow
from hawkfish.db.models.images import (
    DownloadRow,
    ImageContentRow,
    ImageCopyRow,
    ImageRow,
    ProfileRevisionRow,
    ProfileRow,
    SystemProfileRow,
)
from hawkfish.db.models.logs import LogClearingRow
from hawkfish.db.models.systems import (
    NetworkInterfaceRow,
    ScreenshotRow,
    SystemRow,
    VolumeAttachmentRow,
    VolumeRow,
)
from hawkfish.db.models.tasks import TaskHistoryRow, TaskLimitRow, TaskLockRow, TaskRow, TaskWorkerRow

ALL = (
    InstallationRow,
    LoginFailureRow,
    SessionRow,
    UserRow,
    AuditRow,
    EventRow,
    EventSinkRow,
    HostRow,
    HostReservationRow,
    HostWatchRow,
    StoragePoolRow,
    StoragePoolHostRow,
    SystemRow,
    NetworkInterfaceRow,
    VolumeRow,
    VolumeAttachmentRow,
    ScreenshotRow,
    LogClearingRow,
    ImageContentRow,
    ImageRow,
    DownloadRow,
    ImageCopyRow,
    ProfileRow,
    ProfileRevisionRow,
    SystemProfileRow,
    TaskRow,
    TaskLockRow,
    TaskLimitRow,
    TaskHistoryRow,
    TaskWorkerRow,
)

__all__ = [
    "ALL",
    "AuditRow",
    "DownloadRow",
    "EventRow",
    "EventSinkRow",
    "HostReservationRow",
    "HostRow",
    "HostWatchRow",
    "ImageContentRow",
    "ImageCopyRow",
    "ImageRow",
    "InstallationRow",
    "LogClearingRow",
    "LoginFailureRow",
    "NetworkInterfaceRow",
    "ProfileRevisionRow",
    "ProfileRow",
    "ScreenshotRow",
    "SessionRow",
    "StoragePoolHostRow",
    "StoragePoolRow",
    "SystemProfileRow",
    "SystemRow",
    "TaskHistoryRow",
    "TaskLimitRow",
    "TaskLockRow",
    "TaskRow",
    "TaskWorkerRow",
    "UserRow",
    "VolumeAttachmentRow",
    "VolumeRow",
]
