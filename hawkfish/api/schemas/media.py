"""Bodies of requests to VirtualMedia."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import post_load

from hawkfish import errors
from hawkfish.api.schemas.base import ActionSchema, PatchSchema, StrictSchema
from hawkfish.api.schemas.fields import Choice, Part, Secret, Text, Truth, refuse
from hawkfish.domain.media import MediaRequest

PROTOCOLS: Mapping[str, str] = MappingProxyType({"HTTP": "http", "HTTPS": "https"})
"""What images are fetched by, and how their addresses begin."""

TRANSFER_METHODS: Mapping[str, str] = MappingProxyType({"Stream": "Stream", "Upload": "Upload"})
"""Either is taken; an image is always fetched whole, so that its server can go away afterwards."""

_NAME = r"[^\x00-\x1f\x7f:]*"
_PRINTABLE = r"[^\x00-\x1f\x7f]*"


def _image(**options: Any) -> Text:
    return Text(data_key="Image", most=4096, **options)


def _user_name(**options: Any) -> Text:
    form = "a name without control characters and colons"
    return Text(data_key="UserName", most=255, pattern=_NAME, form=form, **options)


def _password(**options: Any) -> Secret:
    return Secret(data_key="Password", most=1024, pattern=_PRINTABLE, form="free of control characters", **options)


class HawkFishMediaSchema(StrictSchema):
    """The object `Oem.HawkFish` of an insertion."""

    sha256 = Text(data_key="SHA256", pattern=r"[0-9a-fA-F]{64}", form="64 hexadecimal digits")


class OemMediaSchema(StrictSchema):
    """The object `Oem` of an insertion."""

    hawkfish = Part(HawkFishMediaSchema, data_key="HawkFish")


class InsertMediaSchema(ActionSchema):
    """The parameters of VirtualMedia.InsertMedia."""

    action: ClassVar[str] = "VirtualMedia.InsertMedia"

    image = _image(required=True, least=1)
    inserted = Truth(data_key="Inserted")
    write_protected = Truth(data_key="WriteProtected")
    transfer_method = Choice(TRANSFER_METHODS, data_key="TransferMethod")
    protocol = Choice(PROTOCOLS, data_key="TransferProtocolType")
    user_name = _user_name()
    password = _password()
    oem = Part(OemMediaSchema, data_key="Oem")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> MediaRequest:
        """Makes the domain value."""
        if values.get("inserted") is False:
            rule = "must be true: an image is fetched to be inserted"
            raise refuse(errors.PropertyConflict, "Inserted", rule, False)
        return _request(values)


@dataclass(frozen=True, kw_only=True)
class MediaChange:
    """What a PATCH asks for.

    Attributes:
        request: The image that is to be inserted; None for none.
        eject: Whether the drive is to be emptied.
        verify_certificate: Whether servers have to prove who they are; None as it is.
    """

    request: MediaRequest | None = None
    eject: bool = False
    verify_certificate: bool | None = None


class VirtualMediaPatchSchema(PatchSchema):
    """The body of PATCH on a VirtualMedia: by `Image` and `Inserted`, older clients insert and eject."""

    read_only = frozenset({"ImageName", "ConnectedVia", "MediaTypes", "Name", "Description"})

    image = _image(allow_none=True)
    inserted = Truth(data_key="Inserted")
    write_protected = Truth(data_key="WriteProtected")
    transfer_method = Choice(TRANSFER_METHODS, data_key="TransferMethod", allow_none=True)
    protocol = Choice(PROTOCOLS, data_key="TransferProtocolType", allow_none=True)
    user_name = _user_name(allow_none=True)
    password = _password(allow_none=True)
    verify_certificate = Truth(data_key="VerifyCertificate")
    oem = Part(OemMediaSchema, data_key="Oem")

    @post_load
    def make(self, values: dict[str, Any], **_: Any) -> MediaChange:
        """Makes what is asked for of it; what speaks of an image needs one."""
        verify, inserted = values.get("verify_certificate"), values.get("inserted")
        if values.get("image"):
            if inserted is False:
                rule = "is false beside an Image; send one of them"
                raise refuse(errors.PropertyConflict, "Inserted", rule, False)
            return MediaChange(request=_request(values))
        if "image" in values or inserted is False:
            return MediaChange(eject=True, verify_certificate=verify)
        lonely = [name for key, name in _OF_IMAGE.items() if values.get(key) is not None]
        if lonely:
            raise refuse(errors.PropertyConflict, lonely[0], "says something of an Image; send that beside it")
        _check_protection(values)
        return MediaChange(verify_certificate=verify)


_OF_IMAGE = {
    "inserted": "Inserted",
    "transfer_method": "TransferMethod",
    "protocol": "TransferProtocolType",
    "user_name": "UserName",
    "password": "Password",
    "oem": "Oem",
}


def _check_protection(values: Mapping[str, Any]) -> None:
    if values.get("write_protected") is False:
        rule = "must be true: an image is shared by all who insert it, and nothing writes to it"
        raise refuse(errors.PropertyConflict, "WriteProtected", rule, False)


def _request(values: Mapping[str, Any]) -> MediaRequest:
    _check_protection(values)
    protocol = values.get("protocol")
    try:
        scheme = urlsplit(values["image"]).scheme
    except ValueError:
        scheme = ""  # the service says what is wrong with it
    if protocol is not None and scheme and protocol != scheme:
        rule = f"is not how {scheme}:// begins; leave it out"
        raise refuse(errors.PropertyConflict, "TransferProtocolType", rule, protocol.upper())
    sha256 = values.get("oem", {}).get("hawkfish", {}).get("sha256")
    return MediaRequest(
        image=values["image"],
        user_name=values.get("user_name"),
        password=values.get("password"),
        verify_certificate=values.get("verify_certificate"),
        sha256=None if sha256 is None else sha256.lower(),
    )
