"""Saying what was committed: in the order of the commits, and beside the next one, which waits for nobody's feed."""

import asyncio

from outcry.ports import Publication, Publisher
from outcry.roles.engine.landing import Taken


class Herald:
    """One publication at a time: who comes with the next one waits until the last is out."""

    def __init__(self, feed: Publisher) -> None:
        self._feed = feed
        self._saying: asyncio.Task[None] | None = None

    async def say(self, landed: Taken) -> None:
        """Begins to publish what has landed, once all before it is said. Raises what went wrong with that."""
        await self.said()
        last, self._saying = self._saying, None
        if last is not None:
            last.result()
        self._saying = asyncio.create_task(self._feed.publish(together(landed)))

    async def said(self) -> None:
        """Waits until all is said, or failed."""
        if self._saying is not None:
            await asyncio.wait([self._saying])


def together(landed: Taken) -> Publication:
    """One publication of all."""
    publications = [publication for _, publication in landed.values()]
    if len(publications) == 1:
        return publications[0]
    return Publication(
        outcomes=tuple(outcome for each in publications for outcome in each.outcomes),
        updates=tuple(update for each in publications for update in each.updates),
        executions=tuple(execution for each in publications for execution in each.executions),
        moved=tuple(dict.fromkeys(account for each in publications for account in each.moved)),
        spans=tuple(span for each in publications for span in each.spans),
    )
