"""The table of read endpoints: nothing missing, nothing twice, every row explained."""

import json

import pytest

from outcry.roles.api.app import table_of
from outcry.roles.api.endpoint import PUBLIC
from outcry.roles.api.openapi import document
from tests.support.reads import ENDPOINTS

METHODS = {
    "ping", "time", "exchangeInfo", "depth", "trades.recent", "trades.historical", "trades.aggregate", "klines",
    "uiKlines", "avgPrice", "ticker", "ticker.24hr", "ticker.tradingDay", "ticker.price", "ticker.book",
    "account.status", "account.commission", "account.rateLimits.orders", "order.status", "openOrders.status",
    "allOrders", "orderList.status", "openOrderLists.status", "allOrderLists", "myTrades", "myPreventedMatches",
    "myAllocations", "myFilters", "order.amendments",
}  # fmt: skip


def test_every_documented_method_is_there_once() -> None:
    methods = [endpoint.ws for endpoint in ENDPOINTS if endpoint.ws]
    assert len(methods) == len(set(methods))
    assert set(methods) >= METHODS


def test_no_path_is_there_twice() -> None:
    table_of(ENDPOINTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_read_is_a_get_with_a_summary(endpoint: object) -> None:
    assert getattr(endpoint, "method", "") == "GET"
    assert getattr(endpoint, "summary", "")


def test_what_belongs_to_an_account_is_signed() -> None:
    private = {e.path for e in ENDPOINTS if e.security != PUBLIC}
    public = {e.path for e in ENDPOINTS if e.security == PUBLIC}
    assert {"/api/v3/account", "/api/v3/order", "/v1/portfolio", "/sapi/v1/asset/tradeFee"} <= private
    assert {"/api/v3/depth", "/v1/symbols", "/v1/trades", "/api/v3/historicalTrades"} <= public


def test_the_reference_can_be_written_from_the_table() -> None:
    paths = json.loads(json.dumps(document(ENDPOINTS)))["paths"]
    assert "example" in paths["/v1/portfolio"]["get"]["responses"]["200"]["content"]["application/json"]
