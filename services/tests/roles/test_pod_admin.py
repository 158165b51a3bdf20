"""The admin port of a pod with clients: its load, and a drain that can be taken back."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from outcry.roles.admin.pod import PodAdmin
from outcry.roles.admin.port import AdminPort, Identity
from outcry.telemetry import Telemetry
from tests.support.storage import START_MS, HandClock


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text("secret\n")
    return str(path)


class Pod:
    """A pod with three clients, whose drains are noted."""

    def __init__(self, token_file: str, *, drains: bool = True) -> None:
        self.clock = HandClock()
        self.drains: list[bool] = []
        admin = PodAdmin(
            Identity("stream-0", "u1", "canary", "r7"), self.clock, connections=lambda: 3, queue_depth=lambda: 5,
            on_drain=self.drains.append if drains else None,
        )  # fmt: skip
        self.port = AdminPort(admin.routes, telemetry=Telemetry(), token_file=token_file)

    async def ask(self, method: str, path: str) -> tuple[int, Any]:
        transport = httpx.ASGITransport(app=self.port)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
            answer = await client.request(method, path, headers={"Authorization": "Bearer secret"})
        return answer.status_code, answer.json()


async def test_a_pod_tells_who_it_is_and_how_loaded(token_file: str) -> None:
    assert await Pod(token_file).ask("GET", "/v1/status") == (
        200,
        {
            "pod": "stream-0", "uid": "u1", "track": "canary", "revision": "r7", "draining_since_ms": None,
            "connections": 3, "queue_depth": 5,
        },
    )  # fmt: skip


async def test_a_drain_begins_once_tells_its_first_time_and_can_be_taken_back(token_file: str) -> None:
    pod = Pod(token_file)
    begun = (200, {"draining_since_ms": START_MS, "connections": 3})
    assert await pod.ask("POST", "/v1/drain") == begun
    pod.clock.ms += 1_000
    assert await pod.ask("POST", "/v1/drain") == begun
    assert await pod.ask("DELETE", "/v1/drain") == (200, {"draining_since_ms": None, "connections": 3})
    assert pod.drains == [True, False]


async def test_a_pod_that_holds_nothing_has_no_drain(token_file: str) -> None:
    assert (await Pod(token_file, drains=False).ask("POST", "/v1/drain"))[0] == 404
