"""A secret is shown once: no log, no answer, no metric and no file has it afterwards; time does not tell keys apart."""

import hmac
import logging
from pathlib import Path
from typing import Any

import pytest

from outcry.roles.admin.control import ask_running
from outcry.telemetry.logs import JsonLines
from tests.support.gated import gated
from tests.support.inprocess import running
from tests.support.notebook import Notebook
from tests.test_traces import ORDER


async def test_a_secret_is_nowhere_but_in_its_first_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    book = Notebook(sample=1.0)
    async with running(tmp_path, tracer=book.tracer) as (_, client):
        key = await ask_running(tmp_path, "keys.create", {"account": 1001, "actor": "tester"})
        canary, master = key["secret"], (tmp_path / "master.key").read_bytes()
        client.key, client.secret = key["key"], canary
        assert (await client.signed("GET", "/api/v3/account"))[0] == 200
        assert (await client.signed("POST", "/api/v3/order", **ORDER))[0] == 200
        client.secret = canary[:-1]
        assert (await client.signed("GET", "/api/v3/account"))[0] == 400
        told = [await ask_running(tmp_path, verb, {}) for verb in ("keys.list", "audit.list")]
        pages = [
            (await client.http.get(path)).text for path in ("/metrics", "/api/metrics", "/api/health/detailed", "/docs")
        ]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and path.name != "master.key")
    logged = "\n".join(map(JsonLines("pod", "up").format, caplog.records))
    spans = "\n".join(span.to_json() for span in book.spans)
    assert "order" in spans and logged
    for text in (repr(told), caplog.text, logged, spans, *pages):
        assert canary not in text and master.hex() not in text
    assert canary.encode() not in written and bytes.fromhex(canary) not in written and master not in written


async def test_an_unknown_key_costs_the_work_of_a_bad_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[bytes] = []
    digest = hmac.digest

    def counted(key: Any, payload: Any, name: Any) -> bytes:
        digests.append(payload)
        return digest(key, payload, name)

    async with gated(tmp_path) as front:
        signed = front.signed("symbol=BTCUSD&side=BUY&quantity=0.10")[:-1] + "x"
        monkeypatch.setattr(hmac, "digest", counted)
        bad = await front.ask("POST", "/api/v3/order", signed)
        first = digests.copy()
        unknown = await front.ask("POST", "/api/v3/order", signed, headers={"X-MBX-APIKEY": "nobodys-key-1"})
    assert (bad.json()["code"], unknown.json()["code"]) == (-1022, -2015)
    assert len(first) == 1 and digests == first * 2
