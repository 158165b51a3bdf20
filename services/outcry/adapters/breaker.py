"""A circuit breaker: what fails again and again is left in peace for a moment, and who asks is told so at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from outcry.ports import OutcomeUnknown, OutOfService

MAX_FAILURES: Final = 5  # in a row, until it opens
REST_SECONDS: Final = 1.0  # that it stays open before one call may try

Watch = Callable[[str, bool], None]  # told the component and whether its breaker is open now


def unwatched(component: str, is_open: bool) -> None:
    """Nobody wants to know."""


class Breaker:
    """Guards the calls to one component, within one event loop.

    Closed, every call goes through. After ``MAX_FAILURES`` in a row it is open: calls are refused, not made. After
    ``REST_SECONDS`` it lets one call through as a probe, whose success closes it and whose failure opens it again.
    """

    def __init__(self, component: str, watch: Watch = unwatched, clock: Callable[[], float] = time.monotonic) -> None:
        self._component = component
        self._watch = watch
        self._clock = clock
        self._failures = 0
        self._rests_until: float | None = None  # None: closed
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._rests_until is not None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One call. Raises OutOfService at once while open.

        OutOfService and OutcomeUnknown from within are failures. Whatever else is raised, a cancellation too, says
        nothing about the component.
        """
        is_probe = self._admit()
        try:
            yield
            self._succeeded()
        except (OutOfService, OutcomeUnknown):
            self._failed(is_probe)
            raise
        finally:
            if is_probe:
                self._probing = False

    def _admit(self) -> bool:
        """Whether the call is the probe of an open breaker."""
        if self._rests_until is None:
            return False
        if self._probing or self._clock() < self._rests_until:
            raise OutOfService(f"The {self._component} failed again and again; it is asked again in a moment.")
        self._probing = True
        return True

    def _succeeded(self) -> None:
        self._failures = 0
        if self._rests_until is not None:
            self._rests_until = None
            self._watch(self._component, False)

    def _failed(self, is_probe: bool) -> None:
        """Calls that began before it opened may still fail while it is open: they do not make it rest for longer."""
        self._failures += 1
        if self._rests_until is None and self._failures >= MAX_FAILURES:
            self._rests_until = self._clock() + REST_SECONDS
            self._watch(self._component, True)
        elif is_probe:
            self._rests_until = self._clock() + REST_SECONDS
