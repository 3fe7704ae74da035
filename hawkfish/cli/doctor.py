"""Looks at this machine and at the service, and says what to do."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from hawkfish.cli.base import ListCommand
from hawkfish.cli.errors import CommandError, ExitCode, one_line


class Doctor(ListCommand):
    """Check this machine and the service, and say what to do about what is wrong.

    A check is ok, a warning (something that not everybody needs is missing) or a failure; any failure makes the exit code 1.
    """

    code = ExitCode.OK

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--data-dir", metavar="DIR", help="data directory of the installation (HF_DATA_DIR)")
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Runs the checks."""
        super().run(parsed_args)
        return self.code

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Gives a row for each check."""
        from hawkfish.cli.doctor_checks import Finding, installation_checks, machine_checks

        if parsed_args.data_dir:
            # For the settings and for the service that is looked for, alike.
            os.environ["HF_DATA_DIR"] = parsed_args.data_dir
        checks = {**machine_checks(), **installation_checks(), "service": self._service}
        findings = []
        for name, check in checks.items():
            try:
                findings.append((name, check()))
            except Exception as error:  # noqa: BLE001  a check that breaks is a finding, and the others are still wanted
                findings.append((name, Finding.fail(one_line(error), "see the message")))
        if any(finding.status == "fail" for _, finding in findings):
            self.code = ExitCode.FAILED
        return ("Check", "Status", "Found", "What To Do"), [
            (name, finding.status, finding.found, finding.advice) for name, finding in findings
        ]

    def _service(self) -> Any:
        from hawkfish.cli.doctor_checks import Finding

        try:
            answer = self.client.send("GET", "/redfish/v1/")
        except CommandError as error:
            return Finding.fail(one_line(error), "start it with `hawkfish serve`, or name it with --url")
        place = f"{self.client.target.url} ({self.client.target.found_by})"
        if not answer.is_success or "RedfishVersion" not in answer.text:
            return Finding.fail(
                f"{place} answers HTTP {answer.status_code} and is no Redfish service", "check the address"
            )
        try:
            self.client.get("/redfish/v1/SessionService")
        except CommandError as error:
            return Finding.warn(f"{place} answers; {one_line(error)}", "run `hawkfish login`")
        return Finding.ok(f"{place} answers, and you are logged in")
