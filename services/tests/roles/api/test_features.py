"""Features are switched off by files, while everything goes on."""

import logging
from pathlib import Path

import pytest

from outcry.roles.api.errors import Refusal
from outcry.roles.api.features import AMEND, BATCH, FEATURES, Features
from outcry.roles.api.gate import RawRequest
from outcry.wiring.endpoints import ENDPOINTS
from tests.support.gated import gated


def flags(folder: Path, **words: str) -> Features:
    for name, word in words.items():
        (folder / name).write_text(word)
    features = Features(str(folder))
    features.look()
    return features


def test_without_a_folder_every_feature_is_on() -> None:
    features = Features()
    features.look()
    assert features.off == frozenset()


def test_a_file_that_says_false_switches_off_and_true_on_again(tmp_path: Path) -> None:
    features = flags(tmp_path, batch="false\n", amend="TRUE")
    assert features.off == {BATCH}
    (tmp_path / BATCH).write_text("true")
    features.look()
    assert features.off == frozenset()


def test_a_file_that_says_nothing_known_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    features = flags(tmp_path, batch="false", amend="true")
    for name in (BATCH, AMEND):
        (tmp_path / name).write_text("perhaps")
    for _ in range(3):
        features.look()
    assert features.off == {BATCH}
    assert sum("must say true or false, not 'perhaps'" in said for said in caplog.messages) == 2


def test_a_feature_whose_file_is_gone_is_on(tmp_path: Path) -> None:
    features = flags(tmp_path, batch="false")
    (tmp_path / BATCH).unlink()
    features.look()
    assert features.off == frozenset()


def test_unknown_features_and_a_missing_folder_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "..data").mkdir()  # what Kubernetes keeps beside the files
    with caplog.at_level(logging.ERROR):
        flags(tmp_path, bach="false")
        Features(str(tmp_path / "away")).look()
    assert ["'bach'" in caplog.messages[0], "is not there" in caplog.messages[1]] == [True, True]
    assert len(caplog.messages) == 2


def test_every_feature_is_that_of_an_endpoint_and_none_is_unknown() -> None:
    assert {endpoint.feature for endpoint in ENDPOINTS} - {""} == FEATURES.keys()


async def test_what_is_switched_off_is_refused_before_anything_else(tmp_path: Path) -> None:
    async with gated(tmp_path) as front:
        endpoint = next(each for each in ENDPOINTS if each.path == "/api/v3/klines")
        request = RawRequest(query=b"symbol=BTCUSD&interval=1m", client_ip="10.0.0.1")
        await front.gate.rest(endpoint, request)
        (tmp_path / "flags").mkdir()
        front.gate.venue.features = flags(tmp_path / "flags", klines="false")
        with pytest.raises(Refusal) as refused:
            await front.gate.rest(endpoint, request)
        assert (refused.value.status, refused.value.code) == (503, -1016)
