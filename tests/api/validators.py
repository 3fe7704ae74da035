"""DMTF's validators, run as programs against a served API; what they need offline is found by HF_REDFISH_DATA.

Each must find nothing, warn of nothing and leave out nothing but what is known here with its reason; `tests.api.conformance`
writes all of it to docs/conformance.md.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hawkfish.api import schema_files
from tests.api.installation import PASSWORD

REDFISH = Path(os.environ.get("HF_REDFISH_DATA") or Path(__file__).parents[3] / "shared" / "redfish")
ABSENT = "DMTF's schema files are missing; set HF_REDFISH_DATA"
PROFILE = REDFISH / "profiles" / "OpenStackIronicProfile.v1_2_0.json"
PROGRAMS = Path(sys.executable).parent
TRUST = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
"""Variables that would make the validators refuse our own certificate, whatever they are told."""

MOST_SECONDS = 600.0
"""For a run of a validator; tests of them need longer than others, on a machine that may be busy."""
LEAST_CHECKED = 500
TYPES = {
    *("AccountService", "AttributeRegistry", "Bios", "BootOption", "Chassis", "ComputerSystem", "Drive"),
    *("EthernetInterface", "EventDestinationCollection", "EventService", "HawkFishAuditRecord", "HawkFishHost"),
    *("HawkFishImageCollection", "HawkFishPlugin", "HawkFishPool", "HawkFishProfileCollection", "JsonSchemaFile"),
    *("LogEntry", "LogService", "Manager", "ManagerAccount", "ManagerNetworkProtocol", "Memory", "MessageRegistry"),
    *("MessageRegistryFile", "Processor", "Role", "SecureBoot", "ServiceRoot", "SessionCollection", "SessionService"),
    *("Storage", "StorageController", "Task", "TaskService", "VirtualMedia", "VolumeCollection"),
}
"""Types of resources that the service validator looks at in every run, at least."""

OLDER_CLIENTS = "it is deprecated in favour of the system's, and older clients look there"
WARNINGS = {
    "Manager: the property VirtualMedia": (
        r"^/VirtualMedia \(\[Link to: /redfish/v1/Managers/[^/]+/VirtualMedia\]\): Deprecated Property",
        OLDER_CLIENTS,
    ),
    "VirtualMedia and its collection: the address below the manager": (
        r"^/@odata.id \(/redfish/v1/Managers/[^/]+/VirtualMedia(/Cd|/Usb)?\): Deprecated URI",
        OLDER_CLIENTS,
    ),
}
"""What the service validator warns of: how it says so, and the reason why it stays."""


@dataclass(frozen=True)
class Verdict:
    """What a validator has found, beyond that nothing failed; the names are those of its own.

    Attributes:
        log: Everything that it has written down.
        passed: How much it has found to be right.
        warnings: What it warns of.
        untested: What it could not look at.
    """

    log: str
    passed: int
    warnings: frozenset[str]
    untested: frozenset[str]


def _run(command: list[str], seconds: float) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in TRUST}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


# --- the service validator -------------------------------------------------------------------------------------------

_WITHOUT_SPREADSHEET = """
import sys
from unittest.mock import patch
from redfish_service_validator import console_scripts, report

with patch.object(report, "xlsx_report"):
    sys.exit(console_scripts.main())
"""
"""The program as it is, but for one of its three reports, which nobody reads here and which takes most of its time."""


def run_service_validator(
    url: str, folder: Path, authentication: str, *, includes: str, seconds: float = MOST_SECONDS
) -> Verdict:
    """Runs the service validator, which must find nothing, and warn of nothing that is not known.

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
            *(sys.executable, "-c", _WITHOUT_SPREADSHEET, "--rhost", url, "--user", "admin", "--password", PASSWORD),
            *("--authtype", authentication, "--skipschema", "--logdir", str(folder / "logs")),
            *("--schema_directory", str(schemas)),
        ],
        seconds,
    )
    log = _log_of(folder / "logs")
    found = _judged(output, log)
    known = {name: pattern for name, (pattern, _) in WARNINGS.items()}
    named = {warning: _name_of(warning, known) for warning in re.findall(r"WARN - (.*)", log)}
    assert {warning for warning, name in named.items() if name is None} == set()
    assert found.passed > LEAST_CHECKED
    # All that is left out is what the service does not have and need not have.
    assert {reason for _, reason in _skipped(log)} == {"Skip: The property is not present."}
    assert set(re.findall(r"PASS - /@odata.type \(#(\w+)", log)) >= TYPES
    # What stands under Oem is judged, too.
    for looked_at in (
        f"Validating /redfish/v1/Chassis/{includes}/Drives",
        "PASS - /Oem/HawkFish/HostName",
        "PASS - /Facts",
    ):
        assert looked_at in log
    return Verdict(log, found.passed, frozenset(name for name in named.values() if name), frozenset())


def _log_of(folder: Path) -> str:
    return "\n".join(file.read_text("utf-8") for file in folder.rglob("*.log"))


def _judged(output: str, log: str) -> Verdict:
    """The totals that a validator prints; nothing may have failed."""
    totals = re.search(r"\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|\s+(\d+)\s+\|", output)
    assert totals is not None, output[-4000:]
    assert (int(totals[3]), re.findall(r"FAIL - .*", log)) == (0, [])
    return Verdict(log, int(totals[1]), frozenset(), frozenset())


def _skipped(log: str) -> list[tuple[str, str]]:
    """What was left out, and why."""
    return re.findall(r"SKIP - (.+?) \([^)]*\): (.*)", log)


def _name_of(warning: str, known: dict[str, str]) -> str | None:
    return next((name for name, pattern in known.items() if re.search(pattern, warning)), None)


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


_WITH_A_SHORT_SEARCH = """
import functools
import sys
from unittest.mock import patch
from redfish_protocol_validator import console_scripts, utils

with patch.object(utils, "discover_ssdp", functools.partial(utils.discover_ssdp, response_time=1)):
    sys.exit(console_scripts.main())
"""
"""The program as it is, but that each of its searches by SSDP asks to be answered within one second in place of three."""


def run_protocol_validator(url: str, folder: Path, seconds: float = MOST_SECONDS) -> Verdict:
    """Runs the protocol validator, which must find nothing, and leave out nothing but what is known to be left out.

    To its two statistical tests one random token in fifty does not look random. It is asked again then; of tokens that are not
    random it would think the same.

    Args:
        url: Address of the API; over TLS.
        folder: An empty folder.
        seconds: How long it may take.
    """
    rows, output = _judge_protocol(url, folder, seconds)
    if [row["Assertion"] for row in rows if row["Result"] == "WARN"] == ["RESP_HEADERS_X_AUTH_TOKEN"]:
        rows, output = _judge_protocol(url, folder / "again", seconds)
    found = {outcome: [row for row in rows if row["Result"] == outcome] for outcome in ("PASS", "FAIL", "WARN")}
    assert found["FAIL"] + found["WARN"] == []
    assert len({row["Assertion"] for row in found["PASS"]}) > LEAST_ASSERTIONS
    untested = frozenset(row["Assertion"] for row in rows if row["Result"] not in found)
    assert untested == set(NOT_TESTED), untested ^ set(NOT_TESTED)
    return Verdict(output, len(found["PASS"]), frozenset(), untested)


def _judge_protocol(url: str, folder: Path, seconds: float) -> tuple[list[dict[str, str]], str]:
    """One run: the rows of its report, and what it printed."""
    folder.mkdir(exist_ok=True)
    output = _run(
        [
            *(sys.executable, "-c", _WITH_A_SHORT_SEARCH, "--rhost", url, "--user", "admin", "--password", PASSWORD),
            *("--no-cert-check", "--report-dir", str(folder), "--report-type", "tsv", "--avoid-http-redirect"),
        ],
        seconds,
    )
    reports = list(folder.glob("*.tsv"))
    assert len(reports) == 1, output[-4000:]
    with reports[0].open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t")), output


# --- the interop validator -------------------------------------------------------------------------------------------

_ONLY_READS = "this validator never writes"
_NO_SENSORS = "optional; a virtual machine has no sensors, and none are made up"
NOT_IN_PROFILE = {
    "/@Redfish.Settings/ETag": "optional; what was applied is told by Time and Messages, and no ETag of that moment is kept",
    "/@Redfish.Settings/Messages": "optional; there when a start has applied settings",
    "/BiosVersion": "optional; the version of a guest's firmware is not known before it runs",
    "/Boot/BootSourceOverrideEnabled (Write)": _ONLY_READS,
    "/Boot/BootSourceOverrideMode (Write)": _ONLY_READS,
    "/Boot/BootSourceOverrideTarget (Write)": _ONLY_READS,
    "/Image (Write)": _ONLY_READS,
    "/IndicatorLED": "optional; there is no lamp",
    "/Inserted (Write)": _ONLY_READS,
    "/Power": _NO_SENSORS,
    "/SecureBoot": "optional; a system that starts by BIOS has none, and one that does is among those that are judged",
    "/SecureBootEnable (Write)": _ONLY_READS,
    "/SimpleStorage": "optional; Storage tells more",
    "/TaskService": "optional; the profile names it so, and Redfish's service root has it as Tasks",
    "/Thermal": _NO_SENSORS,
    "/UpdateService": "optional; firmware is the host's",
    "/WriteProtected (Write)": _ONLY_READS,
}
"""What the interop validator does not test of Ironic's profile; each with the reason."""


def run_interop_validator(
    url: str, folder: Path, authentication: str, *, includes: str, seconds: float = MOST_SECONDS
) -> Verdict:
    """Runs the interop validator with Ironic's profile; it must find nothing, and leave out nothing but what is known.

    Args:
        url: Address of the API.
        folder: An empty folder.
        authentication: Session or Basic.
        includes: The id of a system that it must have looked at.
        seconds: How long it may take.
    """
    output = _run(
        [
            *(str(PROGRAMS / "rf_interop_validator"), "--rhost", url, "--user", "admin", "--password", PASSWORD),
            *("--authtype", authentication, "--logdir", str(folder / "logs"), str(PROFILE)),
        ],
        seconds,
    )
    log = _log_of(folder / "logs")
    found = _judged(output, log)
    assert re.findall(r"WARN - .*", log) == []
    assert f"Validating /redfish/v1/Systems/{includes}/SecureBoot" in log
    for looked_at in ("Boot/BootSourceOverrideTarget", "VirtualMedia", "Actions/#VirtualMedia.InsertMedia", "Bios"):
        assert f"PASS - /{looked_at}" in log, looked_at
    untested = frozenset(name for name, _ in _skipped(log))
    assert untested == set(NOT_IN_PROFILE), untested ^ set(NOT_IN_PROFILE)
    return Verdict(log, found.passed, frozenset(), untested)
