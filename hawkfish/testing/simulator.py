"""A simulator for tests: in a thread with its socket, so that drivers are made by the plugin's own factory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hawkfish.builtin.simulated.control import SimulatorControl
from hawkfish.builtin.simulated.driver import SimulatedDriver
from hawkfish.builtin.simulated.server import Server
from hawkfish.builtin.simulated.sessions import Simulator
from hawkfish.builtin.simulated.settings import SOCKET_NAME, STATE_NAME
from hawkfish.builtin.simulated.transport import InProcessTransport
from hawkfish.plugins.config_fields import SecretReference
from hawkfish.plugins.context import HostConfig, PluginContext

_START_SECONDS = 30.0


def plugin_context(data_dir: Path, installation_id: str, call_timeout: float = 30.0) -> PluginContext:
    """A context for drivers and pools under test; it has no secrets."""

    def read_secret(reference: SecretReference) -> str:
        raise KeyError(f"a test has no secret {reference!r}")

    return PluginContext(
        installation_id=installation_id, data_dir=data_dir, call_timeout=call_timeout, read_secret=read_secret
    )


@contextmanager
def running_simulator(data_dir: Path) -> Iterator[SimulatorControl]:
    """A simulator in a thread, at the place in `data_dir` where drivers look for it; gives its control."""
    started: Future[tuple[Server, asyncio.AbstractEventLoop]] = Future()

    async def serve() -> None:
        server = Server(data_dir / SOCKET_NAME, data_dir / STATE_NAME)
        loop = asyncio.get_running_loop()
        await server.serve(lambda: started.set_result((server, loop)))

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the start
            if not started.done():
                started.set_exception(error)

    thread = threading.Thread(target=run, name="simulator", daemon=True)
    thread.start()
    server, loop = started.result(_START_SECONDS)
    try:
        with SimulatorControl(data_dir / SOCKET_NAME) as control:
            yield control
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join(_START_SECONDS)


@dataclass
class InProcessSimulator:
    """A simulator without a socket, whose clock the test turns.

    Attributes:
        simulator: The simulator; touch it through `call_soon` of `loop` only.
        loop: Its event loop, in a thread of its own.
        clock: Its one item is the time that the simulator sees, in seconds since the epoch.
        data_dir: Where it keeps its files.
    """

    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    data_dir: Path
    clock: list[float]

    def driver(self, uri: str, installation_id: str) -> SimulatedDriver:
        """An opened driver for a host."""
        driver = SimulatedDriver(
            HostConfig(id=uri, name=uri, uri=uri),
            plugin_context(self.data_dir, installation_id),
            lambda greeting, host, feed: InProcessTransport(self.simulator, self.loop, greeting, host, feed),
        )
        driver.open()
        return driver

    def advance(self, seconds: float) -> None:
        """Turns the clock, and returns when everything that became due has happened."""

        async def turn() -> None:
            self.clock[0] += seconds
            self.simulator.tick()

        asyncio.run_coroutine_threadsafe(turn(), self.loop).result(_START_SECONDS)


@contextmanager
def in_process_simulator(data_dir: Path, now: float = 1_700_000_000.0) -> Iterator[InProcessSimulator]:
    """A simulator within the test, with a clock that stands until it is turned."""
    clock = [now]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    simulator = Simulator(data_dir / STATE_NAME, data_dir / "simulated", lambda: clock[0])
    try:
        yield InProcessSimulator(simulator, loop, data_dir, clock)
    finally:
        loop.call_soon_threadsafe(simulator.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_SECONDS)
        loop.close()
