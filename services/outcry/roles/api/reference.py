"""The reference at ``/docs``: every endpoint with its parameters and example, and every error, as one plain page."""

from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec

from outcry.roles.api.endpoint import PUBLIC, Endpoint, Param
from outcry.roles.api.openapi import ABOUT
from outcry.roles.api.page import html_page, table

ERRORS: Final = (
    (-1000, "A mistake of the exchange itself; its log has the cause."),
    (-1003, "Too much request weight is used, or the address is banned for a while."),
    (-1007, "The outcome is not known yet: ask for the order by its client order id."),
    (-1008, "The exchange is overloaded and nothing was done; try again."),
    (-1013, "A filter of the symbol failed, or the request is too large or too slow."),
    (-1015, "Too many new orders."),
    (-1020, "There is no such path or method."),
    (-1021, "The timestamp is outside of recvWindow, or ahead of the server's clock."),
    (-1022, "The signature does not fit the request."),
    (-1098, "The Idempotency-Key was used with another payload."),
    (-1099, "A request with this Idempotency-Key is in progress."),
    (-1100, "A parameter holds characters that it may not."),
    (-1101, "A parameter was sent twice, or too many were sent."),
    (-1102, "A mandatory parameter is missing, empty or malformed."),
    (-1103, "A parameter that is not known here was sent."),
    (-1105, "A parameter is empty."),
    (-1106, "A parameter was sent that is not required."),
    (-1108, "A number is too large."),
    (-1111, "A number has too many decimals."),
    (-1115, "The time in force is not one of GTC, IOC, FOK."),
    (-1116, "The order type is not known."),
    (-1117, "The side is neither BUY nor SELL."),
    (-1120, "The interval is not known."),
    (-1121, "The symbol is not listed."),
    (-1128, "These optional parameters do not go together."),
    (-1130, "A parameter's value is not valid."),
    (-1131, "recvWindow is above 60000."),
    (-1135, "The JSON cannot be read."),
    (-1151, "A symbol is in the list twice."),
    (-2010, "The order was refused; the text says why."),
    (-2011, "The cancel was refused; the text says why."),
    (-2013, "There is no such order."),
    (-2014, "The API key is missing or malformed."),
    (-2015, "The API key is not known, or not allowed to do this from here."),
    (-2021, "Of a cancel-replace, one half failed."),
    (-2022, "A cancel-replace failed."),
)


def reference_page(endpoints: Sequence[Endpoint]) -> str:
    """The whole page."""
    served = [e for e in endpoints if e.path]
    tags = list(dict.fromkeys(e.tag for e in served))
    contents, sections = [], []
    for tag in tags:
        own = [e for e in served if e.tag == tag]
        contents.append(f"<h3>{escape(tag.capitalize())}</h3><ul>{''.join(map(_link, own))}</ul>")
        sections.append(f"<h2>{escape(tag.capitalize())}</h2>{''.join(map(_section, own))}")
    about = "".join(f"<p>{_marked(part)}</p>" for part in ABOUT.split("\n\n"))
    errors = "".join(f'<li id="error{code}"><code>{code}</code> {escape(text)}</li>' for code, text in ERRORS)
    links = '<p><a href="/">Status</a> · <a href="/openapi.json">OpenAPI</a> · <a href="#errors">Errors</a></p>'
    return html_page(
        "Outcry reference",
        f"<h1>Reference</h1>{about}{links}{''.join(contents)}{''.join(sections)}"
        f'<h2 id="errors">Errors</h2><ul>{errors}</ul>',
    )


def _name(endpoint: Endpoint) -> str:
    return f"{escape(endpoint.method)} {escape(endpoint.path)}"


def _anchor(endpoint: Endpoint) -> str:
    return escape(f"{endpoint.method} {endpoint.path}".replace(" ", "-"))


def _link(endpoint: Endpoint) -> str:
    return f'<li><a href="#{_anchor(endpoint)}"><code>{_name(endpoint)}</code></a> {_marked(endpoint.summary)}</li>'


def _marked(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return "".join(f"<code>{escape(p)}</code>" if i % 2 else escape(p) for i, p in enumerate(text.split("`")))


def _section(endpoint: Endpoint) -> str:
    weight = str(endpoint.weight) if isinstance(endpoint.weight, int) else "by parameters"
    notes = [f"weight {weight}"]
    if endpoint.security != PUBLIC:
        notes.append(f"needs a key with scope {endpoint.security}" if endpoint.security != "key" else "needs a key")
    if endpoint.ws:
        notes.append(f"WebSocket API: {endpoint.ws}")
    params = table(("parameter", "kind", "values"), [_row(p) for p in endpoint.params]) if endpoint.params else ""
    example = ""
    if endpoint.example is not None:
        shown = msgspec.json.format(msgspec.json.encode(endpoint.example)).decode()
        example = f"<pre>{escape(shown)}</pre>"
    return (
        f'<h3 id="{_anchor(endpoint)}"><code>{_name(endpoint)}</code></h3>'
        f"<p>{_marked(endpoint.summary)} ({escape('; '.join(notes))})</p>{params}{example}"
    )


def _row(param: Param) -> list[str]:
    words = ", ".join(param.values) or param.note
    if param.default is not None:
        words += f" (default {param.default})"
    if param.high is not None:
        words += f" (at most {param.high})"
    return [param.name, f"{param.kind}, mandatory" if param.required else param.kind, words.strip()]
