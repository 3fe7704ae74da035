"""GET System, authenticated, against a bare Falcon responder of the same size: `python bench/get_system.py [--seconds 5]`.

Both run under gunicorn with the same worker class and one worker, and are asked by the same eight clients in turns, so that the
machine's moods meet both.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
from harness import Figure, Report, parser, serve, tree, wait_for
from load import CLIENTS, Sample, measure, tool

GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"),
    *("--worker-connections", "20000", "--no-control-socket", "--log-level", "warning"),
]
BARE = """
import os, falcon
BODY = b'"' + b"x" * (int(os.environ["BENCH_SIZE"]) - 2) + b'"'
class Responder:
    def on_get(self, req, resp):
        resp.content_type = "application/json"
        resp.data = BODY
app = falcon.App()
app.add_route("/system", Responder())
"""
RATE, TAIL = 0.4, 3.0


@contextlib.contextmanager
def bare(size: int) -> Iterator[tuple[str, int]]:
    """A Falcon application that answers with ready bytes; gives its address and its process."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        (Path(folder) / "bare_responder.py").write_text(BARE)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/system"
        command = [*GUNICORN, "--bind", f"fd://{listener.fileno()}", "bare_responder:app"]
        environment = {**os.environ, "BENCH_SIZE": str(size)}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            wait_for(lambda: answers(address), 30)
            yield address, tree(process.pid)[-1]
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    """Whether the address answers."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False, timeout=2).is_success
    return False


def main() -> None:
    """Measures in turns and prints the ratios of the medians."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=int, default=4, help="of each measurement (4)")
    options.add_argument("--rounds", type=int, default=3, help="measurements of each kind (3)")
    options.add_argument(
        "--log-level", default="info", help="of the service (info, as installed; the bare responder logs nothing)"
    )
    given = options.parse_args()
    seconds, rounds, systems = (0.2, 1, 3) if given.tiny else (given.seconds, given.rounds, 100)
    report = Report("get_system")
    with serve(systems, HF_LOG_LEVEL=given.log_level) as service:
        url = service.url + service.members()[systems // 2]
        size = len(httpx.get(url, headers=service.headers, timeout=60, trust_env=False).raise_for_status().content)
        basic = {"Authorization": "Basic " + base64.b64encode(":".join(service.basic).encode()).decode()}
        api = service.process("hawkfish.api.wsgi:app")
        with bare(size) as (bare_url, bare_process):
            kinds = {
                "bare": (bare_url, service.headers, bare_process),
                "with a session": (url, service.headers, api),
                "with Basic": (url, basic, api),
            }
            samples: dict[str, list[Sample]] = {kind: [] for kind in kinds}
            for target, headers, process in kinds.values():
                measure(target, headers, min(1, seconds), process)
            for _ in range(rounds):
                for kind, (target, headers, process) in kinds.items():
                    samples[kind].append(measure(target, headers, seconds, process))
    report.note(clients=CLIENTS, bytes=size, asked_with=tool(), log_level=given.log_level)
    middle = {
        kind: [statistics.median(column) for column in zip(*map(_row, found), strict=True)]
        for kind, found in samples.items()
    }
    for kind in list(kinds)[1:]:
        rate, tail, cpu = middle[kind]
        bare_rate, bare_tail, bare_cpu = middle["bare"]
        report.add(Figure.at_least(f"GET System {kind}, rate", rate, bare_rate, "requests/s", RATE))
        report.add(Figure.at_most(f"GET System {kind}, p99", tail, bare_tail, "ms", TAIL))
        report.add(Figure.at_most(f"GET System {kind}, processor time", cpu, bare_cpu, "us", 1 / RATE))
    report.end()


def _row(sample: Sample) -> tuple[float, float, float]:
    return sample.rate, sample.p99_ms, sample.cpu_us


if __name__ == "__main__":
    main()
