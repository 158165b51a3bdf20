"""The journal on Apache Kafka: one topic, explicit partitions, no consumer groups."""

from outcry.adapters.kafka.journal import KafkaJournal as KafkaJournal
