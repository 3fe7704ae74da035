"""Query options: what is supported is said in ProtocolFeaturesSupported, and nothing else is taken."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.api.filters import matches, parse_filter
from hawkfish.domain.pages import Condition, Key, PageRequest
from hawkfish.errors import QueryInvalid, QueryNotSupported

PAGE_LIMIT = 1000
"""Links to members shown at once where the caller does not ask for fewer; the rest is behind nextLink."""

EXPANDED_PAGE_LIMIT = 200
"""The same for members that are shown whole."""

LARGEST = 2**31 - 1
LARGEST_KEY = 2**62
MOST_PATHS = 100
MAX_LEVELS = 3
"""Deepest `$levels` of an $expand."""

FEATURES: dict[str, Any] = {
    "ExcerptQuery": False,
    "FilterQuery": True,
    "FilterQueryComparisonOperations": True,
    "FilterQueryCompoundOperations": True,
    "OnlyMemberQuery": True,
    "SelectQuery": True,
    "TopSkipQuery": True,
    "ExpandQuery": {"ExpandAll": True, "Levels": True, "Links": True, "NoLinks": True, "MaxLevels": MAX_LEVELS},
}
"""What ProtocolFeaturesSupported of the service root says of all this."""

_OF_COLLECTIONS = frozenset({"$top", "$skip", "$skiptoken", "$filter", "only"})
_OF_ALL = frozenset({"$select", "$expand", "excerpt"})
_EXPAND = re.compile(r"([.~*])(?:\(\$levels=([0-9]{1,9})\))?")
_PATH = re.compile(r"[A-Za-z_@#][A-Za-z0-9_.@#-]*(/[A-Za-z0-9_@#][A-Za-z0-9_.@#-]*)*")


@dataclass(frozen=True)
class Expand:
    """Which links are replaced by what they lead to.

    Attributes:
        links: Those within `Links`.
        others: All others; of a collection, its members.
        levels: How many times over.
    """

    links: bool
    others: bool
    levels: int = 1


@dataclass(frozen=True)
class Query:
    """The query options of one request.

    Attributes:
        top: How many members at most.
        after: Only members behind this place; from a nextLink of ours.
        only: The sole member itself is wanted where there is just one.
        filter_text: `condition` as it was sent.
        select: Paths of the properties that are wanted; empty for all.
    """

    top: int | None = None
    skip: int = 0
    after: Key | None = None
    only: bool = False
    condition: Condition | None = None
    filter_text: str = ""
    select: tuple[tuple[str, ...], ...] = ()
    expand: Expand | None = None

    @property
    def shapes(self) -> bool:
        """Whether the resource is shown otherwise than it is."""
        return bool(self.select) or self.expand is not None

    @property
    def page(self) -> PageRequest:
        """The members that are to be shown, the condition apart: it is in the words of Redfish."""
        largest = EXPANDED_PAGE_LIMIT if self.expand is not None and self.expand.others else PAGE_LIMIT
        return PageRequest(
            top=largest if self.top is None else min(self.top, largest), skip=self.skip, after=self.after
        )

    def accepts(self, body: Mapping[str, Any]) -> bool:
        """Whether a member meets the condition."""
        return self.condition is None or matches(self.condition, body)


PLAIN = Query()


def read_query(req: falcon.Request, *, collection: bool, shapeable: bool) -> Query:
    """The options of a request; parameters without `$` that nobody knows are ignored, as DSP0266 says.

    Args:
        req: The request.
        collection: Whether it is to a collection.
        shapeable: Whether what it answers is a resource, of which parts can be shown.

    Raises:
        QueryNotSupported: An option is unknown.
        QueryInvalid, ProtocolError: It has a value that cannot be used, or does not go with the request.
    """
    given = req.params
    if not given:
        return PLAIN
    asked = {name for name in given if name.startswith("$") or name in {"only", "excerpt"}}
    for name in asked:
        _refuse_misplaced(req, name, collection=collection, shapeable=shapeable)
    if not asked:
        return PLAIN
    if "only" in asked:
        if given["only"]:
            _refuse("only", given["only"], "takes no value")
        if beside := sorted(asked & (_OF_COLLECTIONS - {"only"})):
            raise ProtocolError(400, "QueryCombinationInvalid", text=f"only cannot stand beside {', '.join(beside)}.")
    filter_text = _text(given, "$filter")
    return Query(
        top=_number(given, "$top"),
        skip=_number(given, "$skip") or 0,
        after=_key(given),
        only="only" in asked,
        condition=None if filter_text is None else parse_filter(filter_text),
        filter_text=filter_text or "",
        select=_select(given),
        expand=_expand(given),
    )


def next_link(path: str, query: Query, after: Key) -> str:
    """The address of the next page: the same request, behind the last member of this page."""
    token = base64.urlsafe_b64encode(json.dumps([after]).encode()).rstrip(b"=").decode()
    options = {
        "$top": "" if query.top is None else str(query.top),
        "$filter": query.filter_text,
        "$select": ",".join("/".join(item) for item in query.select),
        "$expand": "" if query.expand is None else _expand_text(query.expand),
        "$skiptoken": token,
    }
    return f"{path}?" + "&".join(f"{name}={quote(text, safe='$().,/~')}" for name, text in options.items() if text)


def read_number(req: falcon.Request, name: str, default: int) -> int:
    """A whole number in a query parameter of our own."""
    found = _number(req.params, name)
    return default if found is None else found


def _refuse_misplaced(req: falcon.Request, name: str, *, collection: bool, shapeable: bool) -> None:
    if name not in _OF_COLLECTIONS | _OF_ALL:
        known = ", ".join(sorted(_OF_COLLECTIONS | _OF_ALL - {"excerpt"}))
        raise QueryNotSupported(
            f"The query parameter {shown(name)} is not supported; known are {known}.", parameter=shown(name)
        )
    if req.method not in {"GET", "HEAD"}:
        raise ProtocolError(400, "QueryNotSupportedOnOperation", text=f"{name} goes with GET only.")
    if name in _OF_COLLECTIONS and not collection:
        raise ProtocolError(400, "QueryNotSupportedOnResource", text=f"{name} goes with collections only.")
    if not shapeable:
        raise ProtocolError(400, "QueryNotSupportedOnResource", text=f"{shown(req.path)} is always shown whole.")
    if name == "excerpt":
        if req.params[name]:
            _refuse(name, req.params[name], "takes no value")
        raise ProtocolError(400, "QueryNotSupportedOnResource", text="There are no excerpts here; $select shows parts.")


def _number(given: Mapping[str, Any], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    # Python refuses to read thousands of digits, be they zeros.
    is_number = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST))
    if not is_number or int(text) > LARGEST:
        _refuse(name, text, f"takes a whole number from 0 to {LARGEST}")
    return int(text)


def _key(given: Mapping[str, Any]) -> Key | None:
    text = _text(given, "$skiptoken")
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))[0]
    except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
        key = None
    is_text = isinstance(key, str) and key.isprintable()
    is_number = isinstance(key, int) and not isinstance(key, bool) and -LARGEST_KEY <= key <= LARGEST_KEY
    if not (is_text or is_number):
        _refuse("$skiptoken", text, "takes only what stands in a nextLink of this service")
    return key  # type: ignore[no-any-return]  # a string or a number, as was just seen


def _select(given: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    text = _text(given, "$select")
    if text is None:
        return ()
    paths = [path.strip() for path in text.split(",")]
    if len(paths) > MOST_PATHS or not all(_PATH.fullmatch(path) for path in paths):
        _refuse("$select", text, f"takes up to {MOST_PATHS} properties with commas between, such as Name,Status/Health")
    return tuple(tuple(path.split("/")) for path in paths)


def _expand(given: Mapping[str, Any]) -> Expand | None:
    text = _text(given, "$expand")
    if text is None:
        return None
    found = _EXPAND.fullmatch(text)
    levels = 1 if found is None or found[2] is None else int(found[2])
    if found is None or not 1 <= levels <= MAX_LEVELS:
        _refuse("$expand", text, f"takes ., ~ or *, with ($levels=1) to ($levels={MAX_LEVELS}) behind it or not")
    return Expand(links=found[1] in "~*", others=found[1] in ".*", levels=levels)


def _expand_text(expand: Expand) -> str:
    sign = "*" if expand.links and expand.others else "~" if expand.links else "."
    return sign if expand.levels == 1 else f"{sign}($levels={expand.levels})"


def _text(given: Mapping[str, Any], name: str) -> str | None:
    text = given.get(name)
    if text is not None and (not isinstance(text, str) or not text.strip()):
        _refuse(name, text, "takes one value")
    return text


def _refuse(name: str, value: object, rule: str) -> NoReturn:
    raise QueryInvalid(f"{name}={shown(value)}: {name} {rule}.", parameter=name, value=shown(value))
