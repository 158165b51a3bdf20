"""Which partitions an engine takes, offers and copies, as the table of leases and members says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcry.leases import FREED_MS, HALT, RESERVED, RUN, Leased, Member, Table
from outcry.roles.engine import claims

A, B, C = Member("a/1", ready=True), Member("b/1", ready=True), Member("c/1", ready=True)


def table(owners: str, *members: Member, halted: str = "") -> Table:
    """``aab-B!``: a letter owns, a capital has it reserved, ``-`` is free, ``!`` is b's and ran out."""
    leases = []
    for part, letter in enumerate(owners):
        owner = {"-": None, "!": "b/1"}.get(letter, f"{letter}/1" if letter.islower() else letter.lower())
        left = {"-": FREED_MS, "!": -1}.get(letter, 5_000)
        status = HALT if str(part) in halted else RUN
        leases.append(Leased(part, owner, 1, left, status, None, 0))
    return Table(tuple(leases), members)


@pytest.mark.parametrize(
    ("owners", "members", "held", "expected"),
    [
        ("----", [A], [], {0, 1, 2, 3}),
        ("aa--", [A], [0, 1], {2, 3}),
        ("bb--", [A, B], [], {2, 3}),
        ("bbb--", [A, B], [], {3, 4}),
        ("bb!!", [A, B, C], [], 2),  # two of the free ones, whichever
        ("aabb", [A, B], [0, 1], set()),
        ("aAbb", [A, B], [0], {1}),  # reserved for it
        ("aaab", [A, B], [0, 1], {2}),  # its own, lost with its connection
        ("aaa-", [A, B], [0, 1, 2], set()),  # a full share leaves the rest to others
    ],
)
def test_an_engine_takes_its_own_what_is_reserved_for_it_and_its_share_of_the_free(
    owners: str, members: list[Member], held: list[int], expected: set[int] | int
) -> None:
    taken = claims.claimed(table(owners, *members), A, held, ())
    if isinstance(expected, int):
        assert len(taken) == expected and all(owners[part] in "-!" for part in taken)
    else:
        assert set(taken) == expected and len(taken) == len(expected)


def test_a_halted_partition_is_neither_taken_nor_counted() -> None:
    assert claims.claimed(table("--", A, halted="1"), A, [], ()) == [0]
    assert claims.owned(table("aaab", A, B, halted="02")) == {"a": 1, "b": 1}


def test_what_was_free_for_too_long_is_taken_beyond_ones_share() -> None:
    assert claims.claimed(table("aaa-", A, B), A, [0, 1, 2], {3}) == [3]


def test_who_takes_only_what_is_reserved_leaves_the_free() -> None:
    canary = Member("c/1", RESERVED)
    assert claims.claimed(table("a--C", A, canary), canary, [], {1, 2}) == [3]


def test_who_drains_takes_nothing_new_but_its_own_back_and_what_was_reserved_for_it() -> None:
    leaving = A._replace(draining=True)
    assert claims.claimed(table("a-A", leaving, B), leaving, [], {1, 2}) == [0, 2]


def test_who_drains_is_offered_nothing_more() -> None:
    leaving = A._replace(draining=True)
    assert not claims.takes(table("ab", leaving, B), "a")
    assert claims.takes(table("ab", leaving, B), "b")
    assert not claims.takes(table("ab", leaving, B._replace(claim=RESERVED)), "b")


@pytest.mark.parametrize(
    ("owners", "expected"),
    [("aaab", (2, "b")), ("aabb", None), ("aab", None), ("aabB", None), ("aaabc", (2, "b")), ("aaaab", (3, "c"))],
)
def test_two_more_than_the_poorest_is_too_much(owners: str, expected: tuple[int, str] | None) -> None:
    members = (A, B, C) if "c" in owners or len(owners) == 5 else (A, B)
    movable = [part for part, letter in enumerate(owners) if letter == "a"]
    assert claims.surplus(table(owners, *members), A, movable) == expected


def test_a_draining_engine_hands_over_two_at_a_time_each_to_the_ready_one_with_the_fewest() -> None:
    leaving = A._replace(draining=True)
    assert claims.farewells(table("aaab", leaving, B, C), leaving, [0, 1, 2]) == [(0, "c"), (1, "b")]
    one_out = leaving._replace(offers=((0, "c"),))
    assert claims.farewells(table("aaab", one_out, B, C), one_out, [1, 2]) == [(1, "b")]
    two_out = leaving._replace(offers=((0, "c"), (1, "b")))
    assert claims.farewells(table("aaab", two_out, B, C), two_out, [2]) == []
    assert claims.farewells(table("aa", leaving, B._replace(ready=False)), leaving, [0, 1]) == []


def test_a_receiver_sees_what_is_offered_to_it_and_tells_when_it_has_a_copy() -> None:
    giver = A._replace(offers=((0, "b"), (1, "c")))
    shared = table("aa", giver, B)
    assert claims.offered(shared, B) == {0}
    assert claims.accepts(shared, "b", 0) is False
    assert claims.accepts(table("aa", giver, B._replace(copies=(0,))), "b", 0) is True
    assert claims.accepts(shared, "c", 1) is None, "nobody of that name is there"


def test_oneself_counts_even_where_the_table_forgot_it() -> None:
    full = claims.completed(Table((), (B,)), range(3), A)
    assert full.members == (A, B)
    assert [row.part for row in full.leases] == [0, 1, 2]
    assert len(claims.claimed(full, A, [], ())) == 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_sharing_ends_and_leaves_nobody_with_two_more_than_another(owners: list[int]) -> None:
    members = [Member(f"{pod}/1") for pod in "abcd"]
    rows = ["abcd"[owner] for owner in owners]
    for _ in range(100):
        now = table("".join(rows), *members)
        moves = [
            found
            for me in members
            if (found := claims.surplus(now, me, [n for n, pod in enumerate(rows) if pod == me.pod])) is not None
        ]
        if not moves:
            break
        part, pod = moves[0]  # one decision at a time
        rows[part] = pod
    counts = [rows.count(pod) for pod in "abcd"]
    assert max(counts) - min(counts) <= 1
