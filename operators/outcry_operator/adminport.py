"""The pods' admin ports: what they tell, and what they are asked to do. A pod that does not answer is part of life."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import urllib3

from outcry_operator.observation import Lease, Partition, Pod, Told

ANSWER_SECONDS: Final = 2.0
ASKED_AT_ONCE: Final = 16
MAX_ANSWER_BYTES: Final = 4_000_000

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """The pod cannot be reached, or refuses; the message says which and why."""


class _Part(msgspec.Struct, frozen=True):
    partition: int
    epoch: int = 0
    next_offset: int = 0
    end_offset: int = 0
    depth: int = 0
    lag_ms: int | None = 0
    state: str = "running"
    reason: str | None = ""


class _Row(msgspec.Struct, frozen=True):
    partition: int
    owner: str | None = None
    epoch: int = 0
    expires_in_ms: int | None = None
    halted: bool = False


class _Status(msgspec.Struct, frozen=True):
    """The answer of ``GET /v1/status``; fields of later versions are passed over."""

    pod: str = ""
    revision: str = ""
    draining_since_ms: int | None = None
    connections: int = 0
    queue_depth: int = 0
    ready: bool = True
    claim: str = "share"
    owned: tuple[_Part, ...] = ()
    leases: tuple[_Row, ...] = ()
    leases_age_ms: int | None = None


class Windows(msgspec.Struct, frozen=True):
    """The answer of ``GET /v1/hashes``: a hash for each aligned window of offsets; unread fields stay as they are."""

    partition: int
    version: int = 0
    window_offsets: int = 100
    windows: tuple[dict[str, Any], ...] = ()
    failure: str = ""


def read_status(raw: bytes, pod: str, now_ms: int) -> Told:
    """What a pod told at ``now_ms``. Raises NoAnswer."""
    try:
        said = msgspec.json.decode(raw, type=_Status)
    except msgspec.DecodeError as wrong:
        raise NoAnswer(f"the status cannot be read: {wrong}") from None
    return Told(
        now_ms,
        said.draining_since_ms or 0,
        said.connections,
        said.queue_depth,
        said.ready,
        said.claim,
        said.revision,
        tuple(
            Partition(
                row.partition, pod, row.epoch, row.next_offset, row.end_offset, row.depth, row.lag_ms or 0,
                row.state, row.reason or "",
            )
            for row in said.owned
        ),
        tuple(Lease(row.partition, row.owner, row.epoch, row.expires_in_ms, row.halted) for row in said.leases),
        now_ms - said.leases_age_ms if said.leases_age_ms is not None else 0,
    )  # fmt: skip


class AdminPorts:
    """All pods' ports. ``clock`` tells milliseconds; the token's file is read each time, for it may be replaced."""

    def __init__(self, token_file: str, clock: Callable[[], int]) -> None:
        self._token_file = token_file
        self._clock = clock
        self._http = urllib3.PoolManager(num_pools=64, maxsize=2, retries=False, timeout=ANSWER_SECONDS)
        self._askers = ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="ask")

    def statuses(self, pods: Sequence[Pod]) -> dict[str, Told]:
        """What each pod tells, of those that answer."""
        return self._of_each(
            pods, lambda pod: read_status(self._call(pod, "GET", "/v1/status"), pod.name, self._clock())
        )

    def metrics(self, pods: Sequence[Pod]) -> dict[str, str]:
        """The exposition of each pod that answers."""
        return self._of_each(pods, lambda pod: self._call(pod, "GET", "/metrics").decode("utf-8", "replace"))

    def windows(self, pods: Sequence[Pod], partition: int) -> dict[str, Windows]:
        """The hashes of a partition at each pod that has some."""

        def ask(pod: Pod) -> Windows:
            try:
                return msgspec.json.decode(self._call(pod, "GET", f"/v1/hashes?partition={partition}"), type=Windows)
            except msgspec.DecodeError as wrong:
                raise NoAnswer(str(wrong)) from None

        return self._of_each(pods, ask)

    def drain(self, pod: Pod) -> None:
        """Raises NoAnswer, as the following do."""
        self._call(pod, "POST", "/v1/drain")

    def stay(self, pod: Pod) -> None:
        self._call(pod, "DELETE", "/v1/drain")

    def release(self, pod: Pod, partition: int, to: str) -> None:
        self._call(pod, "POST", f"/v1/partitions/{partition}/release", {"to": to})

    def shadow(self, pod: Pod, partitions: Sequence[int]) -> None:
        self._call(pod, "PUT", "/v1/shadow", {"partitions": list(partitions)})

    def _of_each(self, pods: Sequence[Pod], ask: Callable[[Pod], Answer]) -> dict[str, Answer]:
        def asked(pod: Pod) -> tuple[str, Answer] | None:
            try:
                return pod.name, ask(pod)
            except NoAnswer:
                return None

        reachable = [pod for pod in pods if pod.ip and not pod.ended]
        return dict(each for each in self._askers.map(asked, reachable) if each is not None)

    def _call(self, pod: Pod, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        headers = {"Content-Type": "application/json"}
        if method != "GET":
            headers["Authorization"] = f"Bearer {self._token()}"
        text = json.dumps(body) if body is not None else None
        try:
            answer = self._http.request(
                method, f"http://{host}:{pod.admin_port}{path}", body=text, headers=headers, preload_content=False
            )
            raw = answer.read(MAX_ANSWER_BYTES)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as trouble:
            raise NoAnswer(f"{pod.name} does not answer: {trouble}") from None
        if answer.status >= 300:
            said = raw[:200].decode("utf-8", "replace")
            raise NoAnswer(f"{pod.name} answers {method} {path} with {answer.status}: {said}")
        return raw

    def _token(self) -> str:
        try:
            return Path(self._token_file).read_text(encoding="utf-8").strip() if self._token_file else ""
        except OSError as trouble:
            raise NoAnswer(f"the token cannot be read: {trouble}") from None
