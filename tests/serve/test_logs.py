"""The logs: one line a fact, readable by programs where asked, and never a secret."""

import io
import json
import logging

import pytest
import structlog

from hawkfish.logs import configure, write_known


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.contextvars.clear_contextvars()  # what requests of other tests have left
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_logs_are_one_object_a_line_with_the_fields_of_either_logger(stream):
    configure(log_format="json", stream=stream)
    structlog.get_logger("hawkfish.x").info("Host is up", host="h1")
    logging.getLogger("hawkfish.y").warning("Slow %s", "pool", extra={"pool": "p1"})
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["host"], first["level"], first["logger"]) == (
        "Host is up",
        "h1",
        "info",
        "hawkfish.x",
    )
    assert (second["event"], second["pool"], second["level"]) == ("Slow pool", "p1", "warning")
    assert first["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_do_not_reach_the_logs(stream, log_format):
    configure(log_format=log_format, stream=stream)
    log = structlog.get_logger("hawkfish")
    log.info("Login", user="admin", password="hunter2-a", body={"Password": "hunter2-b", "UserName": "admin"})
    log.info('Body {"Password": "hunter2-c"} with X-Auth-Token: hunter2-d')
    logging.getLogger("other").info("postgresql://hf:hunter2-e@db/hf and Authorization: Basic hunter2-f")
    try:
        int("password=hunter2-g")
    except ValueError:
        log.exception("Failed", tokens=["hunter2-h"])
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "(hidden)" in text
    assert "postgresql://hf:" in text


def test_what_is_below_the_level_is_not_written(stream):
    configure(level="warning", stream=stream)
    structlog.get_logger("hawkfish").info("quiet")
    logging.getLogger("hawkfish").info("quiet")
    logging.getLogger("hawkfish").error("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("path", ["/redfish/v1", "/a b", "/a=b", "/it's", '/"', "/\n", ""])
def test_the_short_way_writes_what_the_long_one_does(stream, log_format, path):
    configure(log_format=log_format, stream=stream)
    fields = {"method": "GET", "path": path, "status": 200, "milliseconds": 1.5, "task": None, "address": "::1"}
    structlog.get_logger("hawkfish.api").info("request", **fields)
    write_known(logging.getLogger("hawkfish.api"), "request", fields)
    long, short = stream.getvalue().splitlines()
    if log_format == "json":
        long, short = [{**json.loads(line), "timestamp": ""} for line in (long, short)]
        assert short == long
    else:
        assert short.partition(" ")[2] == long.partition(" ")[2]


def test_a_line_of_the_short_way_cannot_be_broken_or_coloured_by_a_stranger(stream):
    configure(stream=stream)
    write_known(logging.getLogger("hawkfish.api"), "request", {"path": "/\x1b[31m\n2026 [info] all is well"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_the_short_way_heeds_the_level(stream):
    configure(level="warning", stream=stream)
    write_known(logging.getLogger("hawkfish.api"), "request", {"path": "/"})
    assert not stream.getvalue()


def test_the_short_way_fails_no_request_where_nobody_reads_the_logs(stream):
    configure(stream=stream)
    stream.close()
    write_known(logging.getLogger("hawkfish.api"), "request", {"path": "/"})


def test_another_handler_hears_what_the_short_way_would_write(stream, caplog):
    configure(stream=stream)
    logging.getLogger().addHandler(caplog.handler)
    write_known(logging.getLogger("hawkfish.api"), "request", {"path": "/here"})
    assert [(record.message, record.path) for record in caplog.records] == [("request", "/here")]
    assert "path=/here" in stream.getvalue()
