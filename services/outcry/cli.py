"""The command ``outcry``: one verb for each thing an operator does."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from outcry import __version__, wiring
from outcry.ports import Damaged, OutcomeUnknown, OutOfService
from outcry.roles import match
from outcry.roles.admin.rules import Refused
from outcry.roles.admin.verbs import Result
from outcry.settings import (
    ClientSettings,
    ClusterSettings,
    SettingsError,
    described,
    read_settings,
    settings_of,
)
from outcry.wiring import at_cluster, roles

OK, FAILED, MISUSED = 0, 1, 2

ROLES = {
    "setup": "make a cluster ready: schema, topic, and the demo venue where it is wanted",
    "api": "run an api process of a cluster: orders, questions, the WebSocket API",
    "engine": "run an engine process of a cluster: matches its share of the partitions",
    "stream": "run a stream process of a cluster: the clients of market streams",
    "simulate": "run the simulated crowd against a cluster",
}

FIRST_STEPS = """\
first steps:
  outcry up                         start an exchange in ./data and trade on http://127.0.0.1:8080
  curl 127.0.0.1:8080/api/v3/trades?symbol=BTCUSD
  outcry accounts list              who trades there
  outcry verify                     prove that no money and no order was lost

The exchange speaks the Binance Spot wire protocol: point a bot's base URL at it.
`outcry VERB --help` explains a verb; `outcry up --help` lists the environment variables."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0 done, 1 it failed, 2 it was not understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["match"]:
        return match.main(words[1:])
    parser = _parser()
    given = parser.parse_args(words)
    if not hasattr(given, "run"):
        parser.print_help()
        return OK
    try:
        return int(given.run(given))
    except SettingsError as trouble:
        return _complain(str(trouble), MISUSED)
    except (Refused, Damaged, OutOfService, wiring.InUse) as trouble:
        return _complain(str(trouble), FAILED)
    except OutcomeUnknown as trouble:
        return _complain(f"{trouble} The change may or may not have been written: list before you try again.", FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except PermissionError as trouble:
        return _complain(f"{trouble.filename}: permission denied. Run as the user who owns the directory.", FAILED)
    except (FileExistsError, NotADirectoryError) as trouble:
        return _complain(f"{trouble.filename} is no directory. Name another with --data.", FAILED)
    except OSError as trouble:
        return _complain(f"{trouble.filename or 'The system says'}: {trouble.strerror}.", FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _up(given: argparse.Namespace) -> int:
    settings = read_settings(os.environ, data_dir=given.data, port=given.port, host=given.host)
    return wiring.serve(settings, _progress)


def _role(given: argparse.Namespace) -> int:
    changes = {name: getattr(given, name) for name in ("port", "host", "admin_port") if hasattr(given, name)}
    kind = ClientSettings if given.verb == "simulate" else ClusterSettings
    settings = read_settings(os.environ, kind, **changes)
    run: Callable[[ClusterSettings, Callable[[str], None]], int] = getattr(roles, given.verb)
    return run(settings, _progress)


def _setup(given: argparse.Namespace) -> int:
    settings = read_settings(os.environ, ClusterSettings)
    if given.elsewhere:
        return roles.setup_elsewhere(settings, _progress)
    return roles.setup(settings, _progress, given.patience)


def _try(given: argparse.Namespace) -> int:
    return roles.trial(read_settings(os.environ, ClientSettings), _progress)


def _restore(given: argparse.Namespace) -> int:
    done = at_cluster.restore(read_settings(os.environ, ClusterSettings), _progress)
    print(f"{done.put_back} of {done.looked_at} orders without an outcome had lost their hold, and have it again.")
    _progress("Now let the halted partitions go on: outcry resume PARTITION. Then prove the rest: outcry verify.")
    return OK


def _verify(given: argparse.Namespace) -> int:
    report = wiring.verify(
        settings_of(os.environ, given.data), _silent if given.json else _progress, streams=not given.no_streams
    )
    status = FAILED if report.problems or report.gave_up else OK
    if given.json:
        found = {"checked": report.checked, "unchecked": report.unchecked, "problems": report.problems}
        print(json.dumps({"ok": status == OK, **found}))
        return status
    for word, lines in (("checked", report.checked), ("NOT checked", report.unchecked), ("BROKEN", report.problems)):
        for line in lines:
            print(f"  {word:<11}  {line}")
    print(report.verdict)
    return status


def _replay(given: argparse.Namespace) -> int:
    done = wiring.replay(settings_of(os.environ, given.data), given.partition, _progress)
    for each in done:
        print(each.line)
    different = sum(not each.equal for each in done)
    if different:
        return _complain(f"{different} of {len(done)} partitions differ; `outcry verify` says in which rows.", FAILED)
    return OK


def _version(given: argparse.Namespace) -> int:
    print(f"outcry {__version__}")
    return OK


def _admin(given: argparse.Namespace) -> int:
    hidden = ("run", "verb", "action", "data", "json", "person", "approve", "lost")
    params = {name: value for name, value in vars(given).items() if name not in hidden and value is not None}
    params["actor"] = _actor(getattr(given, "person", None))
    result, running = wiring.administer(settings_of(os.environ, given.data), f"{given.verb}.{given.action}", params)
    if given.json:
        print(json.dumps(result))
    else:
        _show(result)
    if given.verb == "symbols" and given.action != "list" and not running:
        _progress("The exchange is not running: this takes effect when it starts.")
    return OK


def _actor(person: str | None) -> str:
    """Who acts: this user, or a person by name at this user's keyboard."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        user = f"user {os.getuid()}"
    return f"{person} as {user}" if person else user


def _skip(given: argparse.Namespace) -> int:
    """Shows what stands at a place of the log or what is missing, or approves that it is passed over."""
    if given.lost:
        return _give_up(given)
    if not given.approve:
        given.action = "commands"
        del given.index, given.reason
    elif given.offset is None or given.index is None or given.reason is None:
        return _complain("an approval names OFFSET, INDEX and --reason", MISUSED)
    return _admin(given)


def _give_up(given: argparse.Namespace) -> int:
    """What a partition of a cluster has lost of its log."""
    if given.approve and given.reason is None:
        return _complain("an approval names --reason", MISUSED)
    params = {name: getattr(given, name) for name in ("partition", "approve", "reason")}
    settings = read_settings(os.environ, ClusterSettings)
    result = at_cluster.give_up(settings, params | {"actor": _actor(given.person)}, _progress)
    if given.json:
        print(json.dumps(result))
    else:
        _show(result)
    return OK


def _show(result: Result) -> None:
    """Rows as a table, a single thing as its fields."""
    if "rows" not in result:
        width = max(map(len, result), default=0)
        for name, value in result.items():
            print(f"{name:<{width}}  {value}")
        return
    rows: list[dict[str, Any]] = result["rows"]
    if not rows:
        print("none")
        return
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(f"{name.upper():<{width}}" for name, width in widths.items()).rstrip())
    for row in rows:
        print("  ".join(f"{row[name]!s:<{width}}" for name, width in widths.items()).rstrip())


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Progress of a verb whose output is for machines."""


def _complain(message: str, status: int) -> int:
    print(f"outcry: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outcry", description="A trading exchange that you run yourself.", epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"outcry {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    _add_running(verbs)
    _add_roles(verbs)
    _add_checking(verbs)
    _add_accounts(verbs)
    _add_keys(verbs)
    _add_symbols(verbs)
    _add_partitions(verbs)
    audit = _group(verbs, "audit", "show who changed what")
    _action(audit, "list", "the newest changes first").add_argument(
        "--limit", metavar="N", type=int, default=100, help="at most so many (default: 100)"
    )
    return parser


Verbs = Any  # argparse keeps the type of its sub-parsers private


def _verb(verbs: Verbs, name: str, summary: str, **more: Any) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter, **more,
    )  # fmt: skip
    verb.add_argument("--data", metavar="DIR", help="data directory (default: OUTCRY_DATA_DIR or ./data)")
    return verb


def _add_running(verbs: Verbs) -> None:
    lines = [f"  {each.name} [{each.default}]\n      {each.about} ({each.rule})" for each in described()]
    up = _verb(
        verbs, "up", "start the exchange: api, streams, engine, ledger in one process",
        epilog="environment variables [default]; the command line wins:\n" + "\n".join(lines),
    )  # fmt: skip
    up.add_argument("--port", metavar="N", type=int, help="port to listen on (default: 8080)")
    up.add_argument("--host", metavar="A", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for everybody)")
    up.set_defaults(run=_up)
    version = verbs.add_parser("version", help="print the version")
    version.set_defaults(run=_version)


def _add_roles(verbs: Verbs) -> None:
    """The processes of a cluster on Kafka, PostgreSQL and Redis; the environment names these."""
    lines = [f"  {each.name} [{each.default}]\n      {each.about} ({each.rule})" for each in described(ClusterSettings)]
    told = "environment variables [default], beside those of `outcry up`:\n" + "\n".join(lines)
    for name, summary in ROLES.items():
        role = verbs.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=told,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if name in ("api", "stream"):
            role.add_argument("--port", metavar="N", type=int, help="port to listen on (default: 8080)")
            role.add_argument("--host", metavar="A", help="address to listen on (default: 127.0.0.1)")
        if name != "setup":
            role.add_argument("--admin-port", metavar="N", type=int, help="port of status, probes and metrics")
        role.set_defaults(run=_role, verb=name)
        if name == "setup":
            role.add_argument("--await", dest="elsewhere", action="store_true", help="only wait until it is done")
            role.add_argument("--patience", metavar="SECONDS", type=float, default=0.0, help="wait so long for a "
                              "component that is out of service (default: 0)")  # fmt: skip
            role.set_defaults(run=_setup)


def _add_checking(verbs: Verbs) -> None:
    verify = _verb(
        verbs, "verify", "prove the invariants on a running or stopped exchange; exit status 1 if one is broken"
    )
    verify.add_argument("--json", action="store_true", help="one JSON object for machines")
    verify.add_argument("--no-streams", action="store_true", help="do not follow a running exchange's streams")
    verify.set_defaults(run=_verify)
    replay = _verb(
        verbs, "replay", "replay the journal from the oldest checkpoint; exit status 1 if the ledger differs from it"
    )
    replay.add_argument("--partition", metavar="N", type=int, help="only this partition")
    replay.set_defaults(run=_replay)
    summary = "trade once with the demo accounts, as clients: two orders, the fill over REST, the trade on a WebSocket"
    verbs.add_parser("try", help=summary, description=summary[0].upper() + summary[1:] + ".").set_defaults(run=_try)
    summary = "put back the holds that a cluster's database lost in a failover to a standby that was behind"
    restore = verbs.add_parser("restore", help=summary, description=summary[0].upper() + summary[1:] + ".")
    restore.set_defaults(run=_restore)
    verbs.add_parser("match", help="run recorded commands through the matching core (outcry match --help)")


def _add_accounts(verbs: Verbs) -> None:
    group = _group(verbs, "accounts", "open, freeze and fund accounts")
    _action(group, "list", "every account")
    create = _action(group, "create", "open an account")
    create.add_argument("name", help="whose it is, such as alice")
    create.add_argument("--account", metavar="N", type=int, help="its number (default: the next free one)")
    create.add_argument("--maker-ppm", metavar="N", type=int, default=1000, help="maker fee in ppm; 1000 is 0.1 %%")
    create.add_argument("--taker-ppm", metavar="N", type=int, default=1000, help="taker fee in ppm; 1000 is 0.1 %%")
    for name, summary in (
        ("freeze", "refuse its orders from now on"),
        ("unfreeze", "accept its orders again"),
        ("balances", "what it has"),
    ):
        _action(group, name, summary).add_argument("account", type=int, help="its number, such as 3001")
    for name, summary in (("deposit", "put money in"), ("withdraw", "take money out")):
        move = _action(group, name, summary)
        move.add_argument("account", type=int, help="its number, such as 3001")
        move.add_argument("asset", help="such as USD")
        move.add_argument("amount", help="such as 1000.50")
        move.add_argument(
            "--reference", metavar="TEXT", help="makes the transfer happen once, however often it is sent"
        )


def _add_keys(verbs: Verbs) -> None:
    group = _group(verbs, "keys", "issue and revoke API keys")
    _action(group, "list", "every key, without secrets").add_argument("--account", metavar="N", type=int)
    create = _action(group, "create", "issue a key; the secret is shown this once")
    create.add_argument("account", type=int, help="its number, such as 3001")
    create.add_argument(
        "--scopes", metavar="LIST", default="read,trade", help="of read, trade, withdraw, admin (default: read,trade)"
    )
    create.add_argument("--ips", metavar="LIST", help="addresses or networks that may use it (default: any)")
    create.add_argument("--days", metavar="N", type=int, help="days until it expires (default: never)")
    create.add_argument("--ed25519", metavar="HEX", help="a public key of your own instead of an HMAC secret")
    _action(group, "revoke", "end a key; it stops working within 5 seconds").add_argument(
        "key", help="as `outcry keys list` shows it"
    )


def _add_symbols(verbs: Verbs) -> None:
    group = _group(verbs, "symbols", "list new symbols, halt and open markets")
    _action(group, "list", "every symbol with its terms")
    create = _action(group, "create", "list a new symbol")
    create.add_argument("base", help="what is traded, such as XRP")
    create.add_argument("quote", help="what it is paid with, such as USD")
    create.add_argument("--tick", metavar="PRICE", required=True, help="smallest price step, such as 0.0001")
    create.add_argument("--step", metavar="SIZE", required=True, help="smallest quantity step, such as 0.1")
    create.add_argument("--min-notional", metavar="VALUE", default="5", help="least value of an order (default: 5)")
    create.add_argument("--partition", metavar="N", type=int, help="which partition matches it (default: in turn)")
    for name, summary in (("halt", "refuse new orders; cancels still work"), ("open", "trade again")):
        _action(group, name, summary).add_argument("symbol", help="such as BTCUSD")


def _add_partitions(verbs: Verbs) -> None:
    group = _group(verbs, "partitions", "show which partitions run and which are halted")
    _action(group, "list", "every partition, how far it is, and why it is halted")
    halt = _act(verbs, "halt", "stop a partition: it matches nothing until it is resumed", _admin)
    halt.add_argument("--reason", metavar="TEXT", required=True, help="why, for whoever finds it halted")
    _act(verbs, "resume", "let a halted partition go on", _admin)
    skip = _act(
        verbs, "skip", "show a halted partition's next commands; have one passed over, as two people agree", _skip
    )
    skip.add_argument("offset", type=int, nargs="?", help="of the record (default: where the partition stands)")
    skip.add_argument("index", type=int, nargs="?", help="of the command in its record")
    skip.add_argument("--lost", action="store_true", help="instead, what the journal of a cluster has lost")
    skip.add_argument("--approve", action="store_true", help="approve that the command is rejected and never applied")
    skip.add_argument("--reason", metavar="TEXT", help="why, for the audit log")


def _act(verbs: Verbs, name: str, summary: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """A verb of its own that acts on one partition."""
    act = _verb(verbs, name, summary)
    act.add_argument("partition", type=int, help="its number, as `outcry partitions list` shows it")
    act.add_argument("--as", dest="person", metavar="NAME", help="who acts, where several share this user")
    act.add_argument("--json", action="store_true", help="one JSON object for machines")
    act.set_defaults(run=run, verb="partitions", action=name)
    return act


def _group(verbs: Verbs, name: str, summary: str) -> Verbs:
    group = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    group.set_defaults(verb=name)
    return group.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)


def _action(group: Verbs, name: str, summary: str) -> argparse.ArgumentParser:
    action = _verb(group, name, summary)
    action.add_argument("--json", action="store_true", help="one JSON object for machines")
    action.set_defaults(run=_admin)
    return action
