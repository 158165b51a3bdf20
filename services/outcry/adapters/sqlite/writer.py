"""The one thread that writes: all waiting jobs share one transaction, and learn of it after COMMIT."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from outcry.adapters.sqlite.faults import fault_of
from outcry.adapters.sqlite.memory import Memory
from outcry.adapters.sqlite.schema import connect_writer
from outcry.ports import Clock, OutOfService

MAX_JOBS = 256  # jobs in one transaction
TURN_SECONDS = 0.002  # after this long a transaction takes no further job: who waits for the first ones has work to do
MAX_WAITING = 8192  # jobs that may wait; beyond it the writer says that it is out of service

T = TypeVar("T")


class Work(NamedTuple):
    """What a job gets: the open transaction, the writer's memory, and the time."""

    db: sqlite3.Connection
    memory: Memory
    now_ms: int


class Task(NamedTuple):
    """A job and who waits for it."""

    job: Callable[[Work], Any]
    waiter: "asyncio.Future[Any]"
    landed: Callable[[Any], None] | None


class Report(NamedTuple):
    """What came of a task: a result, or the error that undid it."""

    task: Task
    result: Any = None
    error: Exception | None = None


class Writer:
    """Runs jobs in order, each to its end or not at all, many per fsync."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._tasks: deque[Task] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._memory = Memory()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Connects and starts the thread. Raises Damaged, OutOfService."""
        self._db = connect_writer(self._path)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finishes what waits, then disconnects. Blocks."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._db.close()

    async def do(self, job: Callable[[Work], T], landed: Callable[[T], None] | None = None) -> T:
        """The job's result once it is on disk. Raises what the job raised, OutOfService or OutcomeUnknown.

        ``landed`` gets the result on the event loop, in commit order, even when nobody waits any longer.
        """
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._ready:
            if self._closing or self._thread is None:
                raise OutOfService("The ledger is not open for writing.")
            if len(self._tasks) >= MAX_WAITING:
                raise OutOfService("Too many writes wait for the disk.")
            self._tasks.append(Task(job, waiter, landed))
            self._ready.notify()
        return await waiter

    def _run(self) -> None:
        while tasks := self._take():
            reports = self._together(tasks)
            if reports is None:
                reports = [self._alone(task) for task in tasks]
            self._put_back(tasks[len(reports) :])
            _deliver(reports)

    def _take(self) -> list[Task]:
        with self._ready:
            while not self._tasks and not self._closing:
                self._ready.wait()
            return [self._tasks.popleft() for _ in range(min(len(self._tasks), MAX_JOBS))]

    def _put_back(self, tasks: list[Task]) -> None:
        with self._ready:
            self._tasks.extendleft(reversed(tasks))

    def _together(self, tasks: list[Task]) -> list[Report] | None:
        """The first tasks in one transaction, all if time allows; None when one failed: nothing was written then."""
        try:
            work = self._begin()
        except sqlite3.Error as error:
            self._roll_back()
            return _failed(tasks, fault_of(error, self._path))
        until = time.monotonic() + TURN_SECONDS
        reports = [supervise(tasks[0], work)]
        for task in tasks[1:]:
            if reports[-1].error is not None or time.monotonic() > until:
                break
            reports.append(supervise(task, work))
        failure = reports[-1].error or supervise_flush(work)
        if failure is None:
            return self._commit(reports)
        self._roll_back()
        if isinstance(failure, sqlite3.Error):
            failure = fault_of(failure, self._path)
        return _failed(tasks[:1], failure) if len(reports) == 1 else None

    def _alone(self, task: Task) -> Report:
        reports = self._together([task])
        assert reports is not None
        return reports[0]

    def _begin(self) -> Work:
        self._db.execute("BEGIN IMMEDIATE")
        return Work(self._db, self._memory, self._clock.now_ms())

    def _commit(self, reports: list[Report]) -> list[Report]:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return _failed([report.task for report in reports], fault_of(error, self._path, committing=True))
        return reports

    def _roll_back(self) -> None:
        self._memory.forget()
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # SQLite rolls back by itself where the disk fails
                self._db.execute("ROLLBACK")


def supervise(task: Task, work: Work) -> Report:
    """Runs one job; whatever it raises belongs to the one who waits for it, not to this thread."""
    try:
        return Report(task, task.job(work))
    except Exception as error:  # noqa: BLE001
        return Report(task, error=error)


def supervise_flush(work: Work) -> Exception | None:
    """Writes the balances that the jobs changed; returns what went wrong."""
    try:
        work.memory.purse.flush(work.db)
    except Exception as error:  # noqa: BLE001
        return error
    return None


def _failed(tasks: list[Task], error: Exception) -> list[Report]:
    return [Report(task, error=error) for task in tasks]


def _deliver(reports: list[Report]) -> None:
    """Wakes all waiters of a transaction with one call per event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Report]] = {}
    for report in reports:
        loops.setdefault(report.task.waiter.get_loop(), []).append(report)
    for loop, own in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, own)


def _settle(reports: list[Report]) -> None:
    for task, result, error in reports:
        if error is None and task.landed is not None:
            task.landed(result)
        if task.waiter.done():
            continue
        if error is not None:
            task.waiter.set_exception(error)
        else:
            task.waiter.set_result(result)
