"""Every `hawkfish` command that a page names is one, with such options, whether its block is run or not."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator

import pytest

from hawkfish.cli.commands import COMMANDS
from hawkfish.cli.main import HawkFishApp
from tests.docs.blocks import PAGES, blocks_of, commands_of

BEFORE_A_COMMAND = {"sudo", "exec", "$"}
END_OF_A_COMMAND = {"|", "||", "&&", ";", ">", "&", "<"}


def words_of(page: str) -> Iterator[list[str]]:
    """The words behind `hawkfish` in each command of a page."""
    for block in blocks_of(page):
        for command in commands_of(block.text) if block.kind == "console" else []:
            first = command.text.replace("\\\n", " ").partition("\n")[0]  # without the text of a here-document
            lexer = shlex.shlex(first, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            words = list(lexer)
            for place, word in enumerate(words):
                if word.rpartition("/")[2] == "hawkfish" and is_first(words[:place]):
                    rest = words[place + 1 :]
                    ends = [index for index, other in enumerate(rest) if other in END_OF_A_COMMAND]
                    yield rest[: ends[0]] if ends else rest


def is_first(before: list[str]) -> bool:
    """Whether the word that follows these is a command, and no argument of another."""
    return not before or before[-1] in END_OF_A_COMMAND | BEFORE_A_COMMAND or "=" in before[-1]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_exist(page: str) -> None:
    app = HawkFishApp(stdout=io.StringIO(), stderr=io.StringIO())
    for words in words_of(page):
        _, rest = app.parser.parse_known_args(words) if words[:1] and words[0].startswith("-") else (None, words)
        name = next((" ".join(rest[:length]) for length in (3, 2, 1) if " ".join(rest[:length]) in COMMANDS), None)
        if name is None:
            assert rest[:1] in ([], ["help"], ["complete"]), f"{page} names `hawkfish {' '.join(words)}`"
            continue
        parser = app.manager.commands[name].load()(app, None).get_parser(f"hawkfish {name}")
        try:
            parser.parse_args(rest[len(name.split()) :])
        except SystemExit as error:
            if error.code:  # 0 is that of --help
                pytest.fail(f"{page} names `hawkfish {' '.join(words)}`")
