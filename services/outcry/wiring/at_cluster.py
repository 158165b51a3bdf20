"""What is done to a cluster from a command line: an operator's verbs, proofs and replays, while it runs or rests."""

import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from outcry.roles.admin import restore as admin_restore
from outcry.roles.admin.losses import Losses
from outcry.roles.admin.restore import Restored
from outcry.roles.admin.verbs import Admin, Params, Result
from outcry.roles.engine import replay as engine_replay
from outcry.roles.engine import verify as engine_verify
from outcry.roles.engine.follower import streams_at
from outcry.roles.engine.insistent import PATIENCE_SECONDS
from outcry.roles.engine.streams import no_streams
from outcry.settings import ClusterSettings
from outcry.wiring.backbone import Backbone, vault_of
from outcry.wiring.patience import until_served
from outcry.wiring.process import Progress, in_loop

T = TypeVar("T")


def administer(settings: ClusterSettings, verb: str, params: Params) -> tuple[Result, bool]:
    """Carries out an operator's verb. Raises Refused."""

    async def act(backbone: Backbone) -> Result:
        vault = vault_of(settings)
        return await Admin(backbone.ledger, backbone.journal, backbone.clock, vault.seal).run(verb, params)

    return _with_books(settings, act), True


def verify(settings: ClusterSettings, progress: Progress, *, streams: bool = True) -> engine_verify.Report:
    """Proves the invariants of a cluster, which may run meanwhile. Raises Refused, Damaged, OutOfService."""
    followed = streams_at(settings.exchange_url, stream_url=settings.stream_url)

    async def prove(backbone: Backbone) -> engine_verify.Report:
        seen = followed if streams else no_streams("left out as asked")
        return await engine_verify.verify(backbone.ledger, backbone.journal, progress, seen)

    async def work() -> engine_verify.Report:
        deadline = time.monotonic() + PATIENCE_SECONDS
        backbone = await until_served(lambda: _contact(settings), progress, deadline)
        try:
            return await prove(backbone)
        finally:
            await backbone.close()

    return in_loop(work())


def replay(settings: ClusterSettings, partition: int | None, progress: Progress) -> list[engine_replay.Replayed]:
    """Replays one partition or all and says where each stands. Raises NoStart, Damaged."""
    return _with_books(
        settings, lambda backbone: engine_replay.replay(backbone.ledger, backbone.journal, partition, progress)
    )


def restore(settings: ClusterSettings, progress: Progress) -> Restored:
    """Puts back holds that a failed-over database lost. Raises Damaged, OutOfService."""
    return _with_books(settings, lambda backbone: admin_restore.restore(backbone.ledger, backbone.journal, progress))


def give_up(settings: ClusterSettings, params: Params, progress: Progress) -> Result:
    """Shows what a partition's log has lost, or approves that it is given up. Raises Refused."""

    async def act(backbone: Backbone) -> Result:
        losses = Losses(
            backbone.ledger, backbone.journal, topic_id=backbone.topic_id, clock=backbone.clock, progress=progress
        )  # fmt: skip
        return await losses.act(params)

    return _with_books(settings, act)


async def _contact(settings: ClusterSettings) -> Backbone:
    """Raises OutOfService, Damaged."""
    backbone = Backbone(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(backbone.close)
        await backbone.open()
        stack.pop_all()
    return backbone


def _with_books(settings: ClusterSettings, use: Callable[[Backbone], Coroutine[Any, Any, T]]) -> T:
    async def work() -> T:
        backbone = await _contact(settings)
        try:
            return await use(backbone)
        finally:
            await backbone.close()

    return in_loop(work())
