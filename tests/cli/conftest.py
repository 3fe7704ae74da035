import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PASSWORD = "Wq7-plum-Oyster-19"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No settings, contexts or services but the test's own."""
    for name in list(os.environ):
        if name.startswith("HF_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HF_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def contexts_file(home):
    return home / "config" / "hawkfish" / "contexts.json"


@pytest.fixture
def logged_in(monkeypatch):
    """The fake service by its address, with credentials in the environment."""
    monkeypatch.setenv("HF_URL", "https://hawkfish.test:8443")
    monkeypatch.setenv("HF_USERNAME", "admin")
    monkeypatch.setenv("HF_PASSWORD", PASSWORD)


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A real service with a simulated host, which answers everything with 202 first."""
    folder = tmp_path_factory.mktemp("service")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables |= {"HF_ADMIN_PASSWORD": PASSWORD, "HF_SYNC_WAIT_MS": "0"}
    command = [sys.executable, "-m", "hawkfish.cli.main", "serve", "--data-dir", str(folder), "--bind", "127.0.0.1:0"]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--simulated-host", "sim1"], env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
    ready = folder / "ready.json"
    deadline = time.monotonic() + 120
    while not ready.exists():
        assert process.poll() is None, (folder / "serve.log").read_text()
        assert time.monotonic() < deadline, (folder / "serve.log").read_text()
        time.sleep(0.1)
    yield json.loads(ready.read_text()) | {"data_dir": str(folder)}
    process.send_signal(signal.SIGTERM)
    process.wait(60)


@pytest.fixture
def hawkfish(service, home):
    """Runs the real command against the real service, as a user of the same machine."""
    variables = {**os.environ, "HF_DATA_DIR": service["data_dir"]}
    program = Path(sys.executable).with_name("hawkfish")

    def call(*argv, stdin="", **more):
        return subprocess.run(
            [str(program), *argv],
            input=stdin,
            env=variables | more,
            capture_output=True,
            text=True,
            timeout=200,
            cwd=home,
            check=False,
        )

    call.variables = variables
    call.program = str(program)
    done = call("login", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    return call
