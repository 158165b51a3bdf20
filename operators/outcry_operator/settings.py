"""The environment, read once at start; every problem is reported at once."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

TEXT: Final = "text"
JSON: Final = "json"
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(Exception):
    """The environment is wrong; the message lists every problem."""


class Variable(NamedTuple):
    """One variable: its field, its name, how its text is read, what is allowed, its default and its meaning."""

    field: str
    name: str
    read: Callable[[str], Any]
    rule: str
    default: str
    about: str


class Settings(NamedTuple):
    """What the operator is told at start."""

    namespace: str
    release: str
    pod: str
    lease: str
    listen_host: str
    listen_port: int
    admin_token_file: str
    engine_lease_seconds: int
    crds: str
    log_format: str
    log_level: str


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return read


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(text)
        return text.lower()

    return read


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not 0 <= int(port) <= 65_535:
        raise ValueError(text)
    return host.strip("[]") or "0.0.0.0", int(port)


VARIABLES: Final = (
    Variable("namespace", "OPERATOR_NAMESPACE", str, "a namespace", "", "Where it works; in a pod: its own namespace"),
    Variable("release", "OPERATOR_RELEASE", str, "a release", "",
             "Only objects with this label app.kubernetes.io/instance; without it all of the namespace"),
    Variable("pod", "OPERATOR_POD", str, "a name", "", "What it calls itself in the Lease; the host's name otherwise"),
    Variable("lease", "OPERATOR_LEASE", str, "a name", "outcry-operator",
             "The Lease that one operator at a time holds"),
    Variable("listen", "OPERATOR_LISTEN", _address, "host:port", "0.0.0.0:9100", "Probes, metrics and pools"),
    Variable("admin_token_file", "OPERATOR_ADMIN_TOKEN_FILE", str, "a file", "",
             "The token for writes on the pods' admin ports; read each time, without it nobody can be drained"),
    Variable("engine_lease_seconds", "OPERATOR_ENGINE_LEASE_SECONDS", _whole(1, 600),
             "a whole number from 1 to 600", "6", "How long engines' leases run (OUTCRY_LEASE_SECONDS of the engines)"),
    Variable("crds", "OPERATOR_CRDS", str, "a folder", "/usr/share/outcry/crds",
             "Where `apply-crds` finds the resources"),
    Variable("log_format", "OPERATOR_LOG_FORMAT", _one_of(TEXT, JSON), "text or json", "text", "How log lines look"),
    Variable("log_level", "OPERATOR_LOG_LEVEL", _one_of("debug", "info", "warning", "error"),
             "debug, info, warning or error", "info", "What is logged"),
)  # fmt: skip


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment. Raises SettingsError."""
    problems: list[str] = []
    found: dict[str, Any] = {}
    for variable in VARIABLES:
        text = environment.get(variable.name) or variable.default
        try:
            found[variable.field] = variable.read(text)
        except ValueError:
            problems.append(f"{variable.name} must be {variable.rule}, not {text!r}.")
    found["namespace"] = found["namespace"] or _own_namespace()
    if not found["namespace"]:
        problems.append("OPERATOR_NAMESPACE names no namespace, and this is no pod that has one.")
    if problems:
        raise SettingsError("\n".join(problems))
    host, port = found.pop("listen")
    return Settings(**(found | {"pod": found["pod"] or os.uname().nodename, "listen_host": host, "listen_port": port}))


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
