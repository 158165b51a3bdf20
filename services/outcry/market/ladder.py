"""A price ladder: which of 2^33 rungs are taken, with the highest, the next, insert and remove in constant time.

Three levels of bitmaps, 11 bits each, in whole numbers of 2,048 bits: the one primitive is ``bit_length``.
"""

from typing import Final

RUNGS: Final = 1 << 33  # rungs are 0 <= rung < RUNGS
TOP: Final = RUNGS - 1  # the highest rung
NONE: Final = -1  # no such rung

_BITS: Final = 11
_TOP: Final = 22
_MASK: Final = 2047


class Ladder:
    """A set of rungs. Whoever wants the lowest first stores ``TOP - rung``."""

    __slots__ = ("_leaves", "_root", "_twigs")

    def __init__(self) -> None:
        self._root = 0
        self._twigs: dict[int, int] = {}
        self._leaves: dict[int, int] = {}

    def insert(self, rung: int) -> None:
        """Takes a rung; taking it twice is the same as once."""
        leaf = rung >> _BITS
        bits = self._leaves.get(leaf, 0)
        if not bits:
            twig = rung >> _TOP
            self._twigs[twig] = self._twigs.get(twig, 0) | 1 << (leaf & _MASK)
            self._root |= 1 << twig
        self._leaves[leaf] = bits | 1 << (rung & _MASK)

    def remove(self, rung: int) -> None:
        """Frees a rung that is taken."""
        leaf = rung >> _BITS
        bits = self._leaves[leaf] ^ 1 << (rung & _MASK)
        if bits:
            self._leaves[leaf] = bits
            return
        del self._leaves[leaf]
        twig = rung >> _TOP
        bits = self._twigs[twig] ^ 1 << (leaf & _MASK)
        if bits:
            self._twigs[twig] = bits
            return
        del self._twigs[twig]
        self._root ^= 1 << twig

    def highest(self) -> int:
        """The highest rung taken, or NONE."""
        if not self._root:
            return NONE
        twig = self._root.bit_length() - 1
        leaf = twig << _BITS | self._twigs[twig].bit_length() - 1
        return leaf << _BITS | self._leaves[leaf].bit_length() - 1

    def below(self, rung: int) -> int:
        """The highest rung taken that is lower than ``rung``, or NONE."""
        leaf = rung >> _BITS
        bits = self._leaves.get(leaf, 0) & (1 << (rung & _MASK)) - 1
        if bits:
            return leaf << _BITS | bits.bit_length() - 1
        twig = rung >> _TOP
        bits = self._twigs.get(twig, 0) & (1 << (leaf & _MASK)) - 1
        if not bits:
            root = self._root & (1 << twig) - 1
            if not root:
                return NONE
            twig = root.bit_length() - 1
            bits = self._twigs[twig]
        leaf = twig << _BITS | bits.bit_length() - 1
        return leaf << _BITS | self._leaves[leaf].bit_length() - 1
