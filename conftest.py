"""What holds for every test: a short run meets the same examples each time, and no slow machine fails one."""

import os

from hypothesis import HealthCheck, settings

LONG = bool(os.environ.get("OUTCRY_TEST_LONG"))

settings.register_profile(
    "outcry",
    deadline=None,  # how long an example takes says more about the machine
    derandomize=not LONG,  # the full sizes look for what nobody has met yet
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("outcry")
