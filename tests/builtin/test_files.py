"""What an image is, by its bytes, and what is refused."""

import io
import shutil
import struct
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hawkfish.domain.storage import ImageFacts, VolumeFormat
from hawkfish.errors import InvalidRequest
from hawkfish.plugins.files import check_file_name, grow_qcow2, inspect_image, inspect_stream, write_empty_qcow2

GIB = 2**30


def qcow2(virtual_bytes=GIB):
    stream = io.BytesIO()
    write_empty_qcow2(stream, virtual_bytes)
    return stream.getvalue()


QCOW2 = qcow2()


def inspect(data):
    return inspect_stream(io.BytesIO(data), len(data))


def changed(offset, value, data=QCOW2):
    return data[:offset] + value + data[offset + len(value) :]


def vmdk(descriptor, capacity=2048):
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, capacity, 128, 1, 20, 512, 21, 26, 128)
    return header.ljust(512, b"\0") + descriptor.encode().ljust(20 * 512, b"\0") + bytes(4096)


MONOLITHIC = '# Disk DescriptorFile\nversion=1\ncreateType="monolithicSparse"\n\nRW 2048 SPARSE "disk.vmdk"\n'


def test_an_empty_qcow2_image_is_recognised():
    assert inspect(QCOW2) == ImageFacts(format=VolumeFormat.QCOW2, virtual_bytes=GIB, file_bytes=len(QCOW2))


def test_version_2_is_recognised():
    assert inspect(changed(4, struct.pack(">I", 2) + QCOW2[8:72] + bytes(32))).format is VolumeFormat.QCOW2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed(8, struct.pack(">Q", 512)), "backing file"),
        (changed(79, b"\x04"), "another file"),
        (changed(79, b"\x02"), "corrupt"),
        (changed(72, b"\x80"), "unknown qcow2 features"),
        (changed(32, struct.pack(">I", 1)), "encrypted"),
        (changed(24, struct.pack(">Q", 2**50)), "64 TiB"),
        (changed(24, struct.pack(">Q", 100)), "512 bytes"),
        (changed(20, struct.pack(">I", 40)), "cluster size"),
        (changed(4, struct.pack(">I", 1)), "version 1"),
        (changed(104, struct.pack(">II", 0x44415441, 8) + b"/etc/foo"), "external data file"),
        (changed(104, struct.pack(">II", 0x12345678, 2**31)), "malformed"),
        (changed(100, struct.pack(">I", 96)), "malformed"),
        (changed(40, struct.pack(">Q", 7)), "misplaced"),
        (QCOW2[:70], "cut off"),
        (QCOW2[:100], "cut off"),
        (QCOW2[:65536], "beyond the end"),
        (b"", "512 bytes"),
        (b"x" * 511, "512 bytes"),
        (b"vhdxfile" + bytes(1024), "VHDX"),
        (b"\x1f\x8b\x08" + bytes(1024), "gzip"),
        (b"# Disk DescriptorFile\n" + MONOLITHIC.encode() + bytes(1024), "without data"),
        (vmdk(MONOLITHIC.replace("monolithicSparse", "twoGbMaxExtentSparse")), "one file"),
        (vmdk(MONOLITHIC.replace("monolithicSparse", "monolithicFlat")), "one file"),
        (vmdk(MONOLITHIC.replace("SPARSE", "FLAT")), "other files"),
        (vmdk(MONOLITHIC.replace("disk.vmdk", "/etc/shadow")), "other files"),
        (vmdk(MONOLITHIC + 'RW 2048 FLAT "/etc/shadow" 0\n'), "other files"),
        (vmdk(MONOLITHIC + 'parentFileNameHint="/etc/shadow"\n'), "parent"),
        (vmdk(MONOLITHIC)[:600], "beyond the end"),
        (vmdk(MONOLITHIC)[:40], "cut off"),
        (vmdk(""), "one file"),
    ],
)
def test_what_could_do_harm_is_refused_with_its_reason(data, reason):
    with pytest.raises(InvalidRequest, match=reason):
        inspect(data)


def test_a_monolithic_vmdk_is_recognised():
    assert inspect(vmdk(MONOLITHIC)).virtual_bytes == 2048 * 512
    assert inspect(vmdk(MONOLITHIC)).format is VolumeFormat.VMDK


def test_everything_else_is_raw():
    iso = bytes(32768) + b"\x01CD001\x01" + bytes(4096)
    assert inspect(iso) == ImageFacts(format=VolumeFormat.RAW, virtual_bytes=len(iso), file_bytes=len(iso))


def only_facts_or_a_refusal(data):
    try:
        facts = inspect(data)
    except InvalidRequest:
        return
    assert 512 <= facts.virtual_bytes <= 64 * 2**40
    assert facts.file_bytes == len(data)


@given(st.binary(max_size=4096))
@example(b"QFI\xfb")
@example(b"KDMV")
def test_random_bytes_never_break_the_inspector(data):
    only_facts_or_a_refusal(data)


@given(
    st.sampled_from([QCOW2[:4096], QCOW2, vmdk(MONOLITHIC)]), st.integers(0, 600), st.binary(min_size=1, max_size=64)
)
def test_mutated_headers_never_break_the_inspector(data, offset, piece):
    only_facts_or_a_refusal(changed(offset, piece, data))


@given(st.integers(512, 64 * 2**40), st.integers(512, 64 * 2**40))
def test_images_grow_and_never_shrink(first, second):
    stream = io.BytesIO(qcow2(first))
    if second < first:
        with pytest.raises(InvalidRequest, match="never shrunk"):
            grow_qcow2(stream, second)
        second = first
    else:
        grow_qcow2(stream, second)
    assert inspect(stream.getvalue()).virtual_bytes == second


@pytest.mark.parametrize("virtual_bytes", [0, 511, 64 * 2**40 + 1])
def test_no_image_of_an_absurd_size_is_made(virtual_bytes):
    with pytest.raises(InvalidRequest, match="512 bytes to 64 TiB"):
        write_empty_qcow2(io.BytesIO(), virtual_bytes)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img (package qemu-utils) is not installed")
class TestWithQemu:
    @pytest.mark.parametrize("virtual_bytes", [512, 10 * GIB, 5 * 2**40 + 512, 64 * 2**40])
    def test_qemu_finds_no_fault_with_our_images(self, tmp_path, virtual_bytes):
        path = tmp_path / "image"
        with path.open("w+b") as stream:
            write_empty_qcow2(stream, virtual_bytes)
        report = subprocess.run(["qemu-img", "check", path], capture_output=True, text=True, check=True)
        assert "No errors were found" in report.stdout
        assert path.stat().st_blocks * 512 <= 64 * 1024

    @pytest.mark.parametrize(
        "options", [[], ["-o", "cluster_size=512"], ["-o", "extended_l2=on"], ["-o", "compat=0.10"]]
    )
    def test_images_of_qemu_are_recognised_and_grown_as_far_as_their_tables_go(self, tmp_path, options):
        path = tmp_path / "image"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", *options, path, str(100 * 2**20 - 16384)], check=True
        )
        assert inspect_image(path).virtual_bytes == 100 * 2**20 - 16384
        with path.open("r+b") as stream:
            grow_qcow2(stream, 100 * 2**20)
        assert inspect_image(path).virtual_bytes == 100 * 2**20
        subprocess.run(["qemu-img", "check", "-q", path], check=True)

    def test_images_of_qemu_that_name_other_files_are_refused(self, tmp_path):
        base, top, data = tmp_path / "base", tmp_path / "top", tmp_path / "data"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "1M"], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, top], check=True)
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/raw", data, "1M"], check=True
        )
        for path in (top, data):
            with pytest.raises(InvalidRequest):
                inspect_image(path)

    @pytest.mark.parametrize(
        ("subformat", "accepted"),
        [
            ("monolithicSparse", True),
            ("streamOptimized", True),
            ("monolithicFlat", False),
            ("twoGbMaxExtentSparse", False),
        ],
    )
    def test_vmdk_images_of_qemu(self, tmp_path, subformat, accepted):
        path = tmp_path / "image.vmdk"
        command = ["qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={subformat}", path, "10M"]
        subprocess.run(command, check=True)
        if accepted:
            assert inspect_image(path) == ImageFacts(
                format=VolumeFormat.VMDK, virtual_bytes=10 * 2**20, file_bytes=path.stat().st_size
            )
        else:
            with pytest.raises(InvalidRequest):
                inspect_image(path)


@pytest.mark.parametrize("name", ["a", "a.qcow2", "0f1e-2d", "_x+y", "a" * 200])
def test_names_of_volumes(name):
    assert check_file_name(name) == name


@given(st.text())
@example("..")
@example("a\n")
@example(".hidden")
def test_a_name_never_leaves_its_folder(name):
    try:
        check_file_name(name)
    except InvalidRequest:
        return
    assert name.isascii()
    assert not set(name) & set("/\\\0\n ")
    assert not name.startswith((".", "-"))
