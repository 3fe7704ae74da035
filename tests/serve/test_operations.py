"""What operators' tools ask of a service that really runs."""

import os
import re
import signal
import socket
import ssl

import httpx
import pytest

from tests.serve.conftest import Service, processes_of, until


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(
        tmp_path_factory.mktemp("operations") / "data", "--simulated-host", "lab:3", HF_TASK_LEASE_SECONDS="5"
    ).wait()
    yield running
    running.stop()


def metrics(service):
    answer = service.get("/metrics", auth=service.login)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    return dict(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$", answer.text, re.MULTILINE))


@pytest.mark.slow
def test_health_and_readiness_need_no_login(service):
    assert service.get("/healthz").json() == {"status": "ok"}
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["checks"] == {"database": "ok", "schema": "ok", "worker": "ok"}


@pytest.mark.slow
def test_a_service_without_a_worker_is_not_ready_and_says_so(service):
    (worker,) = processes_of(service.data_dir)["worker"]
    os.kill(worker, signal.SIGSTOP)
    try:
        answer = until(lambda: (found := service.get("/readyz")).status_code == 503 and found, what="the lease's end")
        assert answer.json()["checks"]["worker"] == "none is running"
        assert service.get("/healthz").status_code == 200, "the API itself answers, and must not be restarted"
    finally:
        os.kill(worker, signal.SIGCONT)
    # It has lost its lease meanwhile, so that it ends itself and the supervisor starts another.
    until(lambda: service.get("/readyz").status_code == 200, what="a new worker")


@pytest.mark.slow
def test_metrics_take_a_login_and_count_what_happened_in_all_processes(service):
    assert service.get("/metrics").status_code == 401
    before = metrics(service)
    assert before['hawkfish_systems{power="Off"}'] == "3.0"
    assert before['hawkfish_hosts{state="Up"}'] == "1.0"
    assert (before["hawkfish_workers"], before["hawkfish_stale_systems"]) == ("1.0", "0.0")
    systems = service.get("/redfish/v1/Systems", auth=service.login).json()["Members"]
    route = 'hawkfish_http_requests_total{method="GET",route="/redfish/v1/Systems",status="200"}'
    after = metrics(service)
    assert float(after[route]) == float(before.get(route, 0)) + 1

    target = f"{service.ready['url']}{systems[0]['@odata.id']}/Actions/ComputerSystem.Reset"
    trust = ssl.create_default_context(cafile=service.ready["ca_file"])
    assert httpx.post(target, json={"ResetType": "On"}, auth=service.login, verify=trust, timeout=60).status_code in {
        202,
        204,
    }
    ended = 'hawkfish_tasks_ended_total{kind="system.power-on",state="Completed"}'
    until(lambda: ended in metrics(service), what="the count of the worker's work")
    assert any(name.startswith('hawkfish_host_sweep_seconds_count{host="lab"') for name in metrics(service))
    assert systems[0]["@odata.id"].rpartition("/")[2] not in str(metrics(service)), "an id would be a series of its own"


@pytest.mark.slow
def test_unknown_addresses_make_one_series(service):
    for number in range(3):
        service.get(f"/redfish/v1/nothing/{number}", auth=service.login)
    found = [name for name in metrics(service) if "nothing" in name]
    assert not found
    assert any('route="none"' in name for name in metrics(service))


@pytest.mark.slow
def test_systemd_is_told_of_the_start_and_the_end(tmp_path):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        service = Service(tmp_path / "data", NOTIFY_SOCKET=str(address))
        try:
            assert manager.recv(64) == b"READY=1"
            service.wait()
            assert service.get("/readyz").status_code == 200
        finally:
            service.stop()
        assert manager.recv(64) == b"STOPPING=1"
