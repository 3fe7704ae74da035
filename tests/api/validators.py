"""DMTF's validators, run as programs against a served API; what they need offline is found by HF_REDFISH_DATA."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

from hawkfish.api import schema_files
from tests.api.installation import PASSWORD

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")
ABSENT = "DMTF's schema files are missing; set HF_REDFISH_DATA"
PROGRAMS = Path(sys.executable).parent
TRUST = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
"""Variables that would make the validators refuse our own certificate, whatever they are told."""

LEAST_CHECKED = 500
WARNINGS: dict[str, str] = {
    r"^/VirtualMedia \(\[Link to: /redfish/v1/Managers/[^/]+/VirtualMedia\]\): Deprecated Property": "older clients look there",
    r"^/@odata.id \(/redfish/v1/Managers/[^/]+/VirtualMedia(/Cd)?\): Deprecated URI": "older clients look there",
}
"""What the service validator warns of, each with the reason why it stays."""


def _run(command: list[str], seconds: float) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in TRUST}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


# --- the service validator -------------------------------------------------------------------------------------------


def run_service_validator(url: str, folder: Path, authentication: str, *, includes: str, seconds: float = 280.0) -> str:
    """Runs the service validator, which must find nothing, and warn of nothing that is not known. Gives its log.

    Args:
        url: Address of the API.
        folder: An empty folder.
        authentication: Session or Basic.
        includes: The id of a system that it must have looked at.
        seconds: How long it may take.
    """
    schemas = folder / "schemas"
    _gather_schemas(schemas)
    output = _run(
        [
            *(str(PROGRAMS / "rf_service_validator"), "--rhost", url, "--user", "admin", "--password", PASSWORD),
            *("--authtype", authentication, "--skipschema", "--logdir", str(folder / "logs")),
            *("--schema_directory", str(schemas)),
        ],
        seconds,
    )
    totals = re.search(r"\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|", output)
    assert totals is not None, output[-4000:]
    log = "\n".join(file.read_text("utf-8") for file in (folder / "logs").rglob("*.log"))
    passed, failed = int(totals[1]), int(totals[3])
    failures = re.findall(r"FAIL - .*", log)
    assert (failed, failures) == (0, [])
    assert {warning for warning in re.findall(r"WARN - (.*)", log) if not _known(warning)} == set()
    assert passed > LEAST_CHECKED
    # What stands under Oem is judged, too.
    for looked_at in (
        f"Validating /redfish/v1/Chassis/{includes}/Drives",
        "PASS - /Oem/HawkFish/HostName",
        "PASS - /Facts",
    ):
        assert looked_at in log
    return log


def _known(warning: str) -> bool:
    return any(re.search(pattern, warning) for pattern in WARNINGS)


def _gather_schemas(folder: Path) -> None:
    """Puts DMTF's schema files and our own into one folder: the validator reads none from the service."""
    folder.mkdir()
    for file in (REDFISH / "csdl").iterdir():
        (folder / file.name).symlink_to(file)
    for name in schema_files.names():
        (folder / f"{name}_v1.xml").write_bytes(schema_files.csdl(name))


LEAST_ASSERTIONS = 85

# --- the protocol validator ------------------------------------------------------------------------------------------

_NO_STREAMS = "version 1.3.2 has its tests of streams switched off; tests/api/test_streams.py runs them"
_NO_SSDP = "the service is not announced by SSDP"
NOT_TESTED = {
    "PROTO_REDIRECT_ENFORCES_TARGET_PRIVS": "one port speaks TLS alone, and no other redirects to it",
    "REQ_DATA_MOD_ERRORS": "the only POST that it has refused is one to subscriptions, and it looks before that",
    "REQ_HEADERS_ACCEPT": "of openapi.yaml, which is optional and not served; it passes for all others",
    "RESP_HEADERS_CONTENT_TYPE": "the same",
    "RESP_STATUS_INTERNAL_SERVER_ERROR": "there was no answer with 500 to look at",
    "SEC_DEFAULT_CERT_REPLACE": "certificates are given by settings; there is no CertificateService yet",
    "SEC_SESSION_TERMINATION_SIDE_EFFECTS": _NO_STREAMS,
    **dict.fromkeys(
        (
            "SERV_SSDP_AL_HEADER_POINTS_TO_SERVICE_ROOT",
            "SERV_SSDP_CAN_BE_DISABLED",
            "SERV_SSDP_MSEARCH_RESPONDS_TO_REDFISH_OR_ALL",
            "SERV_SSDP_M_SEARCH_RESPONSE_FORMAT",
            "SERV_SSDP_ST_HEADER_FORMAT",
            "SERV_SSDP_USN_MATCHES_SERVICE_ROOT_UUID",
            "SERV_SSDP_UUID_IN_CANONICAL_FORMAT",
        ),
        _NO_SSDP,
    ),
    **dict.fromkeys(
        (
            "SERV_SSE_BLANK_LINES_BETWEEN_EVENTS",
            "SERV_SSE_CLOSE_CONNECTION_IF_EVENT_DEST_DELETED",
            "SERV_SSE_CONNECTION_OPEN_UNTIL_CLOSED",
            "SERV_SSE_DATA_FIELD_BASED_ON_PAYLOAD_FORMAT",
            "SERV_SSE_EVENTS_SENT_VIA_OPEN_CONNECTION",
            "SERV_SSE_EVENT_DEST_CONTEXT_OPAQUE_STR",
            "SERV_SSE_EVENT_DEST_DELETED_ON_CLOSE",
            "SERV_SSE_ID_FIELD_UNIQUELY_IDENTIFIES_PAYLOAD",
            "SERV_SSE_JSON_EVENT_MESSAGE_FORMAT",
            "SERV_SSE_JSON_METRIC_REPORT_FORMAT",
            "SERV_SSE_OPEN_CREATES_EVENT_DEST",
            "SERV_SSE_SUCCESSFUL_RESPONSE",
            "SERV_SSE_UNSUCCESSFUL_RESPONSE",
        ),
        _NO_STREAMS,
    ),
}
"""Assertions of the protocol validator that find nothing, or not everything, to look at; each with the reason."""


def run_protocol_validator(url: str, folder: Path, seconds: float = 280.0) -> None:
    """Runs the protocol validator, which must find nothing, and leave out nothing but what is known to be left out.

    Args:
        url: Address of the API; over TLS.
        folder: An empty folder.
        seconds: How long it may take.
    """
    output = _run(
        [
            *(str(PROGRAMS / "rf_protocol_validator"), "--rhost", url, "--user", "admin", "--password", PASSWORD),
            *("--no-cert-check", "--report-dir", str(folder), "--report-type", "tsv", "--avoid-http-redirect"),
        ],
        seconds,
    )
    reports = list(folder.glob("*.tsv"))
    assert len(reports) == 1, output[-4000:]
    with reports[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = {outcome: [row for row in rows if row["Result"] == outcome] for outcome in ("PASS", "FAIL", "WARN")}
    assert found["FAIL"] + found["WARN"] == []
    assert len({row["Assertion"] for row in found["PASS"]}) > LEAST_ASSERTIONS
    untested = {row["Assertion"] for row in rows if row["Result"] not in found}
    assert untested == set(NOT_TESTED), untested ^ set(NOT_TESTED)
