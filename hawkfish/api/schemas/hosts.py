"""Bodies of requests to Hosts."""

from __future__ import annotations

from typing import Any

from marshmallow import post_load

from hawkfish.api.schemas.base import StrictSchema
from hawkfish.api.schemas.fields import AnyObject, Labels, Text
from hawkfish.api.schemas.systems import NAME_PATTERN, name_field

_PRINTABLE = r"[^\x00-\x1f\x7f]+"


class NewHostSchema(StrictSchema):
    """The body of POST to Hosts."""

    read_only = frozenset({"State", "StateReason", "Facts"})

    name = name_field(required=True)
    driver = Text(data_key="Driver", least=1, most=64, pattern=NAME_PATTERN, form="the name of a driver", required=True)
    uri = Text(data_key="URI", most=1024, pattern=_PRINTABLE, form="an address of the driver's own form", required=True)
    settings = AnyObject(data_key="Settings")
    labels = Labels(data_key="Labels")
    pool_path = Text(data_key="PoolPath", least=1, most=4096, pattern=r"/[^\x00-\x1f\x7f]*", form="an absolute path")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Gives the arguments of `hosts.add`."""
        return values
