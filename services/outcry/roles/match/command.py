"""The command line of `outcry match`: which format, which file, and the figures when it is done."""

import argparse
import gzip
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from outcry.market import pit
from outcry.roles.match.flash1 import Flash1
from outcry.roles.match.jsonl import JsonLines
from outcry.roles.match.script import NotACommand

CHUNK_BYTES: Final = 1 << 20  # read at once; what has arrived is answered before more is waited for
MAX_LINE_BYTES: Final = 1 << 16
GZIP: Final = b"\x1f\x8b"

BAD_INPUT: Final = 2


class Format(Protocol):
    """A way to write commands and events."""

    events: int

    def parse(self, line: bytes) -> object | None:
        """A command, or None for a line that carries none. Raises NotACommand."""

    def apply(self, command: object) -> None:
        """Matches one command and keeps what it caused."""

    def take(self) -> bytes:
        """What is to be written for the commands applied since the last take."""

    def finish(self) -> bytes:
        """What is to be written after the last command."""


class Run:
    """One run of the core over an input; ``main`` makes exactly one."""

    def __init__(self, form: Format, out: BinaryIO) -> None:
        self._form = form
        self._out = out
        self._sha256 = hashlib.sha256()
        self._lines = 0
        self._commands = 0
        self._seconds_ns = 0

    def feed(self, lines: list[bytes]) -> None:
        """Applies the lines' commands and writes their events, up to a line that is none: then raises NotACommand."""
        commands = []
        trouble: NotACommand | None = None
        for line in lines:
            self._lines += 1
            try:
                command = self._form.parse(line)
            except NotACommand as problem:
                trouble = NotACommand(f"line {self._lines}: {problem}")
                break
            if command is not None:
                commands.append(command)
        apply = self._form.apply
        start = time.perf_counter_ns()
        for command in commands:
            apply(command)
        self._seconds_ns += time.perf_counter_ns() - start
        self._commands += len(commands)
        self.write(self._form.take())
        if trouble is not None:
            raise trouble

    def write(self, chunk: bytes) -> None:
        if chunk:
            self._sha256.update(chunk)
            self._out.write(chunk)
            self._out.flush()

    def stats(self) -> dict[str, object]:
        """The figures of ``--stats``."""
        seconds = self._seconds_ns / 1e9
        return {
            "commands": self._commands,
            "events": self._form.events,
            "seconds": seconds,
            "commands_per_second": round(self._commands / seconds) if seconds else 0,
            "compiled": not str(pit.__file__).endswith(".py"),
            "sha256": self._sha256.hexdigest(),
        }


def main(argv: list[str]) -> int:
    """Runs `outcry match`; its exit status is 0, or 2 for an input that cannot be read as commands."""
    options = _parser().parse_args(argv)
    form: Format = Flash1() if options.format == "flash1" else JsonLines()
    run = Run(form, sys.stdout.buffer)
    try:
        with ExitStack() as stack:
            for lines in _lines_of(_open(options.file, stack)):
                run.feed(lines)
        run.write(form.finish())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has gone: nobody is to be told
        return 0
    except NotACommand as problem:
        sys.stderr.write(f"{problem}\n")
        return BAD_INPUT
    except (OSError, EOFError, zlib.error) as problem:
        cause = problem.strerror if isinstance(problem, OSError) and problem.strerror else problem
        sys.stderr.write(f"{options.file}: {cause}\n")
        return BAD_INPUT
    if options.stats:
        sys.stderr.write(json.dumps(run.stats()) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outcry match",
        description="Reads commands in order, applies each to one fresh book and writes what came of it.",
        epilog='Example: echo \'{"op":"new","id":1,"side":"buy","qty":5,"price":100}\' | outcry match',
    )
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="commands, plain or gzip (default: stdin)")
    parser.add_argument(
        "--format",
        choices=("jsonl", "flash1"),
        default="jsonl",
        help="one JSON object a line, or flash1 CSV (default: jsonl)",
    )
    parser.add_argument("--stats", action="store_true", help="print counts, speed and a checksum to stderr at the end")
    return parser


def _open(name: str, stack: ExitStack) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    file = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115
    zipped = file.read(len(GZIP)) == GZIP
    file.seek(0)
    return cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file))) if zipped else file


def _lines_of(source: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines as they arrive: what is there is answered before more is waited for."""
    read = source.read1 if isinstance(source, BufferedReader | gzip.GzipFile) else source.read
    rest = b""
    while chunk := read(CHUNK_BYTES):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            yield [*lines, rest]
            return
        yield lines
    if rest:
        yield [rest]
