"""The compose file for people with Docker agrees with the chart, keeps what it has, and is reached from here alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "infra/compose/compose.yaml").read_text())["services"]


def charted() -> set[str]:
    """The images of the stores that the chart brings along."""
    values = yaml.safe_load((ROOT / "charts/outcry/values.yaml").read_text())
    redis = values["redis"]
    stores = (values["kafka"], values["postgresql"], redis["fanout"], redis["state"])
    return {f"{each['dev']['image']['repository']}:{each['dev']['image']['tag']}" for each in stores}


def test_its_images_are_those_of_the_chart() -> None:
    assert {each["image"] for each in SERVICES.values()} == charted()


@pytest.mark.parametrize("name", SERVICES)
def test_a_component_is_reached_from_this_machine_alone_and_says_when_it_is_there(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])
    assert SERVICES[name]["healthcheck"]["test"]


def test_the_journal_lies_in_a_volume() -> None:
    """The image would keep it in a folder that goes with the container."""
    kafka = SERVICES["kafka"]
    folders = [volume.partition(":")[2] for volume in kafka["volumes"]]
    assert any(kafka["environment"]["KAFKA_LOG_DIRS"].startswith(folder) for folder in folders)
