"""What generated requests have found, once each."""

from __future__ import annotations

import pytest

from hawkfish.api import links
from tests.api.fuzz.bodies import SECRET_MARK, encoded
from tests.api.fuzz.judging import ask
from tests.api.fuzz.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")


def test_a_method_that_falcon_keeps_for_itself_is_refused_in_the_words_of_redfish(world: World) -> None:
    assert ask(world, "WEBSOCKET", links.SYSTEMS).status_code == 400


@pytest.mark.parametrize("option", ["$top", "$skip"])
@pytest.mark.parametrize("number", ["0" * 5000, "0" * 25 + "9" * 30, "9" * 20])
def test_a_number_of_many_digits_is_refused(world: World, option: str, number: str) -> None:
    assert ask(world, "GET", links.SYSTEMS, query=f"{option}={number}").status_code == 400


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_a_password_that_no_database_holds_is_not_shown_back(world: World, character: str) -> None:
    body = {"UserName": "someone", "Password": f"{SECRET_MARK}{character}", "RoleId": "Operator"}
    assert ask(world, "POST", links.ACCOUNTS, content=encoded(body)).status_code == 400


def test_an_address_of_a_simulated_host_that_is_none_is_its_senders_mistake(world: World) -> None:
    body = {"Name": "j", "Driver": "simulated", "URI": "simulated://["}
    assert world.api.finish(world.api.post("/redfish/v1/Oem/HawkFish/Hosts", body)).status_code == 400
