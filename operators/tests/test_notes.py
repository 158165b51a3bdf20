"""What is noticed between two looks: who is silent, what stands still, what has no owner, what pods use."""

import pytest

from outcry_operator.memory import Stall
from outcry_operator.notes import Notes
from outcry_operator.observation import Lease, Partition, Told
from tests.world.pools import NOW_MS, pod


def unmoved(notes: Notes, seconds: int, offset: int, depth: int, *stalls: Stall) -> int:
    """For how many seconds partition 0 has not moved, as one look sees it."""
    now_ms = NOW_MS + seconds * 1000
    told = {"e": Told(now_ms, owned=[Partition(0, "e", next_offset=offset, depth=depth)])}
    return notes.progress(told, stalls, now_ms)["e"].owned[0].unmoved_ms // 1000


def test_a_partition_stands_still_from_the_moment_that_something_waits() -> None:
    notes = Notes()
    assert [unmoved(notes, 0, 7, 0), unmoved(notes, 900, 7, 0), unmoved(notes, 930, 7, 5)] == [0, 0, 0]
    assert [unmoved(notes, 945, 7, 5), unmoved(notes, 960, 8, 5), unmoved(notes, 961, 8, 5)] == [15, 0, 1]


def test_a_new_operator_believes_what_its_predecessor_has_written_of_the_same_offset_only() -> None:
    assert unmoved(Notes(), 0, 7, 5, Stall(0, 7, NOW_MS - 90_000)) == 90
    assert unmoved(Notes(), 0, 8, 5, Stall(0, 7, NOW_MS - 90_000)) == 0


def test_silence_is_counted_from_the_first_look_without_an_answer() -> None:
    notes = Notes()
    notes.silence(["a", "b"], ["a"], 1)
    notes.silence(["a", "b"], [], 2)
    assert notes.silent_since_ms == {"a": 2, "b": 1}
    notes.silence(["a"], ["a"], 3)
    assert notes.silent_since_ms == {}


def test_a_partition_is_unowned_while_no_lease_of_it_runs_unless_it_is_halted() -> None:
    def told(*rows: Lease) -> dict[str, Told]:
        return {"e": Told(0, leases=rows, leases_at_ms=1)}

    notes, free = Notes(), Lease(1, "e/1", 1, -5)
    owned, halted = Lease(0, "e/1", 1, 900), Lease(2, "e/1", 1, None, halted=True)
    assert notes.unowned_ms(told(owned, free, halted), 10_000) == 0
    assert notes.unowned_ms(told(owned, free, halted), 25_000) == 15_000
    assert notes.unowned_ms(told(owned, free._replace(expires_in_ms=9), halted), 30_000) == 0
    assert notes.unowned_ms(told(owned, Lease(1, None, 1, None)), 40_000) == 0
    assert notes.unowned_ms({}, 99_000) == 0


def test_cpu_is_what_a_counter_grew_by_and_a_new_container_begins_anew() -> None:
    notes, one = Notes(), pod("api-0")

    def cpu(seconds: float, at_ms: int) -> int | None:
        text = f"process_cpu_seconds_total {seconds}\nprocess_resident_memory_bytes 1.5e+08\n"
        usage = notes.usage([one], {"api-0": text}, at_ms)
        assert usage["memory"]["api-0"].used == 150_000_000
        return usage["cpu"]["api-0"].used if "api-0" in usage["cpu"] else None

    assert [cpu(10, 0), cpu(11, 2_000), cpu(15, 10_000)] == [None, None, 500]
    assert cpu(1, 20_000) == 500  # until the new container is known
    assert cpu(2, 30_000) == pytest.approx(100)
    assert notes.usage([], {}, 40_000) == {"cpu": {}, "memory": {}}
