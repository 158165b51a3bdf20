"""Topics of their own for tests that need a real Kafka."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator

import pytest

from outcry.adapters.kafka import Brokers, KafkaJournal, Library, library_named

PARTITIONS = 4
CLIENTS = {"kafka": "kafka-python", "confluent": "confluent"}  # the settings' names, by the tests' ids


def kafka_servers() -> str:
    """Where the tests' Kafka is; without one the test is skipped, in CI it fails."""
    return component("OUTCRY_KAFKA")


def component(variable: str) -> str:
    """A real component's address from the environment."""
    found = os.environ.get(variable, "")
    if not found:
        reason = (
            f"{variable} names no component: run the tests with `make test`, or start it with infra/local/components.py"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def kafka_library(client: str) -> Library:
    """The client library of this id; where it is not installed the test is skipped, in CI it fails."""
    try:
        return library_named(CLIENTS[client])
    except ModuleNotFoundError as missing:
        reason = f"{missing}: install requirements/confluent.txt, which `make setup-test` does"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextlib.asynccontextmanager
async def kafka_journal(
    brokers: Brokers | None = None, partitions: int = PARTITIONS, *, client: str = "kafka"
) -> AsyncIterator[KafkaJournal]:
    """A journal on a new topic, which is deleted at the end."""
    journal = KafkaJournal(
        brokers or Brokers(servers=kafka_servers()), f"test-{secrets.token_hex(6)}", kafka_library(client)
    )
    await asyncio.to_thread(journal.topic.create, partitions, 1, 7)
    await journal.open(partitions)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.topic.delete)
        await journal.close()
