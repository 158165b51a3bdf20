"""A tape tells listeners only what follows what they have heard."""

from outcry.adapters.redis.tape import Tape, Want


def interrupted(feed_epoch: int, seq: int) -> Tape:
    """A tape whose connection was lost there."""
    tape = Tape(1)
    tape.feed_epoch, tape.seq = feed_epoch, seq
    tape.doubt()
    return tape


def test_a_stream_without_news_ends_the_doubt() -> None:
    tape = interrupted(2, 7)
    assert tape.want is Want.SINCE
    assert tape.fill(2, 7, [], is_last=True) == []
    assert tape.want is Want.NOTHING


def test_the_stream_of_another_feed_epoch_fills_no_gap() -> None:
    tape = interrupted(2, 7)
    assert tape.fill(3, 7, [], is_last=True) == []
    assert tape.want is Want.BOOK
