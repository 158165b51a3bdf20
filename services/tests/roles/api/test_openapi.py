"""The OpenAPI document and the reference say what the endpoint table says."""

import json
import re
from typing import Any

import pytest

from outcry.roles.api.endpoint import Endpoint, Param
from outcry.roles.api.openapi import document
from outcry.roles.api.reference import reference_page
from tests.support.gated import TABLE, say_params

DOCUMENT = document(TABLE)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, op) for path, found in DOCUMENT["paths"].items() for method, op in found.items()]


def test_every_row_of_the_table_is_described() -> None:
    described = {(method.upper(), path) for method, path, _ in operations()}
    assert {(e.method, e.path) for e in TABLE} <= described


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [op["operationId"] for _, _, op in operations()]
    assert len(names) == len(set(names))


def test_every_parameter_and_answer_has_an_example() -> None:
    for method, path, op in operations():
        for parameter in op.get("parameters", ()):
            assert "example" in parameter, (method, path, parameter["name"])


def test_signed_endpoints_ask_for_key_timestamp_and_signature() -> None:
    order = DOCUMENT["paths"]["/api/v3/order"]["post"]
    assert {"timestamp", "signature", "recvWindow"} <= {p["name"] for p in order["parameters"]}
    assert order["security"] == [{"key": []}]
    ping = DOCUMENT["paths"]["/api/v3/ping"]["get"]
    assert "security" not in ping and ping["parameters"] == []


def test_errors_have_the_shape_of_their_path() -> None:
    binance = DOCUMENT["paths"]["/api/v3/ping"]["get"]["responses"]["default"]["content"]
    native = DOCUMENT["paths"]["/v1/trades"]["get"]["responses"]["default"]["content"]
    assert (list(binance), list(native)) == (["application/json"], ["application/problem+json"])


def test_the_document_is_json() -> None:
    assert json.loads(json.dumps(DOCUMENT))["openapi"] == "3.1.0"


def test_the_reference_lists_every_endpoint_and_escapes_what_it_shows() -> None:
    odd = Endpoint(method="GET", path="/api/v3/<odd>", answer=say_params, params=(Param(name="a&b"),), tag="odd")
    page = reference_page((*TABLE, odd))
    assert "POST /v1/orders:batch" in page
    assert "/api/v3/&lt;odd&gt;" in page and "<odd>" not in page and "a&amp;b" in page


def test_the_contents_of_the_reference_lead_to_every_endpoint() -> None:
    page = reference_page(TABLE)
    targets = set(re.findall(r'<h3 id="([^"]+)">', page))
    assert targets == set(re.findall(r'<a href="#([^"]+)"><code>', page))
    assert len(targets) == len({(each.method, each.path) for each in TABLE if each.path})
    assert "`" not in page


@pytest.mark.parametrize("code", [-1121, -2010, -1021])
def test_problem_types_point_into_the_reference(code: int) -> None:
    assert f'id="error{code}"' in reference_page(TABLE)
