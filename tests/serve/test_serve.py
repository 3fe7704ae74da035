"""`hawkfish serve` as its users meet it: what it makes, says, survives and leaves behind."""

import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time

import httpx
import pytest

from tests.serve.conftest import processes_of, until

pytestmark = pytest.mark.slow


def refusal(service):
    """The one line with which a start is refused."""
    service.process.communicate(timeout=60)
    assert service.process.returncode == 1
    lines = service.error_file.read_text().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_the_first_start_makes_all_and_the_second_reuses_it(serve):
    service = serve("--simulated-host", "lab:2").wait()
    ready = service.ready
    assert sorted(ready) == ["ca_file", "password", "pid", "url", "username"]
    assert ready["url"].startswith("https://127.0.0.1:")
    assert ready["username"] == "admin"
    assert ready["pid"] == service.process.pid
    assert stat.S_IMODE(service.ready_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(service.data_dir.stat().st_mode) == 0o711
    assert stat.S_IMODE((service.data_dir / "hawkfish.db").stat().st_mode) == 0o600
    assert ready["password"] not in (service.data_dir / "ready.json").read_text()

    assert service.get("/redfish/v1/Systems").status_code == 401
    systems = service.get("/redfish/v1/Systems", auth=service.login).json()
    assert systems["Members@odata.count"] == 2

    code, said = service.stop()
    assert code == 0
    assert said.count(ready["password"]) == 1
    assert ready["password"] not in service.error_file.read_text()
    assert "Try next" in said
    assert "This host is simulated" in service.error_file.read_text(), (
        "what is to be known of a host is said at the start"
    )
    assert not (service.data_dir / "ready.json").exists()
    assert processes_of(service.data_dir) == {}

    again = serve("--simulated-host", "lab:2").wait()
    assert again.ready["password"] is None
    systems = again.get("/redfish/v1/Systems", auth=("admin", ready["password"])).json()
    assert systems["Members@odata.count"] == 2
    _, said = again.stop()
    assert "password" not in said


def test_plain_http_with_a_given_password(serve):
    service = serve("--no-tls", HF_ADMIN_PASSWORD="given-by-me-1").wait()
    assert service.ready["url"].startswith("http://127.0.0.1:")
    assert service.ready["ca_file"] is None
    assert service.ready["password"] == "given-by-me-1"
    assert service.get("/redfish/v1/Systems", auth=service.login).status_code == 200
    for pids in processes_of(service.data_dir).values():
        for pid in pids:
            if pid != service.process.pid:
                with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123  not a file of the disk
                    assert b"given-by-me-1" not in environment.read()
    _, said = service.stop()
    assert "given-by-me-1" not in said + service.error_file.read_text()
    assert "WARNING" not in service.error_file.read_text()


def test_clear_text_off_loopback_is_warned_of_loudly(serve):
    service = serve("--no-tls", "--bind", "0.0.0.0:0").wait()
    assert "*** WARNING ***" in service.error_file.read_text()
    service.stop()


def test_what_speaks_no_tls_gets_no_answer_and_leaves_no_traceback(serve):
    service = serve().wait()
    context = ssl.create_default_context(cafile=service.ready["ca_file"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert httpx.get(service.ready["url"] + "/redfish", verify=context, timeout=60).status_code == 200
    address = ("127.0.0.1", int(service.ready["url"].rpartition(":")[2]))
    with socket.create_connection(address) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = client.recv(100)
        assert b"HTTP" not in answer
    service.stop()
    assert "Traceback" not in service.error_file.read_text()


def test_a_second_service_on_the_same_data_is_refused(serve):
    first = serve("--no-tls").wait()
    second = serve("--no-tls")
    line = refusal_of_second(first, second)
    assert "runs already" in line
    assert first.ready["url"] in line
    assert first.get("/redfish").status_code == 200


def refusal_of_second(first, second):
    second.process.communicate(timeout=60)
    assert second.process.returncode == 1
    return first.error_file.read_text().splitlines()[-1]


def test_a_port_in_use_is_one_line(serve):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refusal(serve("--bind", f"127.0.0.1:{port}"))
    assert line.startswith("hawkfish serve: Port")
    assert str(port) in line


def test_a_data_directory_that_cannot_be_written_is_one_line(serve, tmp_path):
    (tmp_path / "file").write_text("")
    line = refusal(serve("--data-dir", str(tmp_path / "file" / "data")))
    assert "cannot be written" in line


def test_a_bad_setting_is_one_line(serve):
    assert "HOST:PORT" in refusal(serve("--bind", "nonsense"))


def test_killed_processes_come_back_and_simulated_machines_live_on(serve):
    service = serve("--no-tls", "--simulated-host", "lab:1").wait()
    (member,) = service.get("/redfish/v1/Systems", auth=service.login).json()["Members"]
    path = member["@odata.id"]
    httpx.post(
        f"{service.ready['url']}{path}/Actions/ComputerSystem.Reset",
        json={"ResetType": "On"},
        auth=service.login,
        timeout=60,
    ).raise_for_status()
    power = lambda: service.get(path, auth=service.login).json()["PowerState"]  # noqa: E731
    until(lambda: power() == "On", what="power on")

    before = processes_of(service.data_dir)
    for victim in ("worker", "gunicorn"):
        for pid in before[victim]:
            os.kill(pid, signal.SIGKILL)

    def back():
        now = processes_of(service.data_dir)
        return all(now.get(name) and not set(now[name]) & set(before[name]) for name in ("worker", "gunicorn")) and now

    now = until(back, what="the restart")
    assert now["builtin.simulated.server"] == before["builtin.simulated.server"]

    def answers():
        try:
            return service.get("/redfish").status_code == 200
        except httpx.HTTPError:
            return False

    until(answers, what="an answer")
    assert power() == "On"
    began = time.monotonic()
    code, _ = service.stop()
    assert code == 0
    assert time.monotonic() - began < 25, "nobody is waited for without end"
    assert processes_of(service.data_dir) == {}


def test_a_killed_supervisor_leaves_nothing_behind(serve):
    service = serve("--no-tls", "--simulated-host", "lab:1").wait()
    service.process.kill()
    service.process.communicate()
    until(lambda: processes_of(service.data_dir) == {}, what="the end of all processes")
    again = serve("--no-tls").wait()
    assert again.get("/redfish").status_code == 200


def test_plain_gunicorn_serves_the_api_from_variables(serve, tmp_path):
    service = serve("--no-tls", HF_ADMIN_PASSWORD="given-by-me-1").wait()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        gunicorn = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"),
                *("--bind", f"fd://{listener.fileno()}", "--no-control-socket", "hawkfish.api.wsgi:app"),
            ],
            env={**os.environ, "HF_DATA_DIR": str(service.data_dir), "HF_TLS": "false"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
        )
        try:
            answer = httpx.get(f"{address}/redfish/v1/Systems", auth=service.login, timeout=60)
            assert answer.status_code == 200
        finally:
            gunicorn.terminate()
            _, errors = gunicorn.communicate(timeout=60)
    assert b"Traceback" not in errors
