"""Whatever happens to engines and operators, no engine that owns a partition is removed, and every wish comes true.

A machine of steps that hypothesis chooses: loads and numbers change, time passes, engines die and come back, operators
crash between any two calls, start anew, or are two. The engines keep the promises of their admin port.
"""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outcry_operator.kube import Trouble
from tests.world.venue import PATHS, Venue

SETTLE_STEPS = 20


class Pool(RuleBasedStateMachine):
    """One StatefulSet of engines under one policy."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.venue = Venue(Path(self.folder.name))
        self.venue.workload("StatefulSet", "engine", 2)
        self.venue.policy()
        self.venue.api.on_scale = self.check_nobody_who_owns_is_removed
        self.venue.room.advance(3_000)

    def check_nobody_who_owns_is_removed(self, path: str, replicas: int) -> None:
        names = {row.pod for row in self.venue.room.rows.values() if row.owner and not row.halted}
        owning = [int(name.rsplit("-", 1)[1]) for name in names]
        if replicas < self.venue.replicas() and max(owning, default=-1) >= replicas:
            self.removed_an_owner = f"{replicas} while {sorted(names)} own partitions"

    removed_an_owner = ""

    @invariant()
    def nobody_who_owns_a_partition_was_removed(self) -> None:
        assert not self.removed_an_owner

    @rule(wanted=st.integers(0, 5))
    def a_person_sets_a_number(self, wanted: int) -> None:
        self.venue.policy(replicas=wanted)

    @rule(depth=st.sampled_from([0, 10, 400, 900]))
    def the_load_changes(self, depth: int) -> None:
        for engine in self.venue.room.engines.values():
            engine.depth = dict.fromkeys(range(6), depth)

    @rule(seconds=st.sampled_from([1, 2, 7, 20]))
    def time_passes(self, seconds: int) -> None:
        self.venue.pass_time(seconds * 1000)

    @rule(place=st.integers(0, 4))
    def an_engine_dies_and_its_container_starts_anew(self, place: int) -> None:
        engine = self.venue.room.engines.get(self.venue.address("engine", place))
        if engine is not None:
            engine.life += 1
            engine.draining_since_ms, engine.answers = 0, True

    @rule(place=st.integers(0, 4), answers=st.booleans())
    def an_engine_hangs_or_comes_back(self, place: int, answers: bool) -> None:
        engine = self.venue.room.engines.get(self.venue.address("engine", place))
        if engine is not None:
            engine.answers = answers

    @rule(part=st.integers(0, 5), halted=st.booleans())
    def a_partition_is_halted_or_opened(self, part: int, halted: bool) -> None:
        self.venue.room.rows[part].halted = halted

    @rule()
    def the_operator_looks(self) -> None:
        self.look()

    @rule(calls=st.integers(0, 12))
    def the_operator_crashes_on_the_way_and_starts_anew(self, calls: int) -> None:
        self.venue.api.budget = calls
        self.look()
        self.venue.api.budget = None
        self.venue.start_operator()

    @rule()
    def a_second_operator_looks_too(self) -> None:
        first = self.venue.ticks
        self.venue.start_operator()
        self.look()
        self.venue.ticks = first

    def look(self) -> None:
        try:
            self.venue.tick()
        except Trouble:
            return  # somebody was quicker, or the operator died on the way

    def teardown(self) -> None:
        try:
            self.check_that_every_wish_comes_true()
        finally:
            self.venue.stop()
            self.folder.cleanup()

    def check_that_every_wish_comes_true(self) -> None:
        """With all engines up and nothing halted, a number is reached, and then everybody serves and owns a share."""
        for engine in self.venue.room.engines.values():
            engine.answers = True
        for row in self.venue.room.rows.values():
            row.halted = False
        for wanted in (1, 3):
            self.venue.policy(replicas=0)
            self.look()
            self.venue.policy(replicas=wanted)
            for _ in range(SETTLE_STEPS):
                self.venue.pass_time(2_000)
                self.look()
                assert not self.removed_an_owner
            assert self.venue.replicas() == wanted, self.venue.status()
            engines = [self.venue.engine(place) for place in range(wanted)]
            assert [engine.pod for engine in engines if engine.draining_since_ms] == []
            assert all(row.pod in {engine.pod for engine in engines} for row in self.venue.room.rows.values())
        calls = len(self.venue.api.calls)
        self.look()
        assert not any(path.endswith("/scale") for _, path in self.venue.api.calls[calls:])
        assert "metadata" in self.venue.api.objects[PATHS.workload("StatefulSet", "engine")]


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=8, stateful_step_count=15)
