"""Virtual media: the drives of a system, under the system and under its manager; one resource with two addresses."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import settle
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Head, paged, send_members
from hawkfish.api.resources.systems import SystemPart
from hawkfish.api.resources.systems_body import status_of
from hawkfish.api.schemas.actions import EjectMediaSchema
from hawkfish.api.schemas.media import PROTOCOLS, TRANSFER_METHODS, InsertMediaSchema, VirtualMediaPatchSchema
from hawkfish.domain.machines import DriveKind
from hawkfish.domain.media import MediaView, image_name
from hawkfish.domain.systems import System

NAME = "VirtualMedia"
MEDIA_TYPES = {DriveKind.CD: ["CD", "DVD"], DriveKind.FLOPPY: ["Floppy"], DriveKind.USB: ["USBStick"]}
TITLES = {DriveKind.CD: "Virtual CD", DriveKind.FLOPPY: "Virtual floppy", DriveKind.USB: "Virtual USB stick"}


def media_document(view: MediaView, tree: str) -> Document:
    """A VirtualMedia.

    Args:
        view: The drive.
        tree: The collection under which it is shown: Systems or Managers.
    """
    source = view.source
    address = f"{tree}/{view.system.id}/{NAME}/{view.drive.id}"
    name = None if source is None else image_name(source.url)
    if view.foreign is not None:
        name = PurePosixPath(view.foreign).name
    status = status_of(view.system)
    body = {
        "@odata.id": address,
        "@odata.type": "#VirtualMedia.v1_6_5.VirtualMedia",
        "Id": view.drive.id,
        "Name": TITLES[view.drive.kind],
        "MediaTypes": MEDIA_TYPES[view.drive.kind],
        "Image": None if source is None else source.url,
        "ImageName": name,
        "Inserted": view.inserted,
        "WriteProtected": True,
        "ConnectedVia": "URI" if source is not None else "Oem" if view.inserted else "NotConnected",
        "TransferMethod": None if source is None else "Upload",
        "TransferProtocolType": None if source is None else source.url.partition(":")[0].upper(),
        "UserName": None if source is None else source.user_name,
        "Password": None,
        "VerifyCertificate": view.media.verify_certificate,
        "Status": {**status, "State": "Updating"} if view.in_flight and status["State"] == "Enabled" else status,
        "Actions": {
            "#VirtualMedia.InsertMedia": {
                "target": f"{address}/Actions/VirtualMedia.InsertMedia",
                "TransferMethod@Redfish.AllowableValues": list(TRANSFER_METHODS),
                "TransferProtocolType@Redfish.AllowableValues": list(PROTOCOLS),
            },
            "#VirtualMedia.EjectMedia": {"target": f"{address}/Actions/VirtualMedia.EjectMedia"},
        },
        "Oem": {"HawkFish": {"@odata.type": "#HawkFishVirtualMedia.v1_0_0.VirtualMedia", "SHA256": view.sha256}},
    }
    return Document(body, view.media.version)


class MediaPart(SystemPart):
    """Anything about the drives of a system."""

    def show(self, req: falcon.Request, system: System, drive_id: str) -> Document:
        """What a drive shows now."""
        view = offload(self.application.media.get, req.context.actor, system.id, drive_id)
        return media_document(view, self.collection_path)


class VirtualMediaCollectionResource(MediaPart):
    """The drives of a system."""

    collection = True

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows a page of the collection, or with `only` its one member."""
        system = self.find(req, system_id)
        views = offload(self.application.media.all, req.context.actor, system.id)
        members = [media_document(view, self.collection_path) for view in views]
        query = req.context.query
        if query.only and len(members) == 1:
            send(req, resp, members[0])
            return
        found = [item for item in members if query.accepts(item.body)]
        head = Head(f"{self.collection_path}/{system.id}/{NAME}", "VirtualMediaCollection", "Virtual media")
        send_members(req, resp, head, paged(found, query.page, lambda item: item.body["Id"]))


class VirtualMediaResource(MediaPart):
    """One drive."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, drive_id: str) -> None:
        """Shows what is in the drive, or was accepted to be."""
        send(req, resp, self.show(req, self.find(req, system_id), drive_id))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, system_id: str, drive_id: str) -> None:
        """Inserts, ejects, or says whether servers have to prove who they are."""
        change = VirtualMediaPatchSchema.read(self.read(req))
        system = self.find(req, system_id)
        version = expected_version(req, self.show(req, system, drive_id))
        actor, media = req.context.actor, self.application.media
        # Also who asks for nothing, such as with Password null, must have the right to ask.
        if change.request is None and (change.verify_certificate is not None or not change.eject):
            verify = change.verify_certificate
            options: dict[str, Any] = {"verify_certificate": verify, "expected_version": version}
            offload(media.update, actor, system.id, drive_id, **options)
            version = None
        accepted = None
        if change.request is not None:
            accepted = offload(media.insert, actor, system.id, drive_id, change.request, expected_version=version)
        elif change.eject:
            accepted = offload(media.eject, actor, system.id, drive_id, expected_version=version)
        if accepted is None or settle(req, resp, self.application, accepted).done:
            send(req, resp, self.show(req, system, drive_id))


class InsertMediaResource(MediaPart):
    """The action VirtualMedia.InsertMedia."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str, drive_id: str) -> None:
        """Inserts an image."""
        request = InsertMediaSchema.read(self.read(req))
        found = self.identify(req, system_id)
        accepted = offload(self.application.media.insert, req.context.actor, found, drive_id, request)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class EjectMediaResource(MediaPart):
    """The action VirtualMedia.EjectMedia."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str, drive_id: str) -> None:
        """Empties the drive."""
        EjectMediaSchema.read(self.read(req, optional=True))
        found = self.identify(req, system_id)
        accepted = offload(self.application.media.eject, req.context.actor, found, drive_id)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class ManagerVirtualMediaCollectionResource(VirtualMediaCollectionResource):
    """The same drives under the manager."""

    collection_path = links.MANAGERS


class ManagerVirtualMediaResource(VirtualMediaResource):
    """The same drive under the manager."""

    collection_path = links.MANAGERS


class ManagerInsertMediaResource(InsertMediaResource):
    """The same action under the manager."""

    collection_path = links.MANAGERS


class ManagerEjectMediaResource(EjectMediaResource):
    """The same action under the manager."""

    collection_path = links.MANAGERS
