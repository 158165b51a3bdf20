"""What a process tells about itself: metrics, the last minute, logs, traces."""

from outcry.telemetry.minute import bucket_of as bucket_of
from outcry.telemetry.minute import percentile_ms as percentile_ms
from outcry.telemetry.process import memory_bytes as memory_bytes
from outcry.telemetry.recorder import Telemetry as Telemetry
