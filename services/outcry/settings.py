"""The environment, read once at start; every problem is reported at once."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default. Durations say their unit."""

    data_dir: str = "data"
    host: str = "127.0.0.1"
    port: int = 8080
    limits: str = "high"  # binance, high or off
    partitions: int = 4
    simulation_enabled: bool = True
    simulation_orders_per_sec: float = 20.0
    simulation_workers: int = 4
    simulation_symbols: tuple[str, ...] = ()
    simulation_seed: int = 1
    simulation_history_hours: int = 24
    journal_retention_days: int = 7
    journal_max_bytes: int = 4 << 30
    admit_window: int = 4096  # un-acknowledged commands per api process
    micro_batch_ms: float = 1.0
    reply_timeout_seconds: float = 9.0
    master_key_file: str = ""  # "" : <data_dir>/master.key
    extra: dict[str, str] = field(default_factory=dict)


class SettingsError(Exception):
    """The environment is wrong; the message lists every problem."""
