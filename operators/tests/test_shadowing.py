"""What owner and shadow are compared by, and which partitions move next."""

from outcry_operator.canary.shadowing import Agreement, MoveTo, Seen, agreement, dealt, moves
from outcry_operator.observation import Lease, Told
from tests.world.pools import pod

OWNER = Seen(1, {0: "a", 100: "b", 200: "c"})
CANARY = [pod("engine-canary-0"), pod("engine-canary-1")]
TOLD = {each.name: Told(0) for each in CANARY}


def owned(*owners: str) -> list[Lease]:
    """Partitions 0, 1, … by owner; a bare name is a reservation."""
    return [Lease(part, owner, 1, 5_000) for part, owner in enumerate(owners)]


def test_only_windows_that_both_completed_are_compared() -> None:
    shadow = Seen(1, {100: "b", 200: "x", 300: "d"})
    assert agreement([(0, OWNER, shadow)], 100) == Agreement(100, 1, "")
    assert agreement([(0, OWNER, Seen(1, {}))], 100) == Agreement(0, 0, "")


def test_two_forms_or_a_failed_copy_say_nothing_about_each_other() -> None:
    other = agreement([(3, OWNER, Seen(2, {100: "zzz"}))], 100)
    assert (other.offsets, other.mismatches) == (0, 0) and "versions 1 and 2" in other.trouble
    failed = agreement([(3, OWNER, Seen(1, {}, "the journal ends")), (4, OWNER, OWNER)], 100)
    assert failed == Agreement(300, 0, "partition 3: the journal ends")


def test_shadows_are_dealt_to_the_pods_in_turn() -> None:
    assert dealt([5, 1, 3], CANARY) == {"engine-canary-0": [1, 5], "engine-canary-1": [3]}
    assert dealt([1], []) == {}


def test_two_partitions_move_at_once_to_whoever_has_fewest() -> None:
    leases = owned("engine-0/1", "engine-0/1", "engine-1/1", "engine-canary-0/1")
    first, second = moves([0, 1, 2, 3], leases, CANARY, TOLD)
    assert (first, second) == (MoveTo(0, "engine-0", "engine-canary-1"), MoveTo(1, "engine-0", "engine-canary-0"))
    in_flight = owned("engine-0/1", "engine-canary-0", "engine-1/1", "engine-canary-1")
    assert moves([0, 2], in_flight, CANARY, TOLD) == []
    assert len(moves([0, 2], in_flight[:3], CANARY, TOLD)) == 1


def test_what_is_the_canarys_halted_or_unowned_does_not_move_and_nobody_gets_anything_who_is_not_ready() -> None:
    leases = [*owned("engine-canary-0/1", "engine-0/1"), Lease(2, None), Lease(3, "engine-0/1", 1, 5_000, halted=True)]
    assert [move.part for move in moves([0, 1, 2, 3], leases, CANARY, TOLD)] == [1]
    unready = [each._replace(ready=False) for each in CANARY]
    assert moves([1], leases, unready, TOLD) == [] and moves([1], leases, CANARY, {}) == []
