"""Images, under Oem/HawkFish: the catalogue, uploads, pruning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import idempotency_key, settle
from hawkfish.api.bodies import broken_off
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.offload import offload, within
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, paged, timestamp
from hawkfish.api.schemas.images import NewImageSchema, PruneImagesSchema
from hawkfish.domain.accounts import Actor
from hawkfish.domain.images import Image, ImageState
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.errors import InvalidRequest
from hawkfish.services.downloads import shown_url

PIECE = 1 << 20

_STATUS = {
    ImageState.AWAITING: {"State": "StandbyOffline", "Health": "OK"},
    ImageState.FETCHING: {"State": "Updating", "Health": "OK"},
    ImageState.AVAILABLE: {"State": "Enabled", "Health": "OK"},
}


def image_document(image: Image) -> Document:
    """An image."""
    address = f"{links.IMAGES}/{image.id}"
    body: dict[str, Any] = {
        "@odata.id": address,
        "@odata.type": "#HawkFishImage.v1_0_0.HawkFishImage",
        "Id": str(image.id),
        "Name": image.name,
        "State": image.state,
        "Status": _STATUS[image.state],
        "CreatedBy": image.created_by,
    }
    body |= not_none(
        Description=image.description or None,
        URL=None if image.url is None else shown_url(image.url),
        LocalPath=image.local_path,
        SHA256=image.expected_digest,
        CreatedAt=timestamp(image.created_at),
    )
    if image.url is not None:
        body["VerifyCertificate"] = image.verify_certificate
    if image.state is ImageState.AWAITING:
        body["ContentURI"] = f"{address}/Content"
    if image.content is not None:
        body |= {
            "SHA256": image.content.digest,
            "Format": image.content.format,
            "VirtualBytes": image.content.virtual_bytes,
            "FileBytes": image.content.file_bytes,
        }
    return Document(body, image.version)


class ImageCollectionResource(Collection[Image]):
    """/redfish/v1/Oem/HawkFish/Images."""

    path = links.IMAGES
    kind = "HawkFishImageCollection"
    title = "Images"
    actions = ("Prune",)

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Image]:
        """The images by name."""
        return paged(self.application.images.all(actor), wanted, self.key)

    def key(self, item: Image) -> str:
        """Its name, whatever the case."""
        return item.name.lower()

    def document(self, item: Image) -> Document:
        """One image."""
        return image_document(item)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Adds an image."""
        new = NewImageSchema.read(self.read(req))
        actor, images = req.context.actor, self.application.images
        accepted = offload(images.add, actor, new, idempotency_key=idempotency_key(req))
        if settle(req, resp, self.application, accepted).done:
            document = image_document(offload(images.get, actor, accepted.subject_id))
            resp.set_header("Location", document.body["@odata.id"])
            send(req, resp, document, 201)


class ImagePruneResource(Resource):
    """The action that removes what no image needs any more."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Prunes."""
        copies = PruneImagesSchema.read(self.read(req, optional=True))
        accepted = offload(self.application.images.prune, req.context.actor, copies=copies)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class ImagePart(Resource):
    """Anything of one image; the image is named by its id, and a name redirects there."""

    def find(self, req: falcon.Request, image_id: str) -> Image:
        """The image of the address.

        Raises:
            falcon.HTTPTemporaryRedirect: The address has the image's name in place of its id.
        """
        image = offload(self.application.images.get, req.context.actor, image_id)
        if str(image.id) != image_id:
            rest = req.path[len(f"{links.IMAGES}/{image_id}") :]
            raise falcon.HTTPTemporaryRedirect(f"{links.IMAGES}/{image.id}{rest}")
        return image


class ImageResource(ImagePart):
    """One image."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Shows the image."""
        send(req, resp, image_document(self.find(req, image_id)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Deletes the image; disks that were made from it stay."""
        image = self.find(req, image_id)
        version = expected_version(req, image_document(image))
        accepted = offload(self.application.images.delete, req.context.actor, image.id, version)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class ImageContentResource(ImagePart):
    """The content of an image that waits for one; it goes in and does not come out."""

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Takes the content, piece by piece; half of one leaves nothing behind."""
        image = self.find(req, image_id)
        images, actor = self.application.images, req.context.actor
        upload = offload(images.begin_upload, actor, image.id, req.content_length)
        try:
            for piece in self._pieces(req):
                offload(upload.write, piece)
            taken = offload(upload.finish)
        finally:
            offload(upload.close)
        send(req, resp, image_document(taken))

    def _pieces(self, req: falcon.Request) -> Iterator[bytes]:
        """The body, never more of it in memory than one piece; a sender that falls silent is not waited for."""
        stream = req.bounded_stream if req.content_length is not None else req.stream
        seconds = self.application.settings.download_stall_seconds

        def read() -> bytes:
            with broken_off():
                return bytes(stream.read(PIECE))

        while piece := within(seconds, read, _fallen_silent(seconds)):
            yield piece


def _fallen_silent(seconds: float) -> InvalidRequest:
    return InvalidRequest(f"Nothing of the content came for {seconds:g} s; send it again, faster.")
