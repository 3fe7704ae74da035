"""Virtual media as the services do them: on simulated hosts, from a real server."""

from __future__ import annotations

import hashlib
import itertools
import threading
from pathlib import Path

import pytest

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import USUAL_DRIVES, BootDevice, PowerState
from hawkfish.domain.media import MediaRequest, file_name
from hawkfish.domain.systems import BootOverrideEnabled, ResetType, SystemChanges
from hawkfish.domain.tasks import TaskState
from hawkfish.errors import Conflict, DownloadFailed, ImageRefused, InUse, NotPermitted, PropertyInvalidFormat
from hawkfish.services.machines import machine_spec_with
from hawkfish.services.media_order import media_ahead
from hawkfish.testing.waiting import wait_until
from tests.support.file_server import FileServer, Plan
from tests.support.installation import READER, installation, shared_installation
from tests.support.iso import iso

__all__ = ["installation", "shared_installation"]


@pytest.fixture(scope="module")
def server():
    with FileServer() as running:
        yield running


NUMBERS = itertools.count(1)


@pytest.fixture
def path(server, request):
    """A path of this test alone."""
    path = f"/{request.node.name.partition('[')[0]}-{next(NUMBERS)}.iso"
    yield path
    server.plans.pop(path, None)


class Media:
    """Shortcuts."""

    def __init__(self, installation):
        self.installation = installation
        self.service = installation.application.media

    def insert(self, system, url, drive="Cd", **options):
        return self.service.insert(SYSTEM_ACTOR, system.id, drive, MediaRequest(image=url, **options))

    def eject(self, system, drive="Cd"):
        return self.service.eject(SYSTEM_ACTOR, system.id, drive)

    def view(self, system, drive="Cd"):
        return self.service.get(SYSTEM_ACTOR, system.id, drive)

    def shown(self, system, drive="Cd"):
        view = self.view(system, drive)
        return (None if view.source is None else view.source.url, view.inserted)

    def real(self, system, drive="Cd"):
        """What is really in the drive: the bytes."""
        medium = dict(self.installation.machine(system).media)[drive]
        return None if medium is None else Path(medium).read_bytes()

    def cached(self):
        store = self.installation.application.settings.media_cache
        return {item.name for item in store.glob("*/**/*") if item.is_file()}


@pytest.fixture
def media(installation):
    return Media(installation)


def test_an_image_is_inserted_and_ejected_and_nothing_else_changes(installation, media, server, path):
    content = iso("first")
    server.plans[path] = Plan(content, etag='"1"')
    system = installation.start(installation.create(name=None or installation.name()))
    before = installation.get(system)
    installation.done(media.insert(system, server.url(path)))
    assert media.shown(system) == (server.url(path), True)
    assert media.real(system) == content
    after = installation.get(system)
    assert (after.power_state, after.run_id, after.boot) == (before.power_state, before.run_id, before.boot)
    installation.done(media.eject(system))
    assert media.shown(system) == (None, False)
    assert media.real(system) is None
    assert media.eject(system).task is None, "an empty drive is left alone"
    verbs = [verb for verb, _ in installation.audited(f"system:{system.id}")]
    assert verbs[-2:] == ["media.insert", "media.eject"]


def test_what_was_accepted_reads_back_at_once_and_power_waits_for_it(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso(), gate=gate)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    assert media.shown(system) == (server.url(path), False)
    starting = installation.reset(system, ResetType.ON)
    assert installation.get(system).power_state is PowerState.POWERING_ON
    assert media.insert(system, server.url(path)).task.id == inserting.task.id, "the same request joins"
    wait_until(lambda: server.count(path), "the download has begun")
    assert starting.task.state is TaskState.WAITING
    other = installation.create()
    installation.done(installation.reset(other, ResetType.ON))  # nobody else waits
    gate.set()
    installation.done(inserting)
    installation.done(starting)
    assert media.shown(system) == (server.url(path), True)
    assert media.real(system) == iso()


@pytest.mark.slow
@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART])
def test_no_start_goes_without_the_image_that_was_accepted_before_it(installation, media, server, path, reset_type):
    gate = threading.Event()
    server.plans[path] = Plan(iso(), gate=gate, cut_after=40_000)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    starting = installation.reset(system, reset_type)
    gate.set()
    assert isinstance(installation.failed(inserting), DownloadFailed)
    error = installation.failed(starting)
    assert isinstance(error, Conflict)
    assert "was not started" in error.message
    assert "40000 bytes" in error.message
    assert installation.boots(system) == []
    installation.done(installation.reset(system, reset_type))
    assert installation.boots(system) == ["disk"]


def boot_once_from_cd(installation, system):
    changes = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.CD, boot_device_given=True)
    installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)


@pytest.mark.parametrize("reset_type", [ResetType.ON, ResetType.FORCE_RESTART])
def test_an_image_to_boot_from_that_was_not_to_be_had_is_told_of_by_the_next_start(
    installation, media, server, path, reset_type
):
    """Who took the acceptance for done and asks for power later than the failure is not given another boot."""
    server.plans[path] = Plan(b"", status=404)
    system = installation.create()
    assert isinstance(installation.failed(media.insert(system, server.url(path))), DownloadFailed)
    boot_once_from_cd(installation, system)
    error = installation.failed(installation.reset(system, reset_type))
    assert isinstance(error, Conflict)
    assert "404" in error.message
    assert installation.boots(system) == []
    assert installation.get(system).boot.enabled is BootOverrideEnabled.ONCE
    installation.done(installation.reset(system, reset_type))
    assert installation.boots(system) == ["cd"], (
        "who has been told may start it with what is there: first an empty drive"
    )


def test_an_image_that_was_not_to_be_had_is_no_matter_where_it_is_not_booted_from(installation, media, server, path):
    server.plans[path] = Plan(b"", status=404)
    system = installation.create()
    installation.failed(media.insert(system, server.url(path)))
    installation.done(installation.reset(system, ResetType.ON))
    assert installation.boots(system) == ["disk"]


def test_an_image_that_was_not_to_be_had_is_no_matter_to_a_new_system_with_the_same_uuid(
    installation, media, server, path
):
    server.plans[path] = Plan(b"", status=404)
    system = installation.create()
    installation.failed(media.insert(system, server.url(path)))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    again = installation.create(id=system.id)
    boot_once_from_cd(installation, again)
    installation.done(installation.reset(again, ResetType.ON))
    assert installation.boots(again) == ["cd"]


def test_a_start_that_was_cut_short_has_told_nobody_of_an_image_that_was_not_to_be_had(
    installation, media, server, path
):
    server.plans[path] = Plan(b"", status=404)
    system = installation.create()
    installation.failed(media.insert(system, server.url(path)))
    installation.done(installation.reset(system, ResetType.ON))
    boot_once_from_cd(installation, system)
    gate = threading.Event()
    server.plans[f"/slow{path}"] = Plan(iso(), gate=gate)
    slow = MediaRequest(image=server.url(f"/slow{path}"))
    waited_for = installation.application.media.insert(SYSTEM_ACTOR, system.id, "Usb", slow)
    cut_short = installation.reset(system, ResetType.FORCE_RESTART)
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    gate.set()
    installation.done(waited_for)
    assert installation.application.tasks.get(SYSTEM_ACTOR, cut_short.task.id).state is TaskState.CANCELLED
    assert isinstance(installation.failed(installation.reset(system, ResetType.ON)), Conflict)
    assert installation.boots(system) == ["disk"]


def test_an_image_that_was_not_to_be_had_is_no_matter_once_another_is_there(installation, media, server, path):
    system = installation.create()
    installation.failed(media.insert(system, server.url(f"/none{path}")))
    server.plans[path] = Plan(iso())
    installation.done(media.insert(system, server.url(path)))
    boot_once_from_cd(installation, system)
    installation.done(installation.reset(system, ResetType.ON))
    assert installation.boots(system) == ["cd"]


def test_an_insertion_comes_before_a_start_or_after_it_and_not_into_its_midst(
    installation, media, server, path, monkeypatch
):
    server.plans[path] = Plan(iso())
    system = installation.create()
    inserted = []
    insertion = threading.Thread(target=lambda: inserted.append(media.insert(system, server.url(path))))

    def look_while_another_inserts(uow, system_id):
        found = media_ahead(uow, system_id)
        insertion.start()
        insertion.join(1)
        return found

    monkeypatch.setattr("hawkfish.services.power.media_ahead", look_while_another_inserts)
    starting = installation.reset(system, ResetType.ON)
    insertion.join(30)
    (inserting,) = inserted
    is_waited_for = inserting.task.id in starting.task.arguments["media"]
    assert is_waited_for is (inserting.task.number < starting.task.number)
    installation.done(starting)
    installation.done(inserting)


def test_an_image_that_was_taken_back_is_not_missed(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso(), gate=gate)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    starting = installation.reset(system, ResetType.ON)
    installation.application.tasks.cancel(SYSTEM_ACTOR, inserting.task.id)
    installation.done(starting)
    gate.set()
    assert installation.boots(system) == ["disk"]


@pytest.mark.parametrize("part", ["Fetch", "Copy"])
def test_a_download_that_is_cancelled_takes_back_no_insertion(installation, media, server, path, part):
    gate = threading.Event()
    server.plans[path] = Plan(iso(), gate=gate)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    starting = installation.reset(system, ResetType.ON)
    tasks = installation.application.tasks
    shared = next(task for task in tasks.page(SYSTEM_ACTOR).items if task.title.startswith(f"{part} {path[1:]}"))
    tasks.cancel(SYSTEM_ACTOR, shared.id)
    assert tasks.wait(SYSTEM_ACTOR, shared.id, 30).ended
    gate.set()
    for accepted in (inserting, starting):
        error = installation.failed(accepted)
        assert isinstance(error, Conflict)
        assert f"{part} {path[1:]}" in error.message
    assert installation.boots(system) == [], "it is not started without its image"
    assert media.shown(system) == (None, False)


def test_what_is_ejected_before_it_is_there_is_not_waited_for(installation, media, server, path):
    gate = threading.Event()
    server.plans[path], server.plans[path + "2"] = Plan(iso("slow"), gate=gate), Plan(iso("other"), gate=gate)
    system = installation.create()
    waiting = [media.insert(system, server.url(path)), media.insert(system, server.url(path + "2"))]
    stick = media.insert(system, server.url(path), "Usb")
    ejecting = media.eject(system)
    for accepted in waiting:
        ended = installation.ended(accepted)
        assert (ended.state, "ejected" in ended.error.message) == (TaskState.CANCELLED, True)
    assert media.shown(system) == (None, False)
    gate.set()
    installation.done(ejecting)
    installation.done(stick)
    assert (media.real(system), media.real(system, "Usb")) == (None, iso("slow")), "another drive is another matter"


def test_an_image_that_a_start_is_to_find_is_inserted_before_it_is_ejected(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso("seen"), gate=gate)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    starting = installation.reset(system, ResetType.ON)
    ejecting = media.eject(system)
    assert media.shown(system) == (None, False)
    gate.set()
    for accepted in (inserting, starting, ejecting):
        installation.done(accepted)
    digest = hashlib.sha256(iso("seen")).hexdigest()
    assert file_name(digest) in installation.serial(system), "it was there at the start"
    assert media.real(system) is None


def test_the_same_address_is_asked_again_and_brings_what_is_new(installation, media, server, path):
    server.plans[path] = Plan(iso("old"), etag='"old"')
    system = installation.create()
    installation.done(media.insert(system, server.url(path)))
    installation.done(media.insert(system, server.url(path)))
    plan = server.plans[path]
    assert (server.count(path), plan.sent) == (2, len(plan.content)), "asked twice, sent once"
    server.plans[path] = Plan(iso("new"), etag='"new"')
    installation.done(media.insert(system, server.url(path)))
    assert media.real(system) == iso("new")
    assert media.shown(system) == (server.url(path), True)


def test_another_image_is_refused_while_one_is_inserted_and_follows_one_on_its_way(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso("one"), gate=gate)
    server.plans[path + "2"] = Plan(iso("two"))
    system = installation.create()
    first = media.insert(system, server.url(path))
    second = media.insert(system, server.url(path + "2"))
    assert media.shown(system) == (server.url(path + "2"), False)
    gate.set()
    installation.done(first)
    installation.done(second)
    assert media.real(system) == iso("two")
    with pytest.raises(InUse, match="eject it"):
        media.insert(system, server.url(path))
    ejected = media.eject(system)
    installation.done(media.insert(system, server.url(path)))
    installation.done(ejected)
    assert media.real(system) == iso("one")


def test_many_systems_take_one_download_and_one_copy(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso("shared"), gate=gate)
    host = installation.host()
    systems = [installation.create(host=host.name, disks=()) for _ in range(12)]
    inserting = [media.insert(system, server.url(path)) for system in systems]
    gate.set()
    for accepted in inserting:
        installation.done(accepted)
    key = media.view(systems[0]).source.key
    with installation.application.database.read() as uow:
        kinds = [task.kind for task in uow.tasks.search(subject=f"media:{key}")]
    assert kinds == ["media.fetch", "media.copy"]
    assert len({dict(installation.machine(system).media)["Cd"] for system in systems}) == 1
    assert all(media.real(system) == iso("shared") for system in systems)


def test_a_login_is_used_and_kept_nowhere(installation, media, server, path):
    server.plans[path] = Plan(iso())
    system = installation.create()
    installation.done(media.insert(system, server.url(path), user_name="ann", password="Sesame-Street-17"))
    assert server.requests[-1]["Authorization"] == "Basic YW5uOlNlc2FtZS1TdHJlZXQtMTc="
    source = media.view(system).source
    assert (source.user_name, source.sealed_password) == ("ann", None)
    with installation.application.database.read() as uow:
        tasks = uow.tasks.search()
    assert not any("Sesame" in repr(task) for task in tasks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan(b"", status=404), "404"),
        (Plan(b"", status=401), "401"),
        (Plan(b"<html><body>No such file</body></html>" * 2000), "HTML"),
        (Plan(b"QFI\xfb" + bytes(200_000)), "qcow2"),
        (Plan(b""), "empty"),
        (Plan(iso(), cut_after=40_000), "40000 bytes"),
        (Plan(iso(size=9 << 20)), "at most"),
        (Plan(b"x" * 65536, endless=True), "more than"),
        (Plan(iso(), location="/loop", status=302), "redirected"),
        (Plan(iso(), location="http://169.254.169.254/x", status=302), "169.254.169.254"),
        (Plan(iso(), mute=True), "nothing"),
    ],
    ids=["404", "401", "html", "qcow2", "empty", "truncated", "large", "endless", "loop", "metadata", "mute"],
)
def test_what_cannot_be_inserted_leaves_all_as_it_was(media, server, path, plan, reason, *, request):
    installation = media.installation
    server.plans["/loop"] = Plan(b"", location="/loop", status=302)
    server.plans[path] = Plan(iso("before"))
    system = installation.create()
    installation.done(media.insert(system, server.url(path)))
    before = media.cached()
    installation.done(media.eject(system))
    server.plans[path + "-bad"] = plan
    if plan.mute:
        request.getfixturevalue("impatient")
    error = installation.failed(media.insert(system, server.url(path + "-bad")))
    assert isinstance(error, DownloadFailed | ImageRefused), error
    assert reason in error.message
    assert media.shown(system) == (None, False)
    assert media.real(system) is None
    assert media.cached() == before


STICK = (bytes(510) + b"\x55\xaa").ljust(64 * 1024, b"\0")
"""What begins as a disk does."""


def test_a_stick_is_plugged_in_and_booted_from(installation, media, server, path):
    server.plans[path] = Plan(STICK)
    system = installation.start(installation.create())
    installation.done(media.insert(system, server.url(path), "Usb"))
    assert (media.shown(system, "Usb"), media.real(system, "Usb")) == ((server.url(path), True), STICK)
    assert media.shown(system) == (None, False), "the other drive is another"
    changes = SystemChanges(boot_enabled=BootOverrideEnabled.ONCE, boot_device=BootDevice.USB, boot_device_given=True)
    installation.application.systems.update(SYSTEM_ACTOR, system.id, changes)
    for _ in range(2):
        installation.done(installation.reset(system, ResetType.FORCE_RESTART))
    assert installation.boots(system) == ["disk", "usb", "disk"]
    installation.done(media.eject(system, "Usb"))
    assert media.real(system, "Usb") is None


def test_what_fits_a_stick_does_not_fit_a_cd_drive(installation, media, server, path):
    server.plans[path] = Plan(STICK, etag='"1"')
    system = installation.create()
    installation.done(media.insert(system, server.url(path), "Usb"))
    error = installation.failed(media.insert(system, server.url(path)))
    assert isinstance(error, ImageRefused), "fetched or known, it is judged"
    assert "an image of a disk" in error.message
    assert (media.real(system), media.real(system, "Usb")) == (None, STICK)
    server.plans[path + "-text"] = Plan(b"<html>" * 20_000)
    other = installation.create()
    assert "a page of HTML" in installation.failed(media.insert(other, server.url(path + "-text"), "Usb")).message


def test_a_machine_of_before_there_were_sticks_takes_one(installation, media, server, path):
    server.plans[path] = Plan(STICK)
    system = installation.create()
    driver = installation.application.drivers.driver(system.host_id)
    stamp = installation.machine(system).stamp
    old = machine_spec_with(system, (), stamp, USUAL_DRIVES)
    assert dict(driver.define_machine(old).media) == {"Cd": None}
    installation.done(media.insert(system, server.url(path), "Usb"))
    assert media.real(system, "Usb") == STICK
    machine = installation.machine(system)
    assert len(machine.disk_ids) == 1, "and has all it had"
    driver.define_machine(old)
    system = installation.start(system)
    assert media.real(system, "Usb") == STICK, "a start that finds it so mends it too"


def test_only_the_content_that_was_asked_for_is_inserted(installation, media, server, path):
    right, wrong = hashlib.sha256(iso("right")).hexdigest(), hashlib.sha256(iso("wrong")).hexdigest()
    server.plans[path] = Plan(iso("wrong"), etag='"1"')
    system = installation.create()
    before = media.cached()
    error = installation.failed(media.insert(system, server.url(path), sha256=right))
    assert isinstance(error, ImageRefused)
    assert right in error.message
    assert wrong in error.message
    assert (media.shown(system), media.real(system), media.cached()) == ((None, False), None, before)
    server.plans[path] = Plan(iso("right"), etag='"2"')
    installation.done(media.insert(system, server.url(path), sha256=right))
    assert (media.real(system), media.view(system).sha256) == (iso("right"), right)
    installation.done(media.insert(system, server.url(path), sha256=right))
    assert server.plans[path].sent == len(iso("right")), "unchanged, and still what was asked for"
    assert isinstance(installation.failed(media.insert(system, server.url(path), sha256=wrong)), ImageRefused)
    assert media.real(system) == iso("right")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "nfs://server/x.iso", "cifs://server/x.iso", "http://ann:x@server/", "http://["]
)
def test_addresses_that_are_not_taken_are_refused_at_once(installation, media, url):
    system = installation.create()
    with pytest.raises(PropertyInvalidFormat) as caught:
        media.insert(system, url)
    assert caught.value.data["property"] == "Image"
    assert "ann:x" not in caught.value.message
    with pytest.raises(NotPermitted):
        media.service.insert(READER, system.id, "Cd", MediaRequest(image="http://server/x.iso"))


def test_a_change_of_the_definition_leaves_the_medium(installation, media, server, path):
    server.plans[path] = Plan(iso("stays"))
    system = installation.create()
    installation.done(media.insert(system, server.url(path)))
    installation.done(installation.application.systems.update(SYSTEM_ACTOR, system.id, SystemChanges(vcpus=2)))
    assert media.real(system) == iso("stays")


def test_a_deletion_does_not_wait_for_an_image(installation, media, server, path):
    gate = threading.Event()
    server.plans[path] = Plan(iso(), gate=gate)
    system = installation.create()
    inserting = media.insert(system, server.url(path))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    assert installation.ended(inserting).state is TaskState.CANCELLED
    gate.set()


def test_what_others_put_into_the_drive_is_shown(installation, media, server, path):
    server.plans[path] = Plan(iso())
    system = installation.create()
    installation.done(media.insert(system, server.url(path)))
    driver = installation.application.drivers.driver(system.host_id)
    driver.change_medium(system.id, "Cd", None)
    wait_until(lambda: media.shown(system) == (None, False), "the drive shows that it is empty")
    installation.done(media.insert(system, server.url(path)))
    assert media.shown(system) == (server.url(path), True)
    assert dict(installation.machine(system).media)["Cd"].endswith(file_name(media.view(system).media.held_digest))
