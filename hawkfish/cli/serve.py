"""The processes of the service. Each command becomes its process, so that signals reach it and its exit code is the command's."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hawkfish.cli.base import BaseCommand


class Serve(BaseCommand):
    """Run the whole service on this machine: API, worker, and simulated hosts where asked for.

    Listens on https://127.0.0.1:8443 with a certificate of its own making, on http://127.0.0.1:8000 with --no-tls. The first start
    makes the account admin and prints its random password once; HF_ADMIN_PASSWORD sets it instead.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options of the service."""
        parser = super().get_parser(prog_name)
        _add_data_dir(parser)
        _add_address(parser)
        hosts = parser.add_argument_group("hosts, registered at the start unless they are already")
        hosts.add_argument(
            "--simulated-host",
            action="append",
            default=[],
            metavar="NAME[:SYSTEMS]",
            help="a host whose machines are simulated, and how many systems to make on it (may be repeated)",
        )
        hosts.add_argument(
            "--add-host",
            nargs=3,
            action="append",
            default=[],
            metavar=("NAME", "DRIVER", "URI"),
            help="a host of any driver, such as: local libvirt qemu:///system (may be repeated)",
        )
        parser.add_argument(
            "--ready-file",
            type=_absolute,
            metavar="FILE",
            help="gets one JSON object {url, username, password, ca_file, pid} once requests are answered",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> NoReturn:
        """Becomes the supervisor."""
        words: list[str] = []
        for host in parsed_args.simulated_host:
            words += ["--simulated-host", host]
        for host in parsed_args.add_host:
            words += ["--add-host", *host]
        if parsed_args.ready_file:
            words += ["--ready-file", str(parsed_args.ready_file)]
        _become("hawkfish.worker.supervisor", words, _variables(parsed_args))


class Api(BaseCommand):
    """Run the API alone, under gunicorn (schema and first account are made by `serve` or `admin db upgrade`)."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options of the API."""
        parser = super().get_parser(prog_name)
        _add_data_dir(parser)
        _add_address(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> NoReturn:
        """Becomes gunicorn."""
        config = "python:hawkfish.worker.gunicorn_settings"
        _become("gunicorn", ["--config", config, "hawkfish.api.wsgi:app"], _counting(_variables(parsed_args)))


class Worker(BaseCommand):
    """Run one worker alone: it carries out tasks and watches hosts."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options of the worker."""
        parser = super().get_parser(prog_name)
        _add_data_dir(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> NoReturn:
        """Becomes the worker."""
        _become("hawkfish.worker", [], _counting(_variables(parsed_args)))


class Simulator(BaseCommand):
    """Run the simulator alone: the machines of all simulated hosts live in it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Adds the options of the simulator."""
        parser = super().get_parser(prog_name)
        _add_data_dir(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> NoReturn:
        """Becomes the simulator."""
        from hawkfish.config import load_settings

        folder = load_settings(data_dir=parsed_args.data_dir).data_dir
        files = ["--socket", str(folder / "simulator.sock"), "--state", str(folder / "simulator.state")]
        _become("hawkfish.builtin.simulated.server", files, {})


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=_absolute,
        metavar="DIR",
        help="folder of the database, certificates and sockets (HF_DATA_DIR; /var/lib/hawkfish for root)",
    )


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bind", metavar="HOST:PORT", help="address to listen on (HF_BIND; 127.0.0.1:8443)")
    parser.add_argument(
        "--tls", action=argparse.BooleanOptionalAction, default=None, help="speak HTTPS (HF_TLS; yes), or plain HTTP"
    )


def _variables(options: argparse.Namespace) -> dict[str, str]:
    """The options as the variables that every process of the service reads."""
    variables = {"HF_DATA_DIR": options.data_dir, "HF_BIND": getattr(options, "bind", None)}
    if getattr(options, "tls", None) is not None:
        variables["HF_TLS"] = str(options.tls).lower()
    return {name: str(value) for name, value in variables.items() if value is not None}


def _counting(variables: dict[str, str]) -> dict[str, str]:
    """The variables, with the folder where the processes of this machine put what they count."""
    from hawkfish import metrics
    from hawkfish.config import load_settings

    environment = {**os.environ, **variables}
    metrics.share(load_settings(environment).metrics_folder, environment)
    return variables | {metrics.FOLDER_VARIABLE: environment[metrics.FOLDER_VARIABLE]}


def _absolute(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _become(module: str, words: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    os.execve(sys.executable, [sys.executable, "-m", module, *words], {**os.environ, **variables})  # noqa: S606  no shell
