"""A reader who does what a page says: a shell, a Python, and the services that the page starts."""

import contextlib
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from configparser import ConfigParser
from json import loads as load_json
from pathlib import Path

import httpx
import yaml

from hawkfish.config import load_settings
from tests.docs.blocks import ROOT, commands_of, matches

START_SECONDS = 120.0
COMMAND_SECONDS = 120.0
PASSWORD = "Of-the-reader-1"
PRINTED_ADDRESS = "127.0.0.1:8443"
SERVICE = re.compile(r"^(?:\w+=\S+ )*(?:\.venv/bin/)?hawkfish (?P<name>serve|api|worker|simulator)\b")
OF_A_SERVICE = re.compile(r"\bhawkfish (?!admin\b)|\bcurl\b")
OF_AN_INSTALLATION = re.compile(re.escape(PRINTED_ADDRESS) + r"|HF_DATA_DIR")
FAILED = re.compile(r"^hawkfish: (?!warning:)", re.MULTILINE)
PYTHON = """
import sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    path, end = line.split()
    code = 0
    try:
        exec(compile(open(path).read(), path, "exec"), names)
    except BaseException:
        traceback.print_exc()
        code = 1
    print(f"\\n{end} {code}", flush=True)
"""
NEVER_RUN = {"text", "{toctree}", "{eval-rst}", "{include}", "{literalinclude}", "{note}", "{warning}", "{tip}"}


class Failure(AssertionError):
    """What the page says does not hold."""


class TooSlow(AssertionError):
    """It was not seen in time whether it does."""


class Interpreter:
    """A process that is given files to run, one after the other, and keeps what they leave behind."""

    def __init__(self, words, send, folder, environment):
        self._send, self._folder, self._number = send, folder, 0
        self._process = subprocess.Popen(
            words,
            cwd=folder / "checkout",
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def run(self, text):
        """Runs a text; gives its output and exit code."""
        self._number += 1
        end = f"END-{os.urandom(8).hex()}"
        file = self._folder / f"{Path(self._process.args[0]).name}-{self._number}"
        file.write_text(text)
        self._process.stdin.write(self._send.format(file=file, end=end))
        self._process.stdin.flush()
        output, deadline = [], time.monotonic() + COMMAND_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise TooSlow(f"no end after {COMMAND_SECONDS:g} s of:\n{text}\n{''.join(output)}") from None
            if line is None:
                raise Failure(f"the interpreter ended at:\n{text}\n{''.join(output)}")
            if line.startswith(end):
                return "".join(output).removesuffix("\n"), int(line.split()[1])
            output.append(line)

    def close(self):
        """Ends it, with whatever it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)
        self._process.stdin.close()
        self._process.stdout.close()


class Reader:
    """Reads one page.

    Args:
        folder: An empty folder of its own: home, data directory and what the page writes lie in it.
        printed: What stands in the page for what cannot be the same here, such as the address of a database.
    """

    def __init__(self, folder, printed=None):
        self._folder = folder
        self.home, checkout = folder / "home", folder / "checkout"
        for path in (self.home, checkout, folder / "tmp"):
            path.mkdir()
        for path in ROOT.iterdir():
            if not path.name.startswith(".git"):
                (checkout / path.name).symlink_to(path)
        if not (checkout / ".venv").exists():
            (checkout / ".venv").symlink_to(sys.prefix)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "XDG_", "PYTHON"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HF_DATA_DIR": str(folder / "data"),
            "HF_ADMIN_PASSWORD": PASSWORD,
            "HF_LOG_LEVEL": "warning",
            "COLUMNS": "250",
        }
        self._printed = dict(printed or {}) | {"/var/lib/hawkfish": str(folder / "data"), "/tmp/": f"{folder}/tmp/"}
        self._shell = Interpreter(
            ["bash", "--norc", "-o", "pipefail"],
            "source {file} </dev/null\nprintf '\\n%s %s\\n' {end} $?\n",
            folder,
            self.environment,
        )
        self._python = None
        self._services = []
        self._password = PASSWORD
        self._said = ""

    def close(self):
        """Ends everything that the page has started."""
        self._shell.close()
        if self._python is not None:
            self._python.close()
        for process in reversed(self._services):
            process.send_signal(signal.SIGTERM)
        for process in self._services:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

    def follow(self, block):
        """Does what a block says.

        Raises:
            Failure: It does not hold.
            TooSlow: That was not seen in time.
        """
        match block.kind:
            case "console":
                for command in commands_of(block.text):
                    self._command(block, command)
            case "python":
                self._run_python(block)
            case "text" if block.follows == "python":
                if not matches(block.text, self._said):
                    raise Failure(f"{block}: the page shows\n{block.text}\nand there was\n{self._said}")
            case "toml":
                self._settings(block)
            case "json":
                load_json(block.text)
            case "yaml":
                yaml.safe_load(block.text)
            case "ini":
                ConfigParser(strict=False, interpolation=None).read_string(block.text)
            case kind if kind.split(" ")[0] not in NEVER_RUN:
                raise Failure(f"{block}: nobody knows how to check a block of the kind {kind!r}")

    # --- commands ------------------------------------------------------------------------------------------------

    def _command(self, block, command):
        text = command.text
        self._password = (re.findall(r"HF_ADMIN_PASSWORD=(\S+)", text) or [self._password])[0]
        if service := SERVICE.match(text):
            output, code = self._start(text, service["name"]), 0
        else:
            if OF_A_SERVICE.search(text):
                self._need_service()
            if re.search(r"\bhawkfish login$", text.partition("#")[0].strip()):
                text = f"HF_USERNAME=admin HF_PASSWORD={shlex.quote(self._password)} {text}"  # it would ask
            text = re.sub(r"-u (\w+)(?= )", lambda found: f"-u {found[1]}:{self._password}", text)  # curl would, too
            output, code = self._shell.run(self._here(text))
        output = self._there(output)
        if (code != 0) != bool(FAILED.search(command.output)):
            raise Failure(f"{block}: exit code {code} of\n$ {command.text}\n{output}")
        if command.output and not matches(command.output, output):
            raise Failure(f"{block}: $ {command.text}\nthe page shows\n{command.output}\n\nand there was\n{output}")

    def _need_service(self):
        """Pages that start no service of their own are about one that runs, and that the reader is logged in to."""
        if not self._services:
            self._start("hawkfish serve --simulated-host lab", "serve")
            self._shell.run(f"HF_USERNAME=admin HF_PASSWORD={PASSWORD} hawkfish login")

    def _start(self, text, name):
        """Starts a service as in another terminal, and waits until it is ready."""
        environment = self._exported()
        if name in {"serve", "api"}:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                address = f"127.0.0.1:{probe.getsockname()[1]}"
            self._printed[PRINTED_ADDRESS] = environment["HF_BIND"] = address
        log = self._folder / f"{name}-{len(self._services)}.out"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", self._here(text.partition(" #")[0])],
                cwd=self._folder / "checkout",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._services.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(name, log):
            if process.poll() is not None:
                raise Failure(f"it ended: $ {text}\n{log.read_text()}")
            if time.monotonic() > deadline:
                raise TooSlow(f"not ready: $ {text}\n{log.read_text()}")
            time.sleep(0.05)
        return log.read_text()

    def _is_ready(self, name, log):
        if name in {"serve", "simulator"}:
            return "systems ls" in log.read_text() or (name == "simulator" and "answers" in log.read_text())
        address = f"https://{self._printed[PRINTED_ADDRESS]}"
        try:
            if name == "api":
                return httpx.get(f"{address}/healthz", verify=False).status_code == 200
            metrics = httpx.get(f"{address}/metrics", verify=False, auth=("admin", self._password)).text
        except httpx.HTTPError:
            return False
        self_and_before = sum("worker" in process.args[-1] for process in self._services)
        return f"hawkfish_workers {self_and_before}.0" in metrics

    # --- other blocks --------------------------------------------------------------------------------------------

    def _run_python(self, block):
        if OF_AN_INSTALLATION.search(block.text):
            self._need_service()
        if self._python is None:
            words = [sys.executable, "-u", "-c", PYTHON]
            self._python = Interpreter(words, "{file} {end}\n", self._folder, self._exported())
        output, code = self._python.run(self._here(block.text))
        self._said = self._there(output)
        if code:
            raise Failure(f"{block}:\n{self._said}")

    def _settings(self, block):
        table = tomllib.loads(block.text)
        if "project" not in table:  # the manifest of a plugin; all others are hawkfish.toml
            file = self._folder / "hawkfish.toml"
            file.write_text(block.text)
            load_settings({}, file=file, data_dir=self._folder / "data")

    def _exported(self):
        """The variables of the reader's shell."""
        names, _ = self._shell.run("env -0 | tr '\\0\\n' '\\n\\t'")
        return dict(line.split("=", 1) for line in names.splitlines() if "=" in line)

    def _here(self, text):
        return _replaced(text, self._printed)

    def _there(self, text):
        return _replaced(text, {real: printed for printed, real in self._printed.items()})


def _replaced(text, table):
    """Replaces all at once, so that nothing is replaced twice."""
    names = sorted(table, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), lambda found: table[found[0]], text)
