"""What an engine's batch says of whom: spans that lead on, and nobody who hears a part of it."""

from outcry.market.commands import Tick
from tests.roles.engine.test_session import Desk
from tests.support.engine_room import ANN, BEN


def test_spans_lead_on_and_name_everyone_whom_something_happened_to() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 2@1", BEN))
    (first,) = desk.take()[1].spans
    desk.apply(Tick(command_id=0, symbol_id=0))
    assert desk.take()[1].spans == ()
    desk.apply(desk.order("buy 1@1", ANN))
    batch, news = desk.take()
    assert [(span.told, span.untold) for span in (first, *news.spans)] == [((), (BEN,)), ((ANN,), (BEN,))]
    assert [(span.after_seq, span.last_seq) for span in news.spans] == [(first.last_seq, batch.advance.event_seq)]


def test_an_account_that_begins_to_be_followed_within_a_batch_hears_all_of_it_or_nothing() -> None:
    desk = Desk()
    desk.take()
    followed: set[int] = set()
    desk.session.open_to(followed.__contains__)
    desk.apply(desk.order("buy 1@1", ANN))
    followed.add(ANN)
    desk.apply(desk.order("buy 2@1", ANN))
    news = desk.take()[1]
    assert (news.executions, [span.untold for span in news.spans]) == ((), [(ANN,)])
    desk.apply(desk.order("buy 3@1", ANN))
    followed.clear()
    desk.apply(desk.order("sell 1@1", ANN))
    news = desk.take()[1]
    assert (len({each.event for each in news.executions}), [span.told for span in news.spans]) == (3, [(ANN,)])
