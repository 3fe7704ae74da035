"""`FailAt(n)` fails the call that it is told to, when it is told to, and nothing else."""

import time
from uuid import uuid4

import pytest

from hawkfish.builtin.directory_pool import DirectoryPool
from hawkfish.domain.storage import VolumeFormat, VolumeSpec
from hawkfish.errors import BackendError, BackendTimeout, HawkFishError, HostUnavailable
from hawkfish.plugins.compute import ComputeDriver, HostStorage, PoolHost, SupportsConsole, SupportsReset
from hawkfish.plugins.context import PoolConfig
from hawkfish.plugins.storage import StoragePool, SupportsClone
from hawkfish.testing.faults import FailAt, Moment, broken, every_failure, refused, timed_out, unreachable
from hawkfish.testing.simulator import in_process_simulator, plugin_context

SPEC = VolumeSpec(name="one", capacity_bytes=2**20, format=VolumeFormat.RAW)


@pytest.fixture
def driver(tmp_path):
    with in_process_simulator(tmp_path) as simulator:
        driver = simulator.driver("simulated:///rack1", "ours")
        yield driver
        driver.close()


@pytest.fixture
def pool_host(driver, tmp_path):
    return PoolHost(id=uuid4(), name="rack1", storage=driver, data_dir=tmp_path)


@pytest.fixture
def pool(tmp_path, pool_host):
    made = DirectoryPool(PoolConfig(id="1", name="p"), plugin_context(tmp_path, "ours"))
    made.prepare(pool_host)
    return made


def test_what_is_wrapped_stays_what_it_is(driver, pool):
    wrapped, wrapped_pool = FailAt(99).wrap(driver), FailAt(99).wrap(pool)
    assert isinstance(wrapped, ComputeDriver)
    assert isinstance(wrapped, HostStorage)
    assert isinstance(wrapped, SupportsReset)
    assert not isinstance(wrapped, SupportsConsole)
    assert isinstance(wrapped_pool, StoragePool)
    assert isinstance(wrapped_pool, SupportsClone)
    assert wrapped_pool.formats == pool.formats
    assert not hasattr(wrapped, "open_console")


def test_a_call_that_fails_before_does_nothing(pool, pool_host):
    fault = FailAt(2)
    wrapped = fault.wrap(pool)
    assert wrapped.find(pool_host, "one") is None
    assert not fault.fired
    with pytest.raises(BackendTimeout):
        wrapped.create(pool_host, SPEC)
    assert pool.find(pool_host, "one") is None
    assert wrapped.create(pool_host, SPEC).name == "one", "the fault has passed"
    assert fault.fired
    assert fault.calls == ["find", "create", "create"]


def test_a_call_that_fails_after_has_acted(pool, pool_host):
    with pytest.raises(HostUnavailable):
        FailAt(1, moment=Moment.AFTER, error=unreachable).wrap(pool).create(pool_host, SPEC)
    assert pool.find(pool_host, "one") is not None


def test_an_outage_lasts(pool, pool_host):
    wrapped = FailAt(1, times=2, error=refused).wrap(pool)
    for _ in range(2):
        with pytest.raises(BackendError):
            wrapped.find(pool_host, "one")
    assert wrapped.find(pool_host, "one") is None


def test_what_is_read_in_pieces_breaks_off(pool, pool_host):
    pool.create(pool_host, VolumeSpec(name="large", capacity_bytes=16 * 2**20, format=VolumeFormat.RAW))
    pieces = FailAt(1, moment=Moment.AFTER).wrap(pool).download(pool_host, "large")
    assert next(pieces)
    with pytest.raises(BackendTimeout):
        next(pieces)


def test_a_call_hangs_up_to_its_deadline(pool, pool_host):
    begun = time.monotonic()
    with pytest.raises(BackendTimeout):
        FailAt(1, hang=0.2).wrap(pool).find(pool_host, "one")
    assert time.monotonic() - begun >= 0.2


def test_what_is_spared_neither_counts_nor_fails(driver):
    fault = FailAt(1, spare={"list_machines"})
    wrapped = fault.wrap(driver)
    wrapped.list_machines()
    wrapped.close()
    assert fault.calls == []


def test_one_count_for_several_objects(driver, pool, pool_host):
    fault = FailAt(2, error=broken)
    fault.wrap(pool).find(pool_host, "one")
    with pytest.raises(RuntimeError, match="list_machines met a bug"):
        fault.wrap(driver).list_machines()


def test_every_call_of_a_work_fails_once(pool, pool_host):
    seen = []
    for fault in every_failure(errors=(timed_out, refused)):
        wrapped = fault.wrap(pool)
        try:
            wrapped.create(pool_host, SPEC)
            wrapped.delete(pool_host, "one")
        except HawkFishError as error:
            assert fault.fired
            seen.append((fault.moment, type(error), fault.calls[-1]))
        pool.delete(pool_host, "one")
    assert seen == [
        (moment, error, call)
        for moment in Moment
        for error in (BackendTimeout, BackendError)
        for call in ("create", "delete")
    ]


def test_work_that_calls_nothing_is_found_out():
    with pytest.raises(AssertionError, match="called nothing"):
        list(every_failure())


def test_a_fault_shows_what_it_is(pool, pool_host):
    fault = FailAt(1, moment=Moment.AFTER)
    with pytest.raises(BackendTimeout):
        fault.wrap(pool).find(pool_host, "one")
    assert "timed_out after find, call 1" in repr(fault)
