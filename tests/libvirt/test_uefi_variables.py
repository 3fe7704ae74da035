"""The few bytes that ask UEFI for its set-up menu, in files as firmware writes them."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from hawkfish_libvirt.uefi_variables import Change, request_setup
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.errors import BackendError

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
OTHER = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
STATES = st.sampled_from([0x3F, 0x3E, 0x3C, 0x3D, 0x7F])
ROOM = 2048


def record(name, data, guid=GLOBAL, state=0x3F, attributes=7):
    """A record as the header VariableFormat.h of EDK II has it."""
    text = f"{name}\0".encode("utf-16-le")
    made = struct.pack(
        "<HBBLQ16sLLL16s", 0x55AA, state, 0, attributes, 0, bytes(16), 0, len(text), len(data), guid.bytes_le
    )
    made += text + data
    return made + b"\xff" * (-len(made) % 4)


def file_of(records, room=ROOM):
    """A whole file: a firmware volume with one store, and what firmware keeps behind it."""
    size = 28 + sum(map(len, records)) + room
    volume = struct.pack(
        "<16x16sQ4sLHHHBBLLLL",
        UUID("fff12b8d-7696-4c8b-a985-2747075b4f50").bytes_le,
        72 + size + 64,
        b"_FVH",
        0x4FEFF,
        72,
        0,
        0,
        0,
        2,
        1,
        4096,
        0,
        0,
    )
    store = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le + struct.pack("<LBBHL", size, 0x5A, 0xFE, 0, 0)
    return volume + store + b"".join(records) + b"\xff" * room + b"working block".ljust(64, b"\xff")


def changed(file, change):
    return file[: change.offset] + change.data + file[change.offset + len(change.data) :]


def variables(file):
    """What firmware would find: the variables that hold, in a reader of the test's own."""
    found, position = {}, 72 + 28
    while file[position : position + 2] == b"\xaa\x55":
        state, (names, size) = file[position + 2], struct.unpack_from("<LL", file, position + 36)
        name = file[position + 60 : position + 60 + names].decode("utf-16-le").rstrip("\0")
        key = (name, UUID(bytes_le=file[position + 44 : position + 60]))
        data = file[position + 60 + names : position + 60 + names + size]
        attributes = struct.unpack_from("<L", file, position + 4)[0]
        if state == 0x3F:
            found[key] = (attributes, data)
        elif state == 0x3E:
            found.setdefault(key, (attributes, data))
        position += -(-(60 + names + size) // 4) * 4
    return found


others = st.lists(
    st.builds(
        record,
        st.sampled_from(["Boot0000", "BootOrder", "PK", "OsIndicationsSupported", "Lang"]),
        st.binary(max_size=40),
        st.sampled_from([GLOBAL, OTHER]),
        STATES,
    )
    | st.builds(record, st.just("OsIndications"), st.binary(min_size=8, max_size=8), st.just(OTHER), STATES)
    | st.builds(record, st.just("OsIndications"), st.binary(min_size=8, max_size=8), st.just(GLOBAL), st.just(0x3C)),
    max_size=6,
)
own = st.just([]) | st.builds(
    lambda value, state: [record("OsIndications", value.to_bytes(8, "little"), state=state)],
    st.integers(0, 255),
    st.sampled_from([0x3F, 0x3E]),
)


@given(before=others, middle=own, behind=others)
def test_one_bit_is_set_and_cleared_and_all_other_variables_stay(before, middle, behind):
    key = ("OsIndications", GLOBAL)
    file = file_of([*before, *middle, *behind])
    rest = {name: value for name, value in variables(file).items() if name != key}
    had = variables(file).get(key, (7, bytes(8)))[1]
    for wanted in (True, True, False, False, True):
        change = request_setup(file, wanted=wanted)
        after = file if change is None else changed(file, change)
        assert len(after) == len(file)
        now = variables(after)
        flags = now.pop(key, (7, bytes(8)))
        assert flags == (7, bytes([had[0] | 1 if wanted else had[0] & 0xFE]) + had[1:])
        assert now == rest
        assert request_setup(after, wanted=wanted) is None
        file = after


def test_a_variable_that_is_there_is_changed_by_one_byte():
    file = file_of([record("OsIndications", bytes(8))])
    change = request_setup(file, wanted=True)
    assert change == Change(offset=72 + 28 + 60 + 28, data=b"\x01")
    assert request_setup(changed(file, change), wanted=False) == Change(offset=change.offset, data=b"\x00")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "too short"),
        (b"QFI\xfb" + bytes(200_000), "qcow2"),
        (bytes(200_000), "no firmware volume"),
        (file_of([])[:400], "not whole"),
        (file_of([], room=95), "no room"),
        (file_of([record("Boot0000", bytes(4))], room=0), "no room"),
    ],
)
def test_what_cannot_be_changed_is_refused_with_the_reason(file, reason):
    with pytest.raises(BackendError, match=reason):
        request_setup(file, wanted=True)


@given(file=st.binary(max_size=300), cut=st.integers(72, 300))
def test_no_file_breaks_the_reader(file, cut):
    for content in (file, file_of([record("Boot0000", file)])[:cut], file_of([file])):
        try:
            change = request_setup(content, wanted=True)
        except BackendError:
            continue
        assert change is None or change.offset + len(change.data) <= len(content)
