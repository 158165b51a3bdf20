"""Features that can be switched off while an api runs: a folder with a file each, as Kubernetes mounts ConfigMaps."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outcry.roles.api.errors import Refusal

BATCH: Final = "batch"
LISTS: Final = "order-lists"
CANCEL_REPLACE: Final = "cancel-replace"
AMEND: Final = "amend"
KLINES: Final = "klines"

FEATURES: Final[Mapping[str, str]] = {
    BATCH: "several orders in one request: POST /v1/orders:batch",
    LISTS: "order lists: placing OCO pairs (canceling them stays)",
    CANCEL_REPLACE: "cancel and replace in one step",
    AMEND: "reducing an order that keeps its place",
    KLINES: "candles",
}
LOOK_SECONDS: Final = 1.0  # between two looks into the folder
WORDS: Final = {"true": True, "false": False}

log = logging.getLogger(__name__)


class Features:
    """``look`` reads the folder; a feature without a file is on. Without a folder everything is."""

    def __init__(self, folder: str = "") -> None:
        self._folder = Path(folder) if folder else None
        self._complained: set[str] = set()
        self.off: frozenset[str] = frozenset()

    def look(self) -> None:
        """Takes in what the files say now; one that says neither true nor false changes nothing."""
        if self._folder is None:
            return
        wanted = {name: self._word(self._folder / name) for name in FEATURES}
        off = frozenset(
            name for name, is_on in wanted.items() if is_on is False or (is_on is None and name in self.off)
        )
        if off != self.off:
            log.warning("Switched off are now: %s.", ", ".join(sorted(off)) or "no features")
            self.off = off
        self._complain_of_strangers(self._folder)

    def _word(self, path: Path) -> bool | None:
        """None where the file says nothing that counts: then what held goes on to hold."""
        try:
            text = path.read_text(encoding="utf-8").strip().lower()
        except FileNotFoundError:
            return True
        except (OSError, UnicodeDecodeError) as trouble:
            text = str(trouble)
        if text not in WORDS:
            self._complain(f"The feature flag {path} must say true or false, not {text!r}.")
        return WORDS.get(text)

    def _complain_of_strangers(self, folder: Path) -> None:
        if not folder.is_dir():
            self._complain(f"The folder of feature flags {folder} is not there.")
            return
        for path in folder.iterdir():
            if path.name not in FEATURES and not path.name.startswith("."):
                self._complain(f"No feature is called {path.name!r}; there are {', '.join(FEATURES)}.")

    def _complain(self, said: str) -> None:
        if said not in self._complained:
            self._complained.add(said)
            log.error(said)

    async def run(self) -> None:
        """Looks again and again."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def require(self, name: str) -> None:
        """Raises Refusal where a feature is switched off."""
        if name in self.off:
            raise Refusal(-1016, "This service is no longer available.", 503)
