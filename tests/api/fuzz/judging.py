"""What must hold for every answer, whatever was asked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from falcon.testing import Result

from hawkfish.api.messages import BASE, BASE_MESSAGES
from tests.api.fuzz.bodies import SECRET_MARK
from tests.api.fuzz.world import World, difference
from tests.api.installation import PASSWORD, Api

SLOWEST_SECONDS = 20.0
"""Far above what any answer takes on a busy machine, and far below what an attacker could make of a quadratic one."""

_INSIDES = ("Traceback", "sqlalchemy", "psycopg", "sqlite3", "$argon2", 'File "/')


def judge(answer: Result, *, method: str, query: str = "", sent: Any = None) -> None:
    """Checks an answer by itself.

    Args:
        answer: What came.
        method: The method of its request.
        query: The query string of its request.
        sent: Whatever else is to be seen when a check fails.
    """
    said = (method, query, sent, answer.status_code, answer.text[:2000] if _is_text(answer) else "")
    allowed_501 = answer.status_code == 501 and "$" in query
    assert answer.status_code < 500 or allowed_501, said
    assert answer.headers["OData-Version"] == "4.0", said
    assert answer.headers["X-Content-Type-Options"] == "nosniff", said
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", answer.headers["X-Request-Id"]), said
    assert not any("\r" in value or "\n" in value for value in answer.headers.values()), said
    if method == "HEAD" or answer.status_code in {204, 304}:
        assert answer.content == b"", said
        return
    if _is_text(answer):
        assert SECRET_MARK not in answer.text, said
        assert PASSWORD not in answer.text, said
        for word in _INSIDES:
            assert word not in answer.text, said
    if answer.status_code >= 400:
        _judge_refusal(answer, said)
    elif answer.headers.get("Content-Type") == "application/json" and answer.content:
        json.loads(answer.text, parse_constant=_not_json)
        if answer.status_code in {200, 201} and "@odata.id" in answer.json:
            # A session's answer holds what no later GET shows, and is not kept by anybody.
            assert "ETag" in answer.headers or "X-Auth-Token" in answer.headers, said
        if answer.status_code in {201, 202}:
            assert answer.headers["Location"].startswith("/redfish/v1/"), said


def _judge_refusal(answer: Result, said: Any) -> None:
    error = answer.json["error"]
    assert set(error) == {"code", "message", "@Message.ExtendedInfo"}, said
    assert error["message"], said
    assert error["@Message.ExtendedInfo"], said
    for info in error["@Message.ExtendedInfo"]:
        registry, _, name = info["MessageId"].rpartition(".")
        assert registry == BASE, said
        assert name in BASE_MESSAGES, said
        assert info["Message"], said
        assert len(info.get("MessageArgs", ())) == BASE_MESSAGES[name].arguments, said
    if answer.status_code == 405:
        assert answer.headers["Allow"], said
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Basic"), said


def ask(
    world: World,
    method: str,
    path: str,
    *,
    caller: Api | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> Result:
    """Sends a request, judges its answer, and compares what is recorded before and after if it was refused.

    Args:
        world: What it is sent to.
        method: Its method.
        path: Its path, encoded.
        caller: Who asks; the administrator if None.
        content: Its body.
        headers: Its headers.
        query: Its query string.
    """
    caller = caller or world.api
    reads = method in {"GET", "HEAD"}
    before = {} if reads else world.before()
    began = time.monotonic()
    own = {"Content-Type": "application/json"} if content is not None else {}
    answer = caller.client.simulate_request(
        method, path, body=content, headers={**caller.headers, **own, **(headers or {})}, query_string=query
    )
    sent = (path, headers, content[:2000] if content else content)
    assert time.monotonic() - began < SLOWEST_SECONDS, sent
    judge(answer, method=method, query=query, sent=sent)
    if reads:
        # Whether reading changed anything shows at the next request that could have, which finds other rows than the last one left.
        return answer
    if answer.status_code < 400:
        world.changed = True
        if answer.status_code == 202:
            answer = world.api.finish(answer)
            judge(answer, method=method, sent=sent)
    if answer.status_code >= 400:
        world.settle()
        world.seen = world.traces()
        changed = difference(before, world.seen)
        if "hf_tasks" in changed:
            # The work was accepted and failed: that it was tried is on record, and all else is undone.
            world.changed = True
            for name in ("hf_tasks", "hf_task_history", "hf_audit", "hf_events"):
                changed.pop(name, None)
        assert not changed, (method, *sent, answer.status_code, answer.text, changed)
    return answer


def _is_text(answer: Result) -> bool:
    return "json" in (answer.headers.get("Content-Type") or "")


def _not_json(name: str) -> None:
    raise AssertionError(f"{name} stands in an answer and is no JSON")
