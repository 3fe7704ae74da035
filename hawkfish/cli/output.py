"""Values as people read them in tables; programs get them raw (sizes in bytes)."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn
from cliff.formatters.base import SingleFormatter
from cliff.formatters.commaseparated import CSVLister

KIB = 1024
MIB = KIB**2
GIB = KIB**3
LINE_WIDTH = 80
"""Of a long line in a column; the table is wider by the names of the fields."""
_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": KIB**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def human_size(count: int) -> str:
    """A number of bytes in the largest unit that keeps it at 1 or more."""
    for name, unit in (("TiB", KIB**4), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count >= unit:
            return f"{count / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{count} B"


def parse_size(text: str, *, unit: int) -> int:
    """Reads a size such as `10G`, `512M` or `2GiB`.

    Args:
        text: What was typed; all units are powers of 1024.
        unit: Bytes of a number without a unit.

    Raises:
        argparse.ArgumentTypeError: It is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write one like 512M or 10G")
    factor = _UNITS[found[2].upper()] if text.strip()[-1].isalpha() else unit
    return round(float(found[1]) * factor)


class Size(FormattableColumn[int | None]):
    """A number of bytes."""

    def human_readable(self) -> str:
        """Such as `2 GiB`."""
        return "" if self._value is None else human_size(self._value)


class Items(FormattableColumn[Sequence[Any]]):
    """Several texts; each has a line of its own in a table."""

    def human_readable(self) -> str:
        """One line an item."""
        return "\n".join(str(item) for item in self._value)

    def machine_readable(self) -> list[Any]:
        """A list."""
        return list(self._value)


class Words(Items):
    """Several short texts; a table shows them in as few lines as a terminal has room for."""

    def human_readable(self) -> str:
        """Separated by commas."""
        return _folded(", ".join(str(item) for item in self._value))


class Rows(FormattableColumn[Sequence[Mapping[str, Any]]]):
    """Several objects; a table shows each in a line of its own, or in several, programs get the objects."""

    def human_readable(self) -> str:
        """One line an object; sizes are shown for people."""
        rows = (", ".join(_shown(key, value) for key, value in row.items() if value) for row in self._value)
        return "\n".join(_folded(row, indent="  ") for row in rows)

    def machine_readable(self) -> list[dict[str, Any]]:
        """A list of objects."""
        return [dict(row) for row in self._value]


class Pairs(FormattableColumn[Mapping[str, Any]]):
    """Keys with values, such as labels."""

    def human_readable(self) -> str:
        """As `key=value`, sorted."""
        return "\n".join(f"{key}={value}" for key, value in sorted(self._value.items()))

    def machine_readable(self) -> dict[str, Any]:
        """An object."""
        return dict(self._value)


class Groups(FormattableColumn[Mapping[str, Sequence[str]]]):
    """Names by their kind."""

    def human_readable(self) -> str:
        """One line a kind."""
        return "\n".join(f"{kind}: {', '.join(names)}" for kind, names in self._value.items())

    def machine_readable(self) -> dict[str, list[str]]:
        """An object of lists."""
        return {kind: list(names) for kind, names in self._value.items()}


class YesNo(FormattableColumn[bool]):
    """A truth value."""

    def human_readable(self) -> str:
        """In words."""
        return "yes" if self._value else "no"


class CsvOne(SingleFormatter):
    """One thing as CSV: a line of names and a line of values. cliff has CSV for lists only."""

    def __init__(self) -> None:
        self._lister = CSVLister()

    def add_argument_group(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of CSV."""
        self._lister.add_argument_group(parser)

    def emit_one(
        self, column_names: Sequence[str], data: Sequence[Any], stdout: TextIO, parsed_args: argparse.Namespace
    ) -> None:
        """Writes it."""
        self._lister.emit_list(column_names, [data], stdout, parsed_args)


def _folded(line: str, *, indent: str = "") -> str:
    """A line as several where it is long; only between words, so that ids can be copied."""
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(line, LINE_WIDTH, subsequent_indent=indent, **options)


def _shown(key: str, value: Any) -> str:
    if key.endswith("Bytes") and isinstance(value, int):
        what = key.removesuffix("Bytes").removesuffix("Capacity")  # the size of a thing needs no word beside the thing
        return f"{what} {human_size(value)}".lstrip()
    if isinstance(value, Mapping):
        value = value.get("@odata.id", value)
    return f"{key} {value}"


def key_value(text: str) -> tuple[str, str]:
    """Splits `key=value`, for argparse."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return key, value
