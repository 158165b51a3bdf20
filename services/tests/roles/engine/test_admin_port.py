"""The engine's admin port: each example that an operator is built to, replayed, and what the calls bring about."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from outcry.adapters.sqlite import lease, results
from outcry.roles.admin.port import AdminPort, AdminServer, Identity
from outcry.roles.api.server import bound_socket
from outcry.roles.engine import progress
from outcry.roles.engine.admin import EngineAdmin
from outcry.roles.engine.witness import WINDOW
from outcry.telemetry import Telemetry
from tests.support.fleet import Fleet, fleet

PATIENCE_SECONDS = 30.0
EXAMPLES = sorted((Path(__file__).parent / "admin_port").glob("*.json"))
TOKEN = {"Authorization": "Bearer open sesame"}


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lease, results):
        monkeypatch.setattr(module, "LEASE_MS", 1_000)


class Pods:
    """Two engines with their admin ports; the first owns both partitions when they begin."""

    def __init__(self, engines: Fleet, token_file: Path) -> None:
        self.engines = engines
        self.http: dict[str, httpx.AsyncClient] = {}
        self.ports: dict[str, AdminPort] = {}
        self._token_file = token_file

    async def launch(self, pod: str, **more: Any) -> None:
        engine = await self.engines.launch(pod, **more)
        admin = EngineAdmin(engine, Identity(pod), self.engines.room.clock)
        self.ports[pod] = AdminPort(
            admin.routes, telemetry=Telemetry(), token_file=str(self._token_file), is_alive=admin.why_not_alive,
            is_ready=admin.why_not_ready,
        )  # fmt: skip
        transport = httpx.ASGITransport(app=cast(Any, self.ports[pod]), raise_app_exceptions=True)
        self.http[pod] = httpx.AsyncClient(transport=transport, base_url="http://pod", headers=TOKEN)

    async def until_member(self, pod: str, other: str) -> None:
        """Waits until one engine knows another."""
        sharing = self.engines.engines[pod].sharing
        await self.engines.room.until(lambda: other in {member.pod for member in sharing.table.members})

    async def ask(self, pod: str, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http[pod].request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def told(self, pod: str, fits: Callable[[Any], bool], path: str = "/v1/status") -> Any:
        """What a pod says once it fits: it looks at the leases and the log's end now and then."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not fits(said := await self.ask(pod, "GET", path)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return said


@contextlib.asynccontextmanager
async def two_pods(folder: Path) -> AsyncIterator[Pods]:
    token_file = folder / "token"
    token_file.write_text("open sesame\n")
    async with fleet(folder, 2) as engines:
        pods = Pods(engines, token_file)
        await pods.launch("engine-0")
        yield pods
        for http in pods.http.values():
            await http.aclose()


def is_up_to_date(status: Any) -> bool:
    """Whether an engine has seen the ends of its partitions' logs, and its leases a moment ago."""
    lags = [row["end_offset"] - row["next_offset"] for row in status["owned"] if row["next_offset"]]
    return len(lags) == 2 and {*lags} <= {-1, 0, 1} and bool(status["leases_age_ms"] < 1_000)


def digests(hashes: Any) -> set[tuple[int, str]]:
    """The windows of a partition's events by where they begin, with their hashes."""
    return {(each["from_offset"], each["digest"]) for each in hashes["windows"]}


def same_shape(example: Any, real: Any) -> bool:
    """Whether a real answer has the fields and types of the example; null stands for any type."""
    if isinstance(example, dict):
        return isinstance(real, dict) and [*example] == [*real] and all(same_shape(example[k], real[k]) for k in real)
    if isinstance(example, list):
        return isinstance(real, list) and all(same_shape(example[0], each) for each in real)
    return example is None or real is None or type(example) is type(real)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_the_real_engine_answers_as_the_examples_say(path: Path, tmp_path: Path) -> None:
    example = json.loads(path.read_text())
    async with two_pods(tmp_path) as pods:
        await pods.launch("engine-1", claim="reserved")
        await pods.until_member("engine-0", "engine-1")
        request = example["request"]
        answer = await pods.http["engine-0"].request(request["method"], request["path"], json=request.get("body"))
        assert answer.status_code == example["status"], answer.text
        assert same_shape(example["body"], answer.json()), answer.json()
        if "error" in example["body"]:
            assert answer.json() == example["body"]


async def test_status_tells_what_is_owned_and_how_far_it_is(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        await pods.engines.assert_answered(await pods.engines.load(0.3))
        await pods.engines.room.caught_up()
        status = await pods.told("engine-0", is_up_to_date)
        assert [(row["partition"], row["state"]) for row in status["owned"]] == [(0, "running"), (1, "running")]
        assert {row["owner"] for row in status["leases"]} == {"engine-0/1"}
        await pods.engines.room.journal([pods.engines.room.order("buy 1@1", order_id=9_999, valid_until_ms=1 << 50)])
        await pods.engines.room.until(lambda: 0 in pods.engines.engines["engine-0"].halted)
        status = await pods.told("engine-0", lambda status: status["leases"][0]["halted"])
        halted = status["owned"][0]
        assert (halted["state"], "9999" in halted["reason"]) == ("halted", True)
        assert [row["halted"] for row in status["leases"]] == [True, False]
        await pods.engines.mend(0)
        await pods.engines.room.until(lambda: pods.engines.engines["engine-0"].halted == {})
        await pods.engines.room.caught_up()


async def test_a_release_moves_one_partition_to_the_pod_that_is_named(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        await pods.launch("engine-1", claim="reserved")
        await pods.until_member("engine-0", "engine-1")
        asked = await pods.ask("engine-0", "POST", "/v1/partitions/1/release", {"to": "engine-1"})
        assert asked == {"partition": 1, "to": "engine-1", "done": False}
        await pods.engines.until_owned(**{"engine-0": 1, "engine-1": 1})
        await pods.told("engine-0", lambda status: status["leases"][1]["owner"] == "engine-1/1")
        again = await pods.ask("engine-0", "POST", "/v1/partitions/1/release", {"to": "engine-1"})
        assert again == {"partition": 1, "to": "engine-1", "done": True}
        other = await pods.http["engine-0"].post("/v1/partitions/1/release", json={"to": "engine-0"})
        assert other.status_code == 409, "it is not this engine's any more"


async def test_a_drain_says_when_it_began_however_often_it_is_asked_for_and_can_be_taken_back(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        first = await pods.ask("engine-0", "POST", "/v1/drain")
        await asyncio.sleep(0.01)
        assert await pods.ask("engine-0", "POST", "/v1/drain") == first
        assert first["remaining"] == [0, 1]
        await pods.launch("engine-1")
        await pods.engines.until_owned(**{"engine-0": 0, "engine-1": 2})
        assert (await pods.ask("engine-0", "POST", "/v1/drain"))["remaining"] == []
        assert (await pods.ask("engine-0", "DELETE", "/v1/drain"))["draining_since_ms"] is None
        await pods.engines.until_owned(**{"engine-0": 1, "engine-1": 1})
        pods.engines.engines["engine-1"].sharing.drain(7, for_good=True)
        assert (await pods.ask("engine-1", "DELETE", "/v1/drain"))["draining_since_ms"] == 7


async def test_owner_and_shadow_hash_the_same_events(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        await pods.launch("engine-1", claim="reserved")
        await pods.ask("engine-0", "GET", "/v1/hashes?partition=0")
        await pods.ask("engine-1", "PUT", "/v1/shadow", {"partitions": [0]})
        canary = pods.engines.engines["engine-1"]
        await pods.engines.room.until(lambda: canary.copies.ready == (0,))
        sent: list[int] = []
        while len(sent) < 2 * 4 * WINDOW:
            sent += await pods.engines.load(0.5)
        await pods.engines.assert_answered(sent)
        own = digests(await pods.ask("engine-0", "GET", "/v1/hashes?partition=0"))
        told = await pods.told("engine-1", lambda told: len(own & digests(told)) >= 2, "/v1/hashes?partition=0")
        seen = [dict(own), dict(digests(told))]
        assert all(seen[0][offset] == seen[1][offset] for offset in seen[0].keys() & seen[1].keys())
        assert len(set(seen[0].values())) == len(seen[0])
        assert canary.sessions == {}, "a shadow owns nothing"


async def test_only_who_has_the_token_may_write(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        http = pods.http["engine-0"]
        for given in ({"Authorization": "Bearer wrong"}, {"Authorization": "open sesame"}, {"Authorization": ""}):
            assert (await http.post("/v1/drain", headers=given)).status_code == 401
        (tmp_path / "token").write_text("changed")
        assert (await http.post("/v1/drain")).status_code == 401, "the file is read again"
        (tmp_path / "token").write_text("\n")
        assert (await http.post("/v1/drain", headers={"Authorization": "Bearer "})).status_code == 403
        assert not pods.engines.engines["engine-0"].sharing.me.draining
        assert (await http.get("/v1/status", headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/v1/nothing", b"", 404),
        ("PATCH", "/v1/drain", b"", 405),
        ("PUT", "/v1/shadow", b"{", 400),
        ("PUT", "/v1/shadow", b"\xff", 400),
        ("PUT", "/v1/shadow", b"[]", 400),
        ("PUT", "/v1/shadow", b'{"partitions": ["0"]}', 400),
        ("PUT", "/v1/shadow", b'{"partitions": [true]}', 400),
        ("PUT", "/v1/shadow", b" " * 70_000, 413),
        ("POST", "/v1/partitions/0/release", b"", 400),
        ("POST", "/v1/partitions/0/release", b'{"to": 7}', 400),
        ("POST", "/v1/partitions/9999999999999/release", b'{"to": "x"}', 400),
        ("GET", "/v1/hashes", b"", 400),
        ("GET", "/v1/hashes?partition=-1", b"", 400),
        ("GET", "/v1/hashes?partition=\xb2", b"", 400),
    ],
)
async def test_what_cannot_be_carried_out_is_refused(
    tmp_path: Path, method: str, path: str, content: bytes, status: int
) -> None:
    async with two_pods(tmp_path) as pods:
        answer = await pods.http["engine-0"].request(method, path, content=content)
        assert answer.status_code == status
        assert answer.json()["error"]


async def test_readiness_latches_and_a_stalled_engine_is_not_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_pods(tmp_path) as pods:
        http, engine = pods.http["engine-0"], pods.engines.engines["engine-0"]
        assert (await http.get("/readyz")).status_code == 200
        assert b"outcry_memory_bytes" in (await http.get("/metrics")).content
        monkeypatch.setattr(progress, "STALL_SECONDS", 0.2)
        stuck = asyncio.Event()
        engine.ledger_of_test = engine._ledger  # type: ignore[attr-defined]

        class Stuck:
            async def commit(self, parts: Any) -> set[int]:
                await stuck.wait()
                return cast(set[int], await engine.ledger_of_test.commit(parts))  # type: ignore[attr-defined]

        engine._ledger = cast(Any, Stuck())
        load = await pods.engines.load(0.2)
        await pods.engines.room.until(lambda: engine.dead)
        assert (await http.get("/livez")).status_code == 503
        assert (await http.get("/readyz")).status_code == 200
        stuck.set()
        await pods.engines.assert_answered(load)
        await pods.engines.room.until(lambda: not engine.dead)
        assert (await http.get("/livez")).status_code == 200


async def test_the_port_is_served_on_a_socket(tmp_path: Path) -> None:
    async with two_pods(tmp_path) as pods:
        listener = bound_socket("127.0.0.1", 0)
        server = AdminServer(pods.ports["engine-0"])
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/readyz")
        assert answer.text == "ok"
        server.should_exit = True
        await serving
