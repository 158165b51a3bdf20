"""The journal on Apache Kafka: one topic, explicit partitions, no consumer groups."""

from outcry.adapters.kafka.client import Brokers as Brokers
from outcry.adapters.kafka.journal import KafkaJournal as KafkaJournal
from outcry.adapters.kafka.library import Library as Library
from outcry.adapters.kafka.library import library_named as library_named
