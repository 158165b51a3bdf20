"""An iceberg shows its peak; each new peak goes behind the others."""

from tests.support.ring import play


def test_a_new_peak_loses_its_priority() -> None:
    ring = play("""
        sell 10@100 peak 4  -> #1 rests
        sell 5@100          -> #2 rests
        buy 4@100           -> #3 takes 4@100 from #1
        buy 6@100           -> #4 takes 5@100 from #2, #4 takes 1@100 from #1
    """)
    assert ring.market.levels() == [(-1, 100, 3)]


def test_the_book_shows_only_the_peak() -> None:
    ring = play("""
        buy 30@99 peak 5   -> #1 rests
        buy 3@99           -> #2 rests
    """)
    assert ring.market.levels() == [(1, 99, 8)]


def test_a_peak_taken_in_part_keeps_its_place() -> None:
    play("""
        sell 10@100 peak 4  -> #1 rests
        sell 5@100          -> #2 rests
        buy 1@100           -> #3 takes 1@100 from #1
        buy 4@100           -> #4 takes 3@100 from #1, #4 takes 1@100 from #2
    """)


def test_the_last_peak_is_what_is_left() -> None:
    ring = play("""
        sell 5@100 peak 4  -> #1 rests
        buy 4@100          -> #2 takes 4@100 from #1
    """)
    assert ring.market.levels() == [(-1, 100, 1)]


def test_one_sweep_takes_all_that_is_hidden() -> None:
    play("""
        sell 9@100 peak 4  -> #1 rests
        buy 10@100         -> #2 takes 4@100 from #1, #2 takes 4@100 from #1, #2 takes 1@100 from #1, #2 rests
    """)


def test_an_iceberg_takes_with_all_its_size_and_rests_with_its_peak() -> None:
    ring = play("""
        sell 6@100         -> #1 rests
        buy 20@100 peak 3  -> #2 takes 6@100 from #1, #2 rests
    """)
    assert ring.market.levels() == [(1, 100, 3)]
