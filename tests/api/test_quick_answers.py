"""What is answered without asking twice takes every change at once, also under many clients."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from tests.api.installation import PASSWORD, Api


@pytest.mark.slow
def test_a_session_that_was_ended_reads_nothing_more(client: httpx.Client, url: str) -> None:
    body = {"Name": "watched", "CPU": 1, "MemoryMiB": 256, "DiskGiB": 1}
    made = client.post("/redfish/v1/Systems", json=body)
    assert made.status_code in {201, 202}
    path = next(
        member["@odata.id"]
        for member in client.get("/redfish/v1/Systems").json()["Members"]
        if client.get(member["@odata.id"]).json()["Name"] == "watched"
    )
    late: list[int] = []
    seen: list[int] = []

    def read(token: str, ended: threading.Event) -> None:
        with httpx.Client(base_url=url, headers={"X-Auth-Token": token}, timeout=30, trust_env=False) as own:
            while True:
                was_ended = ended.is_set()  # asked before the request begins: the DELETE had its answer
                status = own.get(path).status_code
                seen.append(status)
                if was_ended:
                    late.append(status)
                    return

    for _ in range(5):
        login = client.post(
            "/redfish/v1/SessionService/Sessions", json={"UserName": "admin", "Password": PASSWORD}
        ).raise_for_status()
        ended = threading.Event()
        readers = [threading.Thread(target=read, args=(login.headers["X-Auth-Token"], ended)) for _ in range(4)]
        for reader in readers:
            reader.start()
        assert client.delete(login.headers["Location"]).status_code in {200, 204}
        ended.set()
        for reader in readers:
            reader.join(30)
    assert late == [401] * 20
    assert set(seen) <= {200, 401}


def test_roles_and_accounts_are_judged_as_they_are_now(api: Api) -> None:
    made: dict[str, Any] = {"UserName": "eve", "Password": "eve's own words", "RoleId": "Operator"}
    account = api.post("/redfish/v1/AccountService/Accounts", made).headers["Location"]
    path = api.system("judged")["@odata.id"]
    eve = api.login("eve", "eve's own words")
    assert eve.get(path).status_code == 200
    api.patch(account, {"PasswordChangeRequired": True})
    assert eve.get(path).status_code == 403
    api.patch(account, {"PasswordChangeRequired": False})
    assert eve.get(path).status_code == 200
    api.patch(account, {"Enabled": False})
    assert eve.get(path).status_code == 401
    api.delete(account)
    api.finish(api.delete(path))
