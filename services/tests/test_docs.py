"""What the documentation names exists: settings, endpoints, codes, links, verbs and tests."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcry.cli import _parser
from outcry.roles.api.endpoint import Endpoint
from outcry.roles.api.openapi import SERVICE
from outcry.roles.api.orderform import ORDER_PARAMS
from outcry.roles.stream.session import SESSION_METHODS
from outcry.settings import ClusterSettings, described
from outcry.wiring.endpoints import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
WIRE = (ROOT / "docs/wire.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "services/outcry").rglob("*.py"))

ROW = re.compile(r"^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \|(.*)\|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"```.*?```", re.DOTALL)
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s|(/])outcry ([a-z]+)((?: [^\n|&#;]+)?)", re.MULTILINE)
BINANCE_CODE = re.compile(r"(?<![\w.])-[12]\d{3}\b")

Parser = argparse.ArgumentParser


def rows_of_wire() -> dict[tuple[str, str], list[str]]:
    """The rows of endpoint tables: (method, path) -> the other cells."""
    return {(m[1], m[2]): [cell.strip() for cell in m[3].split("|")] for m in ROW.finditer(WIRE)}


def weight_shown(endpoint: Endpoint) -> str:
    """How a fixed weight is written, "" where the weight depends on the parameters."""
    return str(endpoint.weight) if isinstance(endpoint.weight, int) else ""


def actions_of(parser: Parser) -> dict[str, Parser]:
    """The sub-parsers of a parser by name."""
    return {
        name: sub for each in parser._actions if isinstance(each.choices, dict) for name, sub in each.choices.items()
    }


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Every command line of `outcry` that stands in a page's code: the verb and the words after it."""
    for block, inline in CODE.findall(page.read_text()):
        for verb, rest in COMMAND.findall(block or inline):
            yield verb, rest.split()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as on GitHub."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_page_of_settings_is_true() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    told = {
        cells[0].strip("`"): (cells[2], cells[1].strip("`"))
        for line in text.splitlines()
        if line.startswith("| `")
        for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    }
    assert told == {each.name: (each.rule, each.default) for each in [*described(), *described(ClusterSettings)]}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_every_endpoint_stands_in_the_page_of_the_wire(endpoint: Endpoint) -> None:
    method, who, weight, params = rows_of_wire()[(endpoint.method, endpoint.path)]
    assert method.strip("`") == endpoint.ws
    assert who == endpoint.security
    assert weight.startswith(weight_shown(endpoint)) and weight
    named = set(re.findall(r"`(\w+)\*?`", params))
    if "#order-parameters" in params:
        named |= {param.name for param in ORDER_PARAMS}
    assert named <= {param.name for param in endpoint.params}
    assert {param.name for param in endpoint.params if param.required} <= named


def test_the_page_of_the_wire_names_no_endpoint_that_is_not_there() -> None:
    there = {(each.method, each.path) for each in ENDPOINTS} | {("GET", path) for path in SERVICE}
    assert set(rows_of_wire()) == there


def test_every_method_of_a_websocket_session_is_told() -> None:
    assert {name for name in SESSION_METHODS if f"`{name}`" not in WIRE} == set()


def test_the_page_of_the_wire_tells_exactly_the_codes_that_are_given() -> None:
    given = {code for path in SOURCES for code in BINANCE_CODE.findall(path.read_text())}
    assert set(BINANCE_CODE.findall(WIRE)) == given


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_and_option_that_is_named_exists(page: Path) -> None:
    verbs = actions_of(_parser())
    for verb, words in commands(page):
        assert verb in verbs, f"outcry {verb}"
        parser = verbs[verb]
        actions = actions_of(parser)
        if actions and words:
            assert words[0] in actions, f"outcry {verb} {words[0]}"
            parser = actions[words[0]]
        for option in [word.partition("=")[0] for word in words if word.startswith("--")]:
            assert option in parser._option_string_actions, f"outcry {verb} {option}"


def test_every_test_that_is_named_exists() -> None:
    written = "\n".join(path.read_text() for path in (ROOT / "services/tests").rglob("test_*.py"))
    known = set(re.findall(r"^(?:async )?def (test_\w+)", written, re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text())}
    assert named and named <= known
