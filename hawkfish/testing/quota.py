"""The contract of quota checkers: subclass `QuotaCheckerContract` and supply three fixtures.

Example::

    class TestSmallMachines(QuotaCheckerContract):
        @pytest.fixture
        def new_checker(self):
            return lambda: SmallMachines()

        @pytest.fixture
        def allowed(self):
            return quota_request(vCPUs=8)

        @pytest.fixture
        def denied(self):
            return quota_request(vCPUs=9)
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hawkfish.plugins.quota import QuotaChecker, QuotaDenial, QuotaRequest, ResourceUsage

RESOURCES = ("Systems", "vCPUs", "MemoryMiB", "DiskMiB", "Volumes")
NewChecker = Callable[[], QuotaChecker]
_SENTENCE_LENGTH = 10


def quota_request(
    *,
    project: str = "lab",
    actor: str = "ada",
    verb: str = "systems.create",
    usage: Mapping[str, ResourceUsage] | None = None,
    **amounts: int,
) -> QuotaRequest:
    """A request for some amounts, in a project that has nothing yet and no limits unless told otherwise."""
    known = {resource: ResourceUsage(used=0, reserved=0) for resource in RESOURCES} | dict(usage or {})
    return QuotaRequest(
        project=project,
        actor=actor,
        verb=verb,
        amounts=MappingProxyType(dict(amounts)),
        usage=MappingProxyType(known),
    )


_amount = st.integers(0, 2**40)
_usage = st.builds(ResourceUsage, used=_amount, reserved=_amount, limit=st.none() | _amount)
_requests = st.builds(
    quota_request,
    project=st.text(min_size=1, max_size=20),
    actor=st.text(min_size=1, max_size=20),
    verb=st.sampled_from(["systems.create", "systems.update", "volumes.create", "something.new"]),
    usage=st.dictionaries(st.sampled_from([*RESOURCES, "Something"]), _usage),
)


class QuotaCheckerContract:
    """What every quota checker must do: answer, at once, the same each time, and say why not."""

    SECONDS: ClassVar[float] = 0.1
    """How long an answer may take; a transaction waits for it."""

    @pytest.fixture
    def new_checker(self) -> NewChecker:
        """Supply this: a callable that gives another checker, made as its factory makes it."""
        pytest.fail("The subclass of QuotaCheckerContract must have a fixture new_checker.")

    @pytest.fixture
    def allowed(self) -> QuotaRequest:
        """Supply this: a request that the checker allows."""
        pytest.fail("The subclass of QuotaCheckerContract must have a fixture allowed.")

    @pytest.fixture
    def denied(self) -> QuotaRequest:
        """Supply this: a request that the checker denies."""
        pytest.fail("The subclass of QuotaCheckerContract must have a fixture denied.")

    def test_it_allows_and_denies(self, new_checker: NewChecker, allowed: QuotaRequest, denied: QuotaRequest) -> None:
        checker = new_checker()
        assert checker.check(allowed) is None
        assert isinstance(checker.check(denied), QuotaDenial)

    def test_a_denial_names_what_is_short_and_what_to_do(self, new_checker: NewChecker, denied: QuotaRequest) -> None:
        denial = new_checker().check(denied)
        assert denial is not None
        assert denial.resource == "" or denial.resource in {*denied.amounts, *denied.usage}
        assert len(denial.message) >= _SENTENCE_LENGTH
        assert denial.message.endswith("."), "a sentence"

    def test_the_answer_depends_on_the_request_alone(
        self, new_checker: NewChecker, allowed: QuotaRequest, denied: QuotaRequest
    ) -> None:
        checker = new_checker()
        expected = [checker.check(allowed), checker.check(denied)]
        for _ in range(3):
            assert checker.check(denied) == expected[1]
            assert checker.check(allowed) == expected[0]
        fresh = new_checker()
        assert [fresh.check(denied), fresh.check(allowed)] == expected[::-1], "another process answers the same"

    def test_threads_get_the_same_answer(
        self, new_checker: NewChecker, allowed: QuotaRequest, denied: QuotaRequest
    ) -> None:
        checker = new_checker()
        expected = [checker.check(item) is None for item in (allowed, denied) * 20]
        with ThreadPoolExecutor(4) as threads:
            assert [item is None for item in threads.map(checker.check, (allowed, denied) * 20)] == expected

    def test_the_request_is_left_as_it_is(
        self, new_checker: NewChecker, allowed: QuotaRequest, denied: QuotaRequest
    ) -> None:
        checker = new_checker()
        for request in (allowed, denied):
            amounts, usage = dict(request.amounts), dict(request.usage)
            before = copy.deepcopy((amounts, usage))
            checker.check(replace(request, amounts=amounts, usage=usage))
            assert (amounts, usage) == before

    def test_it_answers_at_once(self, new_checker: NewChecker, allowed: QuotaRequest, denied: QuotaRequest) -> None:
        checker = new_checker()
        for request in (allowed, denied):
            quickest = min(_seconds(checker, request) for _ in range(3))
            assert quickest <= self.SECONDS

    def test_it_has_an_answer_to_every_request(self, new_checker: NewChecker) -> None:
        checker = new_checker()

        @settings(
            max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(request=_requests, amounts=st.dictionaries(st.sampled_from([*RESOURCES, "Something"]), _amount))
        def ask(request: QuotaRequest, amounts: dict[str, Any]) -> None:
            answer = checker.check(replace(request, amounts=MappingProxyType(amounts)))
            assert answer is None or isinstance(answer, QuotaDenial)

        ask()


def _seconds(checker: QuotaChecker, request: QuotaRequest) -> float:
    begun = time.monotonic()
    checker.check(request)
    return time.monotonic() - begun
