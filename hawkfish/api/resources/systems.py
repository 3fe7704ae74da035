"""Systems."""

from __future__ import annotations

from uuid import UUID

import falcon

from hawkfish.api import links
from hawkfish.api.accepted import idempotency_key, settle
from hawkfish.api.documents import Document, RenderedCache, dump, expected_version, send, send_rendered
from hawkfish.api.offload import offload
from hawkfish.api.queries import Query, read_number
from hawkfish.api.resources.base import Address, Collection, Resource
from hawkfish.api.resources.systems_body import (
    SYSTEM_FIELDS,
    placement_body,
    screenshot_uri,
    serial_log_document,
    system_document,
)
from hawkfish.api.schemas.actions import ScreenshotSchema, SetDefaultBootOrderSchema
from hawkfish.api.schemas.systems import NewSystemSchema, ResetSchema, SystemPatchSchema
from hawkfish.bootstrap import Application
from hawkfish.domain.accounts import Actor
from hawkfish.domain.pages import Page, PageRequest
from hawkfish.domain.systems import System

SERIAL_PIECE = 64 * 1024


class CollectionOfSystems(Collection[System]):
    """A collection with a member for each system, by the names of the systems."""

    def page(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[System]:
        """The systems."""
        return self.application.systems.page(actor, wanted)

    def references(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[UUID]:
        """Their ids."""
        return self.application.systems.references(actor, wanted)

    def key(self, item: System) -> str:
        """Its name, whatever the case."""
        return item.name.lower()


class SystemCollectionResource(CollectionOfSystems):
    """/redfish/v1/Systems."""

    path = links.SYSTEMS
    kind = "ComputerSystemCollection"
    title = "Systems"

    fields = SYSTEM_FIELDS

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._cache = RenderedCache()

    def document(self, item: System) -> Document:
        """One system."""
        return system_document(item)

    def rendered(self, actor: Actor, query: Query, address: Address) -> Page[bytes]:
        """As a GET of each keeps it, where it was not changed since."""
        page = self.filtered(self._stamps, actor, query, address)
        if page is None:
            return super().rendered(actor, query, address)
        ready = {system_id: self._cache.get(str(system_id), stamp) for system_id, stamp in page.items}
        stamps = dict(page.items)
        missing = [system_id for system_id, found in ready.items() if found is None]
        for system in self.application.systems.of_ids(actor, missing) if missing else ():
            ready[system.id] = self._cache.put(str(system.id), stamps[system.id], system_document(system))
        items = [found.content for found in ready.values() if found is not None]  # without those just deleted
        return Page(items=items, total=page.total, next_after=page.next_after)

    def _stamps(self, actor: Actor, wanted: PageRequest, _address: Address) -> Page[tuple[UUID, tuple[int, int]]]:
        return self.application.systems.stamps(actor, wanted)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Makes a system, or says where it would go."""
        new, dry_run = NewSystemSchema.read(self.read(req))
        actor, systems = req.context.actor, self.application.systems
        if dry_run:
            resp.data = dump(placement_body(offload(systems.explain, actor, new)))
            return
        accepted = offload(systems.create, actor, new, idempotency_key=idempotency_key(req))
        if settle(req, resp, self.application, accepted).done:
            document = system_document(offload(systems.get, actor, accepted.subject_id))
            resp.set_header("Location", document.body["@odata.id"])
            send(req, resp, document, 201)


class SystemPart(Resource):
    """Anything under one system; the system is named by its id, and a name redirects there."""

    collection_path = links.SYSTEMS

    def identify(self, req: falcon.Request, system_id: str) -> UUID:
        """The id of the system of the address, for a verb that reads the system itself; raises as `find`."""
        if self.application.systems.quick_stamp(req.context.actor, system_id) is not None:
            return UUID(system_id)
        return self.find(req, system_id).id

    def find(self, req: falcon.Request, system_id: str) -> System:
        """The system of the address.

        Raises:
            falcon.HTTPTemporaryRedirect: The address has the system's name in place of its id.
        """
        system = offload(self.application.systems.get, req.context.actor, system_id)
        if str(system.id) != system_id:
            given = f"{self.collection_path}/{system_id}"
            rest = req.path[len(given) :] + (f"?{req.query_string}" if req.query_string else "")
            raise falcon.HTTPTemporaryRedirect(f"{self.collection_path}/{system.id}{rest}")
        return system


class SystemResource(SystemPart):
    """One system; nearly every step of every client begins with reading it."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._cache = RenderedCache()

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Shows the system as it was last observed."""
        if req.context.shape is not None:
            send(req, resp, system_document(self.find(req, system_id)))
            return
        actor, systems = req.context.actor, self.application.systems
        stamp = systems.quick_stamp(actor, system_id) or offload(systems.stamp, actor, system_id)
        rendered = None if stamp is None else self._cache.get(system_id, stamp)
        if rendered is None:
            rendered = self._cache.put(system_id, stamp, system_document(self.find(req, system_id)))
        send_rendered(req, resp, rendered)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Changes the system."""
        changes = SystemPatchSchema.read(self.read(req))
        system = self.find(req, system_id)
        version = expected_version(req, system_document(system))
        actor, systems = req.context.actor, self.application.systems
        accepted = offload(systems.update, actor, system.id, changes, version)
        if settle(req, resp, self.application, accepted).done:
            send(req, resp, system_document(offload(systems.get, actor, system.id)))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Deletes the system with its disks."""
        system = self.find(req, system_id)
        version = expected_version(req, system_document(system))
        accepted = offload(self.application.systems.delete, req.context.actor, system.id, version)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class SystemResetResource(SystemPart):
    """The action ComputerSystem.Reset."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Changes the power of the system."""
        reset_type = ResetSchema.read(self.read(req))
        found, key = self.identify(req, system_id), idempotency_key(req)
        accepted = offload(self.application.systems.reset, req.context.actor, found, reset_type, idempotency_key=key)
        if settle(req, resp, self.application, accepted).done:
            resp.status = 204


class SystemDefaultBootOrderResource(SystemPart):
    """The action ComputerSystem.SetDefaultBootOrder."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Gives the boot order back that the system had when it was made, from the next start on; an override stays."""
        SetDefaultBootOrderSchema.read(self.read(req, optional=True))
        found = self.identify(req, system_id)
        offload(self.application.systems.default_boot_order, req.context.actor, found)
        resp.status = 204


class SystemScreenshotResource(SystemPart):
    """The action HawkFishSystem.Screenshot."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Takes a picture of the screen, and tells where it is."""
        ScreenshotSchema.read(self.read(req, optional=True))
        system = self.find(req, system_id)
        accepted = offload(self.application.systems.screenshot, req.context.actor, system.id)
        outcome = settle(req, resp, self.application, accepted)
        if outcome.done and outcome.task is not None:
            resp.data = dump({"ImageURI": screenshot_uri(outcome.task)})


class ScreenshotResource(SystemPart):
    """A picture that was taken."""

    shapeable = False

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str, screenshot_id: str) -> None:
        """Sends the picture."""
        system = self.find(req, system_id)
        picture = offload(self.application.systems.read_screenshot, req.context.actor, system.id, screenshot_id)
        resp.content_type = picture.media_type
        resp.data = picture.data


class SerialLogResource(SystemPart):
    """What the machine wrote to its serial port, from a byte on."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, system_id: str) -> None:
        """Sends a piece; the next one begins at its NextOffset."""
        offset = read_number(req, "offset", 0)
        system = self.find(req, system_id)
        actor = req.context.actor
        accepted = offload(self.application.systems.serial_log, actor, system.id, offset=offset, limit=SERIAL_PIECE)
        outcome = settle(req, resp, self.application, accepted)
        if outcome.done and outcome.task is not None:
            send(req, resp, serial_log_document(outcome.task))
