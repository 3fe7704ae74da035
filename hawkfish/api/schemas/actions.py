"""Actions that take no parameters: a refusal of one names the action that was asked for."""

from __future__ import annotations

from typing import ClassVar

from hawkfish.api.schemas.base import ActionSchema


class SetDefaultBootOrderSchema(ActionSchema):
    """The parameters of ComputerSystem.SetDefaultBootOrder."""

    action: ClassVar[str] = "ComputerSystem.SetDefaultBootOrder"


class ScreenshotSchema(ActionSchema):
    """The parameters of HawkFishSystem.Screenshot."""

    action: ClassVar[str] = "HawkFishSystem.Screenshot"


class ResetBiosSchema(ActionSchema):
    """The parameters of Bios.ResetBios."""

    action: ClassVar[str] = "Bios.ResetBios"


class EjectMediaSchema(ActionSchema):
    """The parameters of VirtualMedia.EjectMedia."""

    action: ClassVar[str] = "VirtualMedia.EjectMedia"


class ClearLogSchema(ActionSchema):
    """The parameters of LogService.ClearLog."""

    action: ClassVar[str] = "LogService.ClearLog"


class CancelTaskSchema(ActionSchema):
    """The parameters of HawkFishTask.Cancel."""

    action: ClassVar[str] = "HawkFishTask.Cancel"
