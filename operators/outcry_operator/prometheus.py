"""Asks Prometheus for one number.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

import json
import math
from typing import Final
from urllib.parse import urlencode

import urllib3

from outcry_operator.observation import Total

ANSWER_SECONDS: Final = 5.0
MAX_SERIES: Final = 1  # a total is one number: more series are a query that is not finished


def ask(http: urllib3.PoolManager, address: str, query: str, now_ms: int) -> Total:
    """The value of a query that has one, or why it has none."""
    url = f"{address.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer = http.request("GET", url, timeout=ANSWER_SECONDS, retries=False)
        said = json.loads(answer.data)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as trouble:
        return Total(None, now_ms, f"Prometheus does not answer: {trouble}")
    if answer.status != 200 or said.get("status") != "success":
        return Total(None, now_ms, f"Prometheus answers {answer.status}: {said.get('error', '')}")
    return _total(said["data"], now_ms)


def _total(found: dict[str, object], now_ms: int) -> Total:
    result = found.get("result")
    if found.get("resultType") == "vector" and isinstance(result, list):
        if len(result) != MAX_SERIES:
            return Total(None, now_ms, f"the query answers {len(result)} series, not one")
        result = result[0].get("value")
    if not isinstance(result, list) or len(result) != 2:
        return Total(None, now_ms, f"the query answers a {found.get('resultType')}, not one number")
    at_seconds, text = result
    value = float(text)
    if not math.isfinite(value):
        return Total(None, now_ms, f"the query answers {text}")
    return Total(max(value, 0.0), round(float(at_seconds) * 1000))
