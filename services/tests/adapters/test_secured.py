"""Every component may be one that speaks TLS and wants to know who comes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from outcry.adapters.kafka import Brokers, KafkaJournal
from outcry.adapters.postgres import PgStore
from outcry.adapters.redis import RedisShared
from outcry.adapters.redis.channels import Channels
from outcry.adapters.redis.client import connect
from outcry.ports import OutOfService
from tests.support import secured
from tests.support.kafka import CLIENTS, kafka_journal, kafka_library


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> secured.Certificate:
    return secured.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def broker(tls: secured.Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with secured.kafka(tmp_path_factory.mktemp("broker"), tls) as servers:
        yield servers


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def brokers(servers: str, tls: secured.Certificate, password: str = secured.PASSWORD) -> Brokers:
    return Brokers(
        servers=servers, protocol="sasl_ssl", ca_file=str(tls.authority), mechanism="plain",
        username=secured.USER, password=password,
    )  # fmt: skip


async def test_the_journal_is_kept_over_tls_by_who_has_the_password(
    broker: str, tls: secured.Certificate, client: str
) -> None:
    async with kafka_journal(brokers(broker, tls), client=client) as journal:
        await journal.append([(1, b"frame")])
        assert [record.frame for record in await journal.read({1: 0}, 10, 5.0)] == [b"frame"]


async def test_who_has_another_password_is_kept_out_and_told_so(broker: str, tls: secured.Certificate) -> None:
    journal = KafkaJournal(brokers(broker, tls, "guess"), "orders", kafka_library("kafka"))
    with pytest.raises(OutOfService, match="Kafka at"):
        await asyncio.to_thread(journal.topic.id)
    await asyncio.to_thread(journal.topic.close)


def test_no_password_of_kafka_is_shown() -> None:
    assert "word" not in repr(Brokers(servers="here:9", password="word"))


@pytest.fixture
async def redis(tls: secured.Certificate, tmp_path: Path) -> AsyncIterator[str]:
    with secured.redis(tmp_path, tls) as url:
        yield url


async def test_state_and_channels_go_over_tls_with_a_password(redis: str) -> None:
    shared, client = RedisShared(redis), connect(redis, 30.0)
    heard: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
    ready = asyncio.Event()
    channels = Channels(redis, lambda channel, message: heard.put_nowait((channel, message)), ready.set)
    try:
        assert await shared.get("nothing") is None
        await channels.start(["news"])
        async with asyncio.timeout(30):
            await ready.wait()
            await client.publish("news", "said")
            assert await heard.get() == (b"news", b"said")
    finally:
        await channels.close()
        await client.aclose()
        await shared.close()


async def test_channels_that_redis_refuses_say_why(redis: str) -> None:
    channels = Channels(redis.replace("word", "guess"), lambda *_: None, lambda: None)
    try:
        await channels.start(["news"])
        assert channels.trouble.startswith("Redis refuses: WRONGPASS")
    finally:
        await channels.close()


async def test_a_redis_whose_certificate_nobody_vouches_for_is_not_believed(redis: str) -> None:
    shared = RedisShared(redis.partition("?")[0])
    with pytest.raises(OutOfService, match="certificate"):
        await shared.get("nothing")
    await shared.close()


async def test_the_ledger_is_kept_over_tls_with_a_password(tls: secured.Certificate) -> None:
    with secured.postgres(tls) as owner:
        with psycopg.connect(owner, autocommit=True) as server:
            server.execute(f"CREATE ROLE outcry_tls LOGIN SUPERUSER PASSWORD '{secured.PASSWORD}'".encode())
        place = owner.partition("@")[2]
        url = (
            f"postgresql://outcry_tls:{quote(secured.PASSWORD)}@{place}?sslmode=verify-full&sslrootcert={tls.authority}"
        )
        store = PgStore(url, topic="orders", lease_ms=6_000)
        await store.migrate()
        await store.open()
        try:
            assert await store.ledger.accounts() == []
            with psycopg.connect(owner) as server:
                found = server.execute(
                    "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'outcry_tls'"
                ).fetchall()
            assert set(found) == {(True,)}
        finally:
            await store.close()
