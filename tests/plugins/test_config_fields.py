"""Configuration is checked by its fields: what a factory gets fits, and a refusal names the key and never a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkfish.errors import PluginConfigInvalid
from hawkfish.plugins.config_fields import ConfigField, SecretReference, config_schema, validate_config

FIELDS = (
    ConfigField(name="address", required=True, pattern=r"[a-z.]+", maximum=20, help="Address of the array"),
    ConfigField(name="port", type=int, default=3260, minimum=1, maximum=65535),
    ConfigField(name="ratio", type=float, default=1.0, minimum=0.5),
    ConfigField(name="mode", default="safe", choices=("safe", "fast")),
    ConfigField(name="verify", type=bool, default=True),
    ConfigField(name="password", secret=True),
)


def test_defaults_fill_the_gaps_and_the_result_is_frozen():
    config = validate_config(FIELDS, {"address": "array"}, plugin="acme")
    assert dict(config) == {
        "address": "array", "port": 3260, "ratio": 1.0, "mode": "safe", "verify": True, "password": None,
    }  # fmt: skip
    with pytest.raises(TypeError):
        config["port"] = 1


def test_a_whole_number_is_a_float_and_a_secret_becomes_a_reference():
    config = validate_config(FIELDS, {"address": "array", "ratio": 2, "password": "env:A"}, plugin="acme")
    assert (config["ratio"], type(config["ratio"])) == (2.0, float)
    assert config["password"] == SecretReference("env:A")
    assert "env:A" not in repr(config)


@pytest.mark.parametrize(
    ("given_config", "message"),
    [
        ({}, "acme needs the setting 'address': Address of the array."),
        ({"adress": "array"}, "acme has no setting 'adress'; remove it. Its settings are: address, mode, "),
        ({"address": "UPPER"}, r"'address' of acme must be of the form \[a-z.\]\+; 'UPPER' is not"),
        ({"address": "array\n"}, "must be of the form"),
        ({"address": "a" * 21}, "must be at most 20 characters long"),
        ({"address": "a", "port": "80"}, "'port' of acme must be of type integer; '80' is not"),
        ({"address": "a", "port": True}, "must be of type integer; True is not"),
        ({"address": "a", "port": 0}, "must be at least 1; 0 is not"),
        ({"address": "a", "port": 70000}, "must be at most 65535; 70000 is not"),
        ({"address": "a", "ratio": float("nan")}, "must be a finite number"),
        ({"address": "a", "ratio": float("inf")}, "must be a finite number"),
        ({"address": "a", "mode": "wild"}, "must be one of safe, fast; 'wild' is not"),
        ({"address": "a", "verify": 1}, "must be of type boolean"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given_config, message):
    with pytest.raises(PluginConfigInvalid, match=message):
        validate_config(FIELDS, given_config, plugin="acme")


@given(st.text(max_size=30).filter(lambda text: not text.startswith(("env:", "file:"))))
def test_a_secret_in_the_open_is_never_taken(text):
    with pytest.raises(PluginConfigInvalid) as caught:
        validate_config(FIELDS, {"address": "a", "password": text}, plugin="acme")
    assert str(caught.value) == (
        "The setting 'password' of acme must be a reference of the form env:NAME or file:/PATH; the value given is not."
    )


def test_schema_is_what_the_check_does():
    schema = config_schema(FIELDS)
    assert (schema["required"], schema["additionalProperties"]) == (["address"], False)
    assert schema["properties"]["port"] == {"type": "integer", "default": 3260, "minimum": 1, "maximum": 65535}
    assert schema["properties"]["mode"]["enum"] == ["safe", "fast"]
    assert schema["properties"]["address"]["maxLength"] == 20
