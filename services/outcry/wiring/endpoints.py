"""The table of all endpoints that an api serves."""

from typing import Final

from outcry.roles.api import account, adminapi, batch, lists, marketdata, native, sapi, trading
from outcry.roles.api.endpoint import Endpoint
from outcry.roles.stream import listenkeys

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *marketdata.ENDPOINTS,
    *account.ENDPOINTS,
    *trading.ENDPOINTS,
    *lists.ENDPOINTS,
    *batch.ENDPOINTS,
    *sapi.ENDPOINTS,
    *native.ENDPOINTS,
    *adminapi.ENDPOINTS,
    *listenkeys.ENDPOINTS,
)
