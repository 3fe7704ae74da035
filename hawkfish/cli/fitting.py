"""Lists that fit a terminal and keep whole what is copied from them: names and identities, and moments where there is room."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from cliff import utils
from cliff.formatters.table import TableFormatter
from prettytable import PrettyTable

if TYPE_CHECKING:
    import argparse

LEAST_WIDTH = 8
"""Of a column that is folded."""
SENTENCE_WIDTH = 24
"""Of one that is folded between words; narrower ones would make a tower of each line."""
LEAST_COLUMNS = 2
"""What a list shows at least; where these have no room either, all are shown, and folded."""
_IDENTITY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Column:
    """A column of a list.

    Attributes:
        name: What stands at its head, which is never folded.
        width: What it would like to have.
        is_identity: Whether it holds identities, which commands take.
        is_moment: Whether it holds moments.
        unbroken: What it needs at least where it is folded, if it has so much.
    """

    name: str
    width: int
    is_identity: bool = False
    is_moment: bool = False
    unbroken: int = LEAST_WIDTH

    @property
    def least(self) -> int:
        """What it needs where it is folded."""
        return max(len(self.name), min(self.width, self.unbroken))

    def at(self, level: int) -> int:
        """What it takes where none takes more than this without need."""
        return min(self.width, max(self.least, level))


class FittingTable(TableFormatter):
    """cliff's table, which would cut identities and moments as it cuts texts.

    Args:
        worth: The columns of a list that tells what happened, the one worth most first. Such a list breaks no word: where there is no
            room for all, it leaves out those that are worth least.
    """

    def __init__(self, worth: Sequence[str] = ()) -> None:
        self._worth = worth

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Writes it, as wide as it is allowed to be, and tells what there is no room for."""
        table = PrettyTable(column_names, print_empty=parsed_args.print_empty)
        self.add_rows(table, column_names, data)
        room = max(0, parsed_args.max_width)
        if not room and parsed_args.fit_width:
            room = utils.terminal_width() or 0  # none where there is no terminal
        left_out: list[str] = []
        if room:
            by_worth = bool(self._worth) and not parsed_args.columns  # who has chosen columns gets them
            columns = [
                _column(name, [row[number] for row in table.rows], breaks_words=not by_worth)
                for number, name in enumerate(column_names)
            ]
            if by_worth:
                table.break_on_hyphens = False
                shown = worthy_columns(columns, self._worth, room)
            else:
                shown = columns if parsed_args.columns else columns_with_room(columns, room)
            left_out = [column.name for column in columns if column not in shown]
            for name in left_out:
                table.del_column(name)
            for column, width in zip(shown, fitting_widths(shown, room), strict=True):
                table.max_width[column.name] = width
        stdout.write(f"{table.get_string()}\n")
        if left_out:
            stdout.write(f"No room for: {', '.join(left_out)}. Choose columns with -c, or use a wider terminal.\n")


def _column(name: str, values: Sequence[object], *, breaks_words: bool) -> Column:
    texts = [str(value) for value in values]
    said = [text for text in texts if text]
    return Column(
        name=name,
        width=max(len(line) for text in [name, *texts] for line in text.split("\n")),
        is_identity=bool(said) and all(_IDENTITY.fullmatch(text) for text in said),
        is_moment=bool(said) and all(_MOMENT.fullmatch(text) for text in said),
        unbroken=LEAST_WIDTH if breaks_words else max([SENTENCE_WIDTH, *map(len, " ".join(texts).split())]),
    )


def worthy_columns(columns: Sequence[Column], worth: Sequence[str], room: int) -> list[Column]:
    """The columns that have room together, those that are worth more before others.

    Args:
        columns: All of them.
        worth: Their names, the one worth most first.
        room: What there is for the line with its borders.
    """
    kept: list[Column] = []
    for column in sorted(columns, key=lambda column: worth.index(column.name)):
        if _needs([*kept, column], ()) <= room:
            kept.append(column)
    return list(columns) if len(kept) < LEAST_COLUMNS else [column for column in columns if column in kept]


def columns_with_room(columns: Sequence[Column], room: int) -> list[Column]:
    """The columns of a line with its identities unfolded: of the others, those before the first that has no room.

    Args:
        columns: All of them; the first is what things are called by.
        room: What there is for the line with its borders.
    """
    kept = _copied(columns)
    shown = list(columns)
    while kept and _needs(shown, kept) > room:
        if len(shown) <= LEAST_COLUMNS:
            return list(columns)
        shown.remove([column for column in shown if column not in kept][-1])
    return shown


def fitting_widths(columns: Sequence[Column], room: int) -> list[int]:
    """The widths of columns that share a line.

    Moments are left whole if the others are left something, and else what is copied is; if that cannot be, everything is folded.

    Args:
        columns: What is shown.
        room: What there is for the line with its borders.
    """
    copied = _copied(columns)
    moments = [column for column in columns if column.is_moment]
    whole: Collection[Column] = next(
        (some for some in ([*copied, *moments], copied, moments[:1]) if _needs(columns, some) <= room), ()
    )
    folded = [column for column in columns if column not in whole]
    left = room - _borders(columns) - sum(column.width for column in columns if column in whole)
    level = 0
    while level < max((column.width for column in folded), default=0):
        if sum(column.at(level + 1) for column in folded) > left:
            break
        level += 1
    return [column.width if column in whole else column.at(level) for column in columns]


def _copied(columns: Sequence[Column]) -> list[Column]:
    """What is given to other commands: where things have identities, the first of those and the names before."""
    identity = next((column for column in columns if column.is_identity), None)
    return [] if identity is None else list(dict.fromkeys((columns[0], identity)))


def _needs(columns: Sequence[Column], whole: Collection[Column]) -> int:
    """The least width of a line in which some columns are not folded."""
    return _borders(columns) + sum(column.width if column in whole else column.least for column in columns)


def _borders(columns: Sequence[Column]) -> int:
    return 3 * len(columns) + 1
