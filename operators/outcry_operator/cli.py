"""The command ``outcry-operator``."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from outcry_operator import __version__, kube, logs
from outcry_operator.kube import Cluster, Object, Trouble
from outcry_operator.running import Operator
from outcry_operator.settings import VARIABLES, Settings, SettingsError, read_settings

OK, FAILED, MISUSED = 0, 1, 2
CRD_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0 done, 1 it failed, 2 it was not understood."""
    parser = _parser()
    given = parser.parse_args(list(sys.argv[1:] if argv is None else argv))
    if given.verb == "version":
        print(__version__)
        return OK
    try:
        if given.verb == "apply-crds":
            return _apply_crds(given.folder)
        return _run(read_settings(os.environ))
    except SettingsError as trouble:
        print(trouble, file=sys.stderr)
        return MISUSED
    except Trouble as trouble:
        print(f"outcry-operator: {trouble}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    variables = "\n".join(f"  {each.name:30} {each.about} ({each.default or 'not set'})" for each in VARIABLES)
    parser = argparse.ArgumentParser(
        "outcry-operator",
        description="Scales the workloads of an Outcry release and tries its new revisions.",
        epilog=f"environment:\n{variables}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="verb")
    verbs.add_parser("run", help="look after a release until stopped (the default)")
    crds = verbs.add_parser(
        "apply-crds", help="bring the resources ScalePolicy and CanaryRelease to this release's version"
    )
    crds.add_argument("folder", nargs="?", default=os.environ.get("OPERATOR_CRDS") or _default("OPERATOR_CRDS"))
    verbs.add_parser("version", help="print the version")
    return parser


def _default(name: str) -> str:
    return next(each.default for each in VARIABLES if each.name == name)


def _run(settings: Settings) -> int:
    logs.begin(settings.log_level, settings.log_format)
    operator = Operator(kube.connect(), settings)
    ends = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.set())
    operator.start()
    log.info("outcry-operator %s looks after namespace %s", __version__, settings.namespace)
    while not ends.wait(1.0):
        if not operator.runs:
            log.error("The loop has ended by itself")
            operator.stop()
            return FAILED
    operator.stop()
    return OK


def _apply_crds(folder: str) -> int:
    found = crds_of(Path(folder))
    cluster = kube.connect()
    for each in found:
        apply_crd(cluster, each)
        print(f"{each['metadata']['name']} is applied")
    return OK


def crds_of(folder: Path) -> list[Object]:
    """The resource definitions of a folder. Raises SettingsError."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise SettingsError(f"There are no resource definitions in {folder}. OPERATOR_CRDS names the folder.")
    found: list[Object] = []
    for file in files:
        try:
            each: Any = msgspec.yaml.decode(file.read_bytes())
        except (msgspec.DecodeError, OSError) as wrong:
            raise SettingsError(f"{file} cannot be read: {wrong}") from None
        if not isinstance(each, dict) or each.get("kind") != "CustomResourceDefinition":
            raise SettingsError(f"{file} is no CustomResourceDefinition.")
        found.append(each)
    return found


def apply_crd(cluster: Cluster, crd: Object, *, wait_seconds: float = 30.0) -> None:
    """Applies one definition and waits until it is served. Raises Trouble."""
    path = f"{CRD_PATH}/{crd['metadata']['name']}"
    cluster.apply(path, crd)
    until = time.monotonic() + wait_seconds
    while True:
        conditions = (cluster.get(path).get("status") or {}).get("conditions") or []
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            return
        if time.monotonic() > until:
            raise kube.Unreachable(
                f"{crd['metadata']['name']} is applied, and after {wait_seconds:g} s still not served"
            )
        time.sleep(0.2)
