"""How the kits say that a content is not what was written."""

from __future__ import annotations

import pytest

from hawkfish.testing.volumes import MIB, assert_content, random_bytes

CONTENT = random_bytes(MIB)


def test_the_same_is_no_failure():
    assert_content(CONTENT, bytes(CONTENT))


@pytest.mark.parametrize(
    ("read", "at"),
    [
        (CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), MIB - 1),
        (b"x" + CONTENT[1:], 0),
        (CONTENT[:4711] + b"?" + CONTENT[4711:], 4711),
        (CONTENT[:100], 100),
        (CONTENT + b"x", MIB),
        (b"", 0),
    ],
)
def test_it_says_where_a_difference_begins(read, at):
    with pytest.raises(
        AssertionError, match=rf"^{len(read)} bytes read, {MIB} written; they differ from byte {at} on$"
    ):
        assert_content(read, CONTENT)
