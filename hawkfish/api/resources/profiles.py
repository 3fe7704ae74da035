"""Node profiles, under Oem/HawkFish."""

from __future__ import annotations

from typing import Any

import falcon

from hawkfish.api import links
from hawkfish.api.documents import Document, expected_version, send
from hawkfish.api.links import link
from hawkfish.api.offload import offload
from hawkfish.api.resources.base import Address, Collection, Resource, not_none, paged, timestamp
from hawkfish.api.resources.systems_body import attachment_properties
from hawkfish.api.schemas.profiles import NewProfileSchema, ProfilePatchSchema
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.profiles import Profile, ProfileShape


def profile_document(profile: Profile) -> Document:
    """A profile, in one of its revisions."""
    shape = profile.shape
    interfaces = shape.network_interfaces
    body: dict[str, Any] = {
        "@odata.id": f"{links.PROFILES}/{profile.id}",
        "@odata.type": "#HawkFishProfile.v1_0_0.HawkFishProfile",
        "Id": str(profile.id),
        "Name": profile.name,
        "Revision": profile.revision,
        "RevisionCount": profile.revision_count,
        "CPU": shape.vcpus,
        "MemoryMiB": shape.memory_mib,
        "Labels": dict(shape.labels),
        "CreatedBy": profile.created_by,
    }
    body |= not_none(
        Description=profile.description or None,
        DiskGiB=shape.disk_gib,
        Firmware=shape.firmware,
        ImageId=None if shape.image_id is None else str(shape.image_id),
        Image=None if shape.image_id is None else link(links.IMAGES, shape.image_id),
        CreatedAt=timestamp(profile.created_at),
    )
    if interfaces is not None:
        body["NetworkInterfaces"] = [
            {"Model": item.model, **({} if item.attachment is None else attachment_properties(item.attachment))}
            for item in interfaces
        ]
    return Document(body, profile.version)


class ProfileCollectionResource(Collection[Profile]):
    """/redfish/v1/Oem/HawkFish/Profiles."""

    path = links.PROFILES
    kind = "HawkFishProfileCollection"
    title = "Profiles"

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[Profile]:
        """The profiles by name."""
        return paged(self.application.profiles.all(actor), wanted, self.key)

    def key(self, item: Profile) -> str:
        """Its name, whatever the case."""
        return item.name.lower()

    def document(self, item: Profile) -> Document:
        """One profile."""
        return profile_document(item)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Makes a profile."""
        values = NewProfileSchema.read(self.read(req))
        name, description = values.pop("name"), values.pop("description", "")
        image = values.pop("image", None)
        profile = offload(
            self.application.profiles.create,
            req.context.actor,
            name,
            ProfileShape(**values),
            image=image,
            description=description,
        )
        document = profile_document(profile)
        resp.set_header("Location", document.body["@odata.id"])
        send(req, resp, document, 201)


class ProfileResource(Resource):
    """One profile, in its last revision."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, profile_id: str) -> None:
        """Shows the profile."""
        send(req, resp, profile_document(self._find(req, profile_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, profile_id: str) -> None:
        """Gives the profile a new revision."""
        changes = ProfilePatchSchema.read(self.read(req))
        profile = self._find(req, profile_id)
        version = expected_version(req, profile_document(profile))
        revised = offload(self.application.profiles.revise, req.context.actor, profile.id, changes, version)
        send(req, resp, profile_document(revised))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, profile_id: str) -> None:
        """Deletes a profile after which no system was made."""
        profile = self._find(req, profile_id)
        version = expected_version(req, profile_document(profile))
        offload(self.application.profiles.delete, req.context.actor, profile.id, version)
        resp.status = 204

    def _find(self, req: falcon.Request, profile_id: str) -> Profile:
        profile = offload(self.application.profiles.get, req.context.actor, profile_id)
        if str(profile.id) != profile_id:
            raise falcon.HTTPTemporaryRedirect(f"{links.PROFILES}/{profile.id}")
        return profile
