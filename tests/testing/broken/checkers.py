"""Quota checkers with one fault each, and the test that is there to find it."""

CHECKER_TEST = """
    import time
    import pytest
    from dataclasses import replace
    from hawkfish.plugins.quota import QuotaChecker, QuotaDenial
    from hawkfish.testing.quota import QuotaCheckerContract, quota_request

    class Whole(QuotaChecker):
        def check(self, request):
            if request.amounts.get("vCPUs", 0) > 8:
                return QuotaDenial(resource="vCPUs", message="Machines have at most 8 vCPUs; ask for fewer.")
            return None

    {broken}

    class TestBroken(QuotaCheckerContract):
        @pytest.fixture
        def new_checker(self):
            return Broken

        @pytest.fixture
        def allowed(self):
            return quota_request(vCPUs=8)

        @pytest.fixture
        def denied(self):
            return quota_request(vCPUs=9)
"""

BROKEN_CHECKERS = {
    "allows all": (
        """
        class Broken(Whole):
            def check(self, request):
                return None
        """,
        "test_it_allows_and_denies",
    ),
    "answers with a boolean": (
        """
        class Broken(Whole):
            def check(self, request):
                return super().check(request) and False
        """,
        "test_it_allows_and_denies",
    ),
    "says no without a word": (
        """
        class Broken(Whole):
            def check(self, request):
                return super().check(request) and QuotaDenial(resource="vCPUs", message="no")
        """,
        "test_a_denial_names_what_is_short_and_what_to_do",
    ),
    "names a resource that nobody knows": (
        """
        class Broken(Whole):
            def check(self, request):
                denial = super().check(request)
                return denial and replace(denial, resource="cores")
        """,
        "test_a_denial_names_what_is_short_and_what_to_do",
    ),
    "counts by itself": (
        """
        class Broken(Whole):
            seen = 0

            def check(self, request):
                self.seen += 1
                return super().check(request) if self.seen < 3 else None
        """,
        "test_the_answer_depends_on_the_request_alone",
    ),
    "takes what was asked for": (
        """
        class Broken(Whole):
            def check(self, request):
                if isinstance(request.amounts, dict):
                    request.amounts["vCPUs"] = 0
                return super().check(request)
        """,
        "test_the_request_is_left_as_it_is",
    ),
    "asks somebody else first": (
        """
        class Broken(Whole):
            def check(self, request):
                time.sleep(0.15)
                return super().check(request)
        """,
        "test_it_answers_at_once",
    ),
    "needs a limit": (
        """
        class Broken(Whole):
            def check(self, request):
                if request.amounts.get("Systems", 0) > request.usage["Systems"].limit:
                    return QuotaDenial(resource="Systems", message="There are too many systems; delete some.")
                return super().check(request)
        """,
        "test_it_has_an_answer_to_every_request",
    ),
    "is not safe between threads": (
        """
        class Broken(Whole):
            def check(self, request):
                self.request = request
                time.sleep(0.002)
                return super().check(self.request)
        """,
        "test_threads_get_the_same_answer",
    ),
}
