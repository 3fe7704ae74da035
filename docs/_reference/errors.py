"""The page of the errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from hawkfish import errors
from hawkfish.api.errors import TABLE
from hawkfish.api.messages import BASE


def errors_page() -> Iterator[str]:
    """Every class of our errors, with the answer that it becomes."""
    yield from (
        "# Errors",
        "",
        f"What goes wrong is answered with a status and a message of the registry `{BASE}`, whose `Message` says what was tried,",
        "on what, and what to do next. Library users meet the same errors as classes of `hawkfish.errors`. *Retry* says whether",
        "the same request may succeed later with nothing changed by the caller. What may be sent is in [](api.md).",
        "",
        "| Class | Status | Message | Retry | When |",
        "| --- | --- | --- | --- | --- |",
    )
    for kind, found in TABLE.items():
        when = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
        retry = "yes" if kind.retryable else ""
        yield f"| `{kind.__name__}` | {found.status} | `{found.name}` | {retry} | {when} |"
    others = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.HawkFishError) and kind not in TABLE
    ]
    assert not others, f"these errors have no answer: {others}"  # noqa: S101  a build that would leave them out stops
