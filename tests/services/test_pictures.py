"""What a running system shows: its screen as a PNG, its serial log in pieces."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hawkfish.domain.accounts import SYSTEM_ACTOR
from hawkfish.domain.machines import Screenshot
from hawkfish.domain.systems import ResetType
from hawkfish.errors import ActionNotSupported, Conflict, NotFound
from hawkfish.services.pictures import as_png, whole_characters
from tests.support.installation import GUEST, READER


def take(installation, system):
    task = installation.done(installation.application.systems.screenshot(SYSTEM_ACTOR, system.id))
    return task.results["look"]["screenshot_id"]


def read(installation, system, **place):
    task = installation.done(installation.application.systems.serial_log(SYSTEM_ACTOR, system.id, **place))
    return task.results["read"]


def test_the_screen_of_a_running_system_is_a_png(installation):
    system = installation.start(installation.create())
    picture = installation.application.systems.read_screenshot(SYSTEM_ACTOR, system.id, take(installation, system))
    assert picture.media_type == "image/png"
    with Image.open(io.BytesIO(picture.data)) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width >= 320
        assert len(image.convert("RGB").getcolors(1 << 24)) > 1, "something is on it"


def test_what_a_hypervisor_sends_as_a_bitmap_becomes_a_png():
    pixels = b"P6\n2 1\n255\n\xff\x00\x00\x00\x00\xff"
    picture = as_png(Screenshot(media_type="image/x-portable-pixmap", data=pixels))
    assert picture.media_type == "image/png"
    with Image.open(io.BytesIO(picture.data)) as image:
        assert [image.convert("RGB").getpixel((x, 0)) for x in range(2)] == [(255, 0, 0), (0, 0, 255)]


def test_there_is_nothing_to_see_while_a_system_is_off(installation):
    system = installation.create()
    with pytest.raises(Conflict, match="nothing to see"):
        installation.application.systems.screenshot(SYSTEM_ACTOR, system.id)


def test_a_host_that_takes_no_pictures_offers_none(installation):
    blind = installation.host(f"{GUEST}&lacks=screenshot,serial-log")
    system = installation.create(host=blind.name, power_on=True)
    with pytest.raises(ActionNotSupported):
        installation.application.systems.screenshot(SYSTEM_ACTOR, system.id)
    with pytest.raises(ActionNotSupported):
        installation.application.systems.serial_log(SYSTEM_ACTOR, system.id)


def test_a_picture_belongs_to_its_system_and_is_kept_for_a_while(installation):
    system, other = (installation.create(power_on=True) for _ in range(2))
    found = take(installation, system)
    with pytest.raises(NotFound):
        installation.application.systems.read_screenshot(SYSTEM_ACTOR, other.id, found)
    with installation.application.database.write() as uow:
        assert uow.systems.purge_screenshots(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert uow.systems.purge_screenshots(datetime.now(UTC) + timedelta(hours=1)) >= 1
    with pytest.raises(NotFound, match="take a new one"):
        installation.application.systems.read_screenshot(SYSTEM_ACTOR, system.id, found)


def test_pictures_go_with_their_system(installation):
    system = installation.create(power_on=True)
    found = take(installation, system)
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    installation.done(installation.application.systems.delete(SYSTEM_ACTOR, system.id))
    with pytest.raises(NotFound):
        installation.application.systems.read_screenshot(SYSTEM_ACTOR, system.id, found)


@pytest.mark.parametrize("limit", [7, 100, 1 << 20])
def test_pieces_of_the_serial_log_make_up_the_whole(installation, limit):
    system = installation.start(installation.create())
    whole = installation.serial(system)
    text, offset = "", 0
    while True:
        piece = read(installation, system, offset=offset, limit=limit)
        if not piece["text"]:
            break
        text += piece["text"]
        assert piece["next_offset"] <= offset + limit
        offset = piece["next_offset"]
        if limit == 7 and offset > 70:
            whole = whole.encode()[:offset].decode()
            break
    assert text == whole
    assert read(installation, system, offset=offset + 10**6)["text"] == ""


def test_the_end_of_the_serial_log_can_be_asked_for(installation):
    system = installation.start(installation.create())
    piece = read(installation, system, offset=-13)
    assert piece == {"text": "GUEST-READY\r\n", "next_offset": None}


def test_an_off_system_still_has_its_log(installation):
    system = installation.start(installation.create())
    installation.done(installation.reset(system, ResetType.FORCE_OFF))
    assert "GUEST-READY" in read(installation, system)["text"]


@given(st.text(), st.integers(min_value=1, max_value=9))
def test_no_character_is_torn_between_two_pieces(text, limit):
    content = text.encode()
    if limit < max([len(letter.encode()) for letter in text], default=0):
        return  # a piece that holds no character shows that something is there, and no more
    read_so_far, offset = "", 0
    while offset < len(content):
        piece, length = whole_characters(content[offset : offset + limit])
        assert length > 0
        read_so_far += piece
        offset += length
    assert read_so_far == text


@given(st.binary(min_size=1))
def test_any_bytes_are_read_to_their_end(content):
    offset = 0
    while offset < len(content):
        _, length = whole_characters(content[offset : offset + 5])
        assert length > 0
        offset += length


def test_looking_is_no_change_and_its_refusal_is_written_down(installation):
    system = installation.create(power_on=True)
    found = take(installation, system)
    assert installation.audited(f"system:{system.id}") == [("systems.create", "allowed")]
    with pytest.raises(Exception, match="may not"):
        installation.application.systems.read_screenshot(READER, system.id, found)
    assert installation.audited(f"system:{system.id}")[1:] == [("systems.screenshot", "denied")]
