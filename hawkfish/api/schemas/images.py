"""Bodies of requests to Images."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import post_load

from hawkfish.api.schemas.base import ActionSchema, StrictSchema
from hawkfish.api.schemas.fields import Text, Truth
from hawkfish.api.schemas.systems import name_field
from hawkfish.domain.images import NewImage

_PRINTABLE = r"[^\x00-\x1f\x7f]+"


class NewImageSchema(StrictSchema):
    """The body of POST to Images."""

    read_only = frozenset(
        {"State", "Format", "VirtualBytes", "FileBytes", "CreatedAt", "CreatedBy", "ContentURI", "UploadURI"}
    )

    name = name_field(required=True)
    description = Text(data_key="Description", most=1024)
    url = Text(data_key="URL", least=1, most=4096, pattern=_PRINTABLE, form="an http or https address")
    local_path = Text(
        data_key="LocalPath", least=1, most=4096, pattern=_PRINTABLE, form="a path without control characters"
    )
    verify_certificate = Truth(data_key="VerifyCertificate")
    digest = Text(data_key="SHA256", pattern=r"[0-9a-fA-F]{64}", form="64 hexadecimal digits")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> NewImage:
        """Makes the domain value."""
        if "digest" in values:
            values["digest"] = values["digest"].lower()
        return NewImage(**values)


class PruneImagesSchema(ActionSchema):
    """The parameters of HawkFishImageCollection.Prune."""

    action: ClassVar[str] = "HawkFishImageCollection.Prune"

    copies = Truth(data_key="Copies")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> bool:
        """Whether copies of images that are still there go too."""
        return bool(values.get("copies", False))
