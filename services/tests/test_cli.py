"""The command line explains itself, and every error names its cause and the remedy."""

import asyncio
import json
import os
import sqlite3
from pathlib import Path

import pytest

from outcry import __version__
from outcry.cli import _actor, main
from tests.support.inprocess import running
from tests.support.venue import start_exchange


def test_without_a_verb_it_shows_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "outcry up" in shown and "outcry verify" in shown


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"outcry {__version__}\n"
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"outcry {__version__}\n"


@pytest.mark.parametrize(
    "words",
    ["", "up", "verify", "replay", "accounts", "accounts deposit", "keys create", "symbols halt", "audit list"],
)
def test_every_verb_has_a_help_page(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    assert "usage: outcry" in capsys.readouterr().out


def test_the_help_of_up_lists_every_environment_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    shown = capsys.readouterr().out
    for name in ("OUTCRY_LIMITS", "SIMULATION_ENABLED", "SIMULATION_ORDERS_PER_SEC", "OUTCRY_DATA_DIR"):
        assert name in shown


def test_an_unknown_verb_is_a_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trade"])
    assert ended.value.code == 2
    assert "trade" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["verify", "replay", "accounts list", "keys list", "symbols halt BTCUSD"])
def test_a_directory_without_an_exchange_is_named(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--data", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "There is no exchange in" in said and "outcry up" in said
    assert not (tmp_path / "none").exists()


def test_a_replay_that_differs_from_the_ledger_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def found() -> None:
        async with running(tmp_path):
            pass

    asyncio.run(found())
    assert main(["replay", "--data", str(tmp_path)]) == 0
    assert "differ" not in capsys.readouterr().err
    with sqlite3.connect(tmp_path / "outcry.db") as ledger:
        ledger.execute("UPDATE engine_partition SET state_hash = state_hash + 1 WHERE part = 2")
    ledger.close()
    assert main(["replay", "--data", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out.count("equal to the ledger") == 3 and shown.out.count("DIFFERENT") == 1
    assert "1 of 4 partitions differ" in shown.err and "outcry verify" in shown.err


def test_a_wrong_environment_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTCRY_LIMITS", "loose")
    assert main(["up", "--data", str(tmp_path / "new")]) == 2
    assert "OUTCRY_LIMITS is 'loose', but must be one of binance, high, off" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_taken_port_is_told_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["up", "--data", str(tmp_path / "new"), "--port", str(port)]) == 1
    assert f"Port {port} on 127.0.0.1 is taken" in (said := capsys.readouterr().err) and "--port" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 70])
def test_an_address_of_another_machine_is_told_with_the_remedy(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--data", str(tmp_path / "new"), "--port", "0", "--host", host]) == 1
    assert f"{host} cannot be listened on" in (said := capsys.readouterr().err) and "--host" in said
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_directory_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").touch()
    assert main(["up", "--data", str(tmp_path / "data"), "--port", "0"]) == 1
    assert "is no directory" in capsys.readouterr().err


def test_verify_says_what_it_did_not_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def found() -> None:
        async with running(tmp_path):
            pass

    asyncio.run(found())
    assert main(["verify", "--data", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "  NOT checked  streams: the exchange is not running, so there is no stream to follow\n" in shown
    assert shown.endswith("Every invariant that was checked holds.\n")
    assert main(["verify", "--data", str(tmp_path), "--no-streams", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["problems"], report["unchecked"]) == (True, [], ["streams: left out as asked"])


def test_verify_finds_the_streams_of_the_running_exchange(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchange = start_exchange(tmp_path, simulation=False)
    try:
        assert main(["verify", "--data", str(tmp_path)]) == 0
    finally:
        exchange.kill()
    shown = capsys.readouterr().out
    assert "clients followed 8 symbols" in shown and shown.endswith("Every invariant holds.\n")


def test_a_cluster_may_be_named_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "url").write_text("postgresql://nobody@127.0.0.1:1/none\n")
    monkeypatch.setenv("OUTCRY_POSTGRES_FILE", str(tmp_path / "url"))
    monkeypatch.delenv("OUTCRY_POSTGRES", raising=False)
    for name in ("OUTCRY_KAFKA", "OUTCRY_REDIS_FANOUT", "OUTCRY_REDIS_STATE"):
        monkeypatch.setenv(name, "127.0.0.1:1")
    assert main(["accounts", "list"]) == 1
    assert "There is no exchange in" not in capsys.readouterr().err


def test_a_user_without_a_name_acts_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert _actor(None) == f"user {os.getuid()}"
    assert _actor("ann") == f"ann as user {os.getuid()}"
