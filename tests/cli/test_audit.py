"""`hawkfish audit ls` against a real service, and what it asks for."""

import json

import pytest

from tests.cli.fake import Fake, ok, run

AUDIT = "/redfish/v1/Oem/HawkFish/Audit"


@pytest.mark.slow
def test_the_newest_comes_first_and_refusals_are_found(hawkfish):
    assert hawkfish("systems", "create", "audited", "--memory", "64M").returncode == 0
    try:
        done = hawkfish("audit", "ls", "--verb", "systems.create", "-f", "json")
        assert (done.returncode, done.stderr) == (0, "")
        (record,) = [row for row in json.loads(done.stdout) if row["Details"].get("name") == "audited"]
        assert (record["User"], record["Outcome"]) == ("admin", "allowed")
        rows = json.loads(hawkfish("audit", "ls", "--limit", "3", "-f", "json").stdout)
        assert len(rows) == 3
        assert [int(row["ID"]) for row in rows] == sorted((int(row["ID"]) for row in rows), reverse=True)
    finally:
        hawkfish("systems", "rm", "audited", "--yes")


def test_conditions_become_one_filter(logged_in):
    fake = Fake({f"GET {AUDIT}": ok({"Members": []})})
    assert run(fake, "audit", "ls", "--user", "o'neil", "--outcome", "denied", "-f", "json").json == []
    (request,) = fake.sent("GET", AUDIT)
    assert request.url.params["$filter"] == "UserName eq 'o''neil' and Outcome eq 'denied'"
    assert (request.url.params["$top"], request.url.params["$expand"]) == ("50", ".")


def test_a_limit_out_of_range_is_refused(logged_in):
    assert run(Fake(), "audit", "ls", "--limit", "0").code == 2
