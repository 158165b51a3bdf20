"""Fourteen ways to break the exchange, each by taking away one protection, and the test that must notice."""

from dataclasses import dataclass
from typing import Final

POSTGRES, KAFKA = "OUTCRY_POSTGRES", "OUTCRY_KAFKA"
CAS: Final = "AND e.epoch = u.epoch AND e.next_offset = u.from_offset AND e.status = 'RUN'"


@dataclass(frozen=True)
class Defect:
    """``sound`` stands exactly once in ``path`` (below outcry/) and is replaced by ``broken``."""

    name: str
    path: str
    sound: str
    broken: str
    test: str  # below tests/
    needs: str = ""  # the component without which the test cannot run


DEFECTS: Final = (
    Defect(
        "no compare-and-set", "adapters/postgres/statements.sql", CAS, "",
        "laws/test_commits.py::test_only_the_owners_next_batch_counts[postgres]", POSTGRES,
    ),
    Defect(
        "compare-and-set without epoch", "adapters/postgres/statements.sql",
        CAS, CAS.replace("AND e.epoch = u.epoch ", ""),
        "laws/test_commits.py::test_only_the_owners_next_batch_counts[postgres]", POSTGRES,
    ),
    Defect(
        "compare-and-set without next_offset", "adapters/postgres/statements.sql",
        CAS, CAS.replace("AND e.next_offset = u.from_offset ", ""),
        "laws/test_commits.py::test_only_the_owners_next_batch_counts[postgres]", POSTGRES,
    ),
    Defect(
        "publish before commit", "roles/engine/engine.py",
        "        landing = await Landing().bring(self._ledger, taken)\n",
        "        await self._herald.say(taken)\n"
        "        landing = await Landing().bring(self._ledger, taken)\n",
        "roles/engine/test_engine.py::test_outcomes_are_published_only_after_the_commit",
    ),
    Defect(
        "auto_offset_reset='latest'", "adapters/kafka/client.py",
        '"auto_offset_reset": "none"', '"auto_offset_reset": "latest"',
        "adapters/test_kafka_reader.py::test_a_reader_behind_all_that_kafka_kept_is_told_so[kafka]", KAFKA,
    ),
    Defect(
        "auto-commit on", "adapters/kafka/client.py", '"enable_auto_commit": False', '"enable_auto_commit": True',
        "adapters/test_kafka_reader.py::test_no_reader_has_a_position_of_its_own",
    ),
    Defect(
        "engine dedupe off", "roles/engine/window.py",
        "return order_id in self._known", "return False",
        "laws/test_determinism.py::test_one_log_leaves_the_same_rows_each_time",
    ),
    Defect(
        "wall clock in the engine", "roles/engine/session.py",
        "self.log_time = max(self.log_time, record.timestamp_ms)",
        "self.log_time = __import__('time').time_ns() // 1_000_000",
        "laws/test_determinism.py::test_one_log_leaves_the_same_rows_each_time",
    ),
    Defect(
        "float price", "market/holds.py",
        "return order.price * order.qty * instrument.quote_unit\n",
        "return int(float(order.price) * order.qty * instrument.quote_unit)\n",
        "test_house.py::test_the_market_knows_no_float",
    ),
    Defect(
        "key-hash partitioner", "adapters/kafka/pure.py",
        "producer.send(self._topic, value=frame, partition=part)",
        "producer.send(self._topic, value=frame, key=str(part).encode())",
        "adapters/test_journal.py::test_a_reader_gets_what_follows_its_positions_in_partition_order[kafka]", KAFKA,
    ),
    Defect(
        "hold released on timeout", "adapters/postgres/statements.sql",
        "AND i.valid_until_ms < (SELECT log_time FROM place)", "AND i.intake_ms <= outcry_now_ms()",
        "adapters/test_housekeeping.py"
        "::test_an_order_without_outcome_is_voided_once_log_time_has_passed_its_bound[postgres]", POSTGRES,
    ),
    Defect(
        "resume without epoch", "adapters/redis/tape.py",
        "        if feed_epoch != self.feed_epoch:\n            self.want = Want.BOOK\n            return []\n", "",
        "adapters/test_tape.py::test_the_stream_of_another_feed_epoch_fills_no_gap",
    ),
    Defect(
        "COMMIT retried blindly", "roles/engine/landing.py",
        "            self.trouble = trouble\n        return self\n",
        "            named = await ledger.commit([batch for batch, _ in taken.values()])\n"
        "            self.landed |= {part: pieces for part, pieces in taken.items() if part in named}\n"
        "        return self\n",
        "roles/engine/test_engine.py::test_a_commit_with_an_unknown_end_is_read_again_and_never_repeated",
    ),
    Defect(
        "iteration over a set", "market/changes.py",
        "    for order_id, _ in command.targets:\n",
        "    for _, order_id in {(str(order_id), order_id) for order_id, _ in command.targets}:\n",
        "laws/test_determinism.py::test_the_hash_seed_changes_nothing",
    ),
)  # fmt: skip
