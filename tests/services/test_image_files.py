"""Which image files may become disks."""

from __future__ import annotations

import os
import struct

import pytest

from hawkfish.config import load_settings
from hawkfish.domain.storage import VolumeFormat
from hawkfish.errors import PropertyConflict
from hawkfish.services.image_files import find_image
from tests.support.installation import KIB, MIB, empty_qcow2

PATH = "Disks/0/Image"


@pytest.fixture
def settings(tmp_path):
    for folder in ("data", "images", "more"):
        (tmp_path / folder).mkdir()
    folders = (str(tmp_path / "images"), str(tmp_path / "more"))
    return load_settings({}, data_dir=tmp_path / "data", image_dirs=folders)


def refused(settings, given) -> str:
    with pytest.raises(PropertyConflict) as caught:
        find_image(settings, str(given), property_path=PATH)
    assert (caught.value.data["property"], caught.value.data["value"]) == (PATH, str(given))
    return caught.value.message


def test_an_image_is_found_by_its_name_or_its_path_in_any_allowed_folder(settings, tmp_path):
    (tmp_path / "images" / "sub").mkdir()
    (tmp_path / "images" / "sub" / "raw.img").write_bytes(bytes(MIB))
    (tmp_path / "more" / "b.qcow2").write_bytes(empty_qcow2(MIB))
    raw = find_image(settings, "sub/raw.img", property_path=PATH)
    assert (raw.facts.format, raw.facts.virtual_bytes) == (VolumeFormat.RAW, MIB)
    qcow2 = find_image(settings, str(tmp_path / "more" / "b.qcow2"), property_path=PATH)
    assert (qcow2.facts.format, qcow2.facts.virtual_bytes) == (VolumeFormat.QCOW2, MIB)


def test_without_a_setting_images_lie_in_the_data_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "raw.img").write_bytes(bytes(KIB))
    found = find_image(load_settings({}, data_dir=tmp_path), "raw.img", property_path=PATH)
    assert found.path == tmp_path / "images" / "raw.img"


def test_what_an_image_is_called_does_not_say_what_it_is(settings, tmp_path):
    (tmp_path / "images" / "looks.raw").write_bytes(empty_qcow2(MIB))
    assert find_image(settings, "looks.raw", property_path=PATH).facts.format is VolumeFormat.QCOW2


@pytest.mark.parametrize(
    "given", ["../secret.img", "/etc/passwd", "sub/../../secret.img", "link.img", "linked/secret.img"]
)
def test_nothing_outside_the_folders_is_reached(settings, tmp_path, given):
    (tmp_path / "secret.img").write_bytes(bytes(MIB))
    (tmp_path / "images" / "link.img").symlink_to(tmp_path / "secret.img")
    (tmp_path / "images" / "linked").symlink_to(tmp_path)
    assert "must lie in" in refused(settings, given)


def test_a_link_within_the_folders_is_followed(settings, tmp_path):
    (tmp_path / "more" / "real.img").write_bytes(bytes(KIB))
    (tmp_path / "images" / "link.img").symlink_to(tmp_path / "more" / "real.img")
    assert find_image(settings, "link.img", property_path=PATH).path == tmp_path / "more" / "real.img"


@pytest.mark.parametrize("given", ["absent.img", "", ".", "folder"])
def test_what_is_no_file_is_not_there(settings, tmp_path, given):
    (tmp_path / "images" / "folder").mkdir()
    assert "there is no such file" in refused(settings, given)


@pytest.mark.parametrize("given", ["a\0b", "x" * 5000, "loop.img"])
def test_what_is_no_path_is_refused_as_one(settings, tmp_path, given):
    (tmp_path / "images" / "loop.img").symlink_to(tmp_path / "images" / "loop.img")
    assert "cannot be used" in refused(settings, given)


def test_a_pipe_is_not_opened(settings, tmp_path):
    os.mkfifo(tmp_path / "images" / "pipe.img")
    assert "there is no such file" in refused(settings, "pipe.img")


def test_an_image_that_names_another_file_is_refused(settings, tmp_path):
    header = bytearray(empty_qcow2(MIB))
    header[512:523] = b"/etc/shadow"
    header[8:20] = struct.pack(">QI", 512, 11)
    (tmp_path / "images" / "backed.qcow2").write_bytes(header)
    assert "back" in refused(settings, "backed.qcow2")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"QFI\xfb", "cut off"), (b"\x1f\x8b\x08" + bytes(KIB), "gzip"), (b"# Disk DescriptorFile\n", "VMDK"), (b"", "")],
)
def test_what_is_no_image_says_what_it_is(settings, tmp_path, content, told):
    (tmp_path / "images" / "odd.img").write_bytes(content)
    assert told in refused(settings, "odd.img")
