"""For the tests that play many short simulations: a Valkey that needn't survive a power cut, and reads that are repeated at once."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
import stamina

from didflow.ledger.connection import connect
from tests.support.memory_folder import memory_folder
from tests.support.simulation.simulation import Simulation
from worker.local.embedded_valkey import EmbeddedValkey


@pytest.fixture(scope="session")
def quick_embedded() -> Iterator[EmbeddedValkey]:
    with memory_folder() as folder, EmbeddedValkey(folder) as server:
        yield server


@pytest.fixture(scope="session")
def quick_server(quick_embedded: EmbeddedValkey) -> Iterator[redis.Redis]:
    client = connect(quick_embedded.url)
    # Thousands of simulations wait for the disk at every write otherwise; what these tests kill are workers, not the server.
    client.config_set("appendfsync", "no")
    yield client
    client.close()


@pytest.fixture
def quick_valkey(quick_server: redis.Redis) -> Iterator[redis.Redis]:
    with stamina.set_testing(True, attempts=2):
        yield quick_server


@pytest.fixture
def quick_url(quick_embedded: EmbeddedValkey) -> str:
    """Where `quick_valkey` is."""
    return quick_embedded.url


@pytest.fixture
def simulation_settings() -> dict[str, object]:
    """Settings of `simulation` that aren't the default. A test module overrides this fixture."""
    return {}


@pytest.fixture
def simulation(quick_valkey: redis.Redis, simulation_settings: dict[str, Any]) -> Iterator[Simulation]:
    simulation = Simulation(quick_valkey, **simulation_settings)
    yield simulation
    simulation.close()
