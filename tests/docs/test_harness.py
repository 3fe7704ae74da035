"""What checks the pages does find what is wrong with them."""

import pytest

from tests.docs.blocks import Block, blocks_of, commands_of, matches
from tests.docs.reader import Failure, Reader, TooSlow


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    started = Reader(tmp_path_factory.mktemp("reader"))
    yield started
    started.close()


def block(kind, text, **more):
    return Block("docs/page.md", 1, kind, text, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "$ hawkfish systems sl\n",
        "$ hawkfish systems ls --sorted-by name\n",
        "$ hawkfish systems show nothing\n",
        "$ hawkfihs systems ls\n",
        "$ curl -sf --cacert /var/lib/hawkfish/tls/ca.crt -u admin https://127.0.0.1:8443/redfish/v1/System\n",
        "$ hawkfish systems ls -f csv\nweb1\n",
        "$ hawkfish systems ls\nhawkfish: not logged in\n",
        "$ false | true\n",
    ],
)
def test_a_wrong_command_is_found(reader, text):
    with pytest.raises(Failure):
        reader.follow(block("console", text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "$ hawkfish systems ls -f json\n[]\n",
        "$ hawkfish systems show nothing\nhawkfish: ...\n",
        "$ curl -sf --cacert /var/lib/hawkfish/tls/ca.crt -u admin https://127.0.0.1:8443/redfish/v1/Systems\n{...}\n",
        "$ export ONE=1\n$ echo $ONE\n1\n",
        "$ cat <<EOF\ntwo\nEOF\ntwo\n",
    ],
)
def test_a_right_command_is_not(reader, text):
    reader.follow(block("console", text))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("python", "import hawkfish.nothing\n"),
        ("python", "print('a'\n"),
        ("toml", "admin_pasword = 'x'\n"),
        ("toml", "sync_wait_ms = -1\n"),
        ("json", "{'a': 1}\n"),
        ("yaml", "a: b: c\n"),
        ("ini", "no section\n"),
        ("bash", "hawkfish systems ls\n"),
        ("", "hawkfish systems ls\n"),
    ],
)
def test_other_blocks_that_are_wrong_are_found(reader, kind, text):
    with pytest.raises(Exception, match=r".") as caught:
        reader.follow(block(kind, text))
    assert not isinstance(caught.value, TooSlow)


@pytest.mark.slow
def test_the_blocks_of_python_are_one_program_with_its_output(reader):
    reader.follow(block("python", "number = 6\n"))
    reader.follow(block("python", "print(number * 7)\n"))
    reader.follow(block("text", "42\n", follows="python"))
    with pytest.raises(Failure, match="43"):
        reader.follow(block("text", "43\n", follows="python"))


def test_blocks_are_read():
    text = "# A\n\n```console\n$ a\n```\n\n% not run: no\n```python\nb\n```\n\n```text\nc\n```\n<!-- not run: y -->\n```{note}\n```\n"
    found = [(item.line, item.kind, item.text, item.not_run, item.follows) for item in blocks_of("page", text)]
    assert found == [
        (3, "console", "$ a\n", "", ""),
        (8, "python", "b\n", "no", ""),
        (12, "text", "c\n", "", "python"),
        (16, "{note}", "", "y", ""),
    ]
    with pytest.raises(AssertionError, match="no end"):
        blocks_of("page", "```console\n")


def test_commands_are_read():
    found = commands_of("$ a \\\n  b\nout\nput\n$ c <<'END'\n$ d\nEND\n")
    assert [(item.text, item.output) for item in found] == [("a \\\n  b", "out\nput"), ("c <<'END'\n$ d\nEND", "")]
    with pytest.raises(AssertionError, match="first command"):
        commands_of("hawkfish\n")


@pytest.mark.parametrize(
    ("shown", "real", "alike"),
    [
        ("a", "a\n", True),
        ("a", "a\nb\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("a\n...", "a\n", True),
        ("...\nc", "a\nb\nc\n", True),
        ("a...c", "abbbc\n", True),
        ("a...c", "ab\nc\n", False),
        ("+---+\n| a |", "+----------+\n| a        |\n", True),
        ("a.c", "abc\n", False),
    ],
)
def test_output_is_compared(shown, real, alike):
    assert matches(shown, real) is alike
