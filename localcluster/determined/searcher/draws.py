"""Trials drawn from a space by the real master's random numbers, so that a seed gives the same trials on both.

The generator is MT19937 seeded as numpy's RandomState(seed) does it; a bounded integer is drawn by masking and
rejecting (upstream: master/pkg/nprand).  For one trial the master draws the axes in sorted order of their names,
then the 16 bytes of the trial's request id, then its seed.  Which bracket asks for a trial makes no difference.

Not the same as there: the last digits of `log` values (Go has a power function of its own), and mappings nested in
the space, whose axes the real master visits in an order that changes from run to run; here it is sorted.
"""

from __future__ import annotations

import random
from typing import Any

from localcluster.determined.searcher.actions import Create

MAX_SEED = 2**31
_WORDS = 624
_REQUEST_ID_WORDS = 4


class Draws:
    """One experiment's trials in the order of their creation.

    `created` counts them, so it is the next trial's index; `position` counts the 32-bit words used up.
    """

    def __init__(self, space: dict[str, Any], seed: int) -> None:
        self._space, self._seed = space, seed
        self._generator: random.Random | None = None
        self.created = self.position = 0

    def draw(self) -> Create:
        """Draw the next trial at random."""
        return self.given(self._sample(self._space))

    def given(self, hparams: dict[str, Any]) -> Create:
        """Give the next trial these hyperparameters and a random seed."""
        self._word(_REQUEST_ID_WORDS)
        self.created += 1
        return Create(self.created - 1, hparams, self._below(MAX_SEED))

    def _sample(self, space: Any) -> Any:
        if not isinstance(space, dict):
            return space
        kind = space.get("type")
        if kind is None:
            return {name: self._sample(space[name]) for name in sorted(space)}
        if kind == "const":
            return space["val"]
        if kind == "int":
            return space["minval"] + self._below(space["maxval"] - space["minval"] + 1)
        if kind == "double":
            return self._uniform(space)
        if kind == "log":
            return float(space["base"]) ** self._uniform(space)
        return space["vals"][self._below(len(space["vals"]))]

    def _uniform(self, axis: dict[str, Any]) -> float:
        fraction = ((self._word() >> 5) * 2**26 + (self._word() >> 6)) / 2**53
        return float(axis["minval"] + (axis["maxval"] - axis["minval"]) * fraction)

    def _below(self, limit: int) -> int:
        """Draw from 0 .. limit - 1; a limit of 1 uses no random number."""
        largest = limit - 1
        mask = (1 << largest.bit_length()) - 1
        while mask:
            number = self._word() if mask < 2**32 else self._word() << 32 | self._word()
            if number & mask <= largest:
                return number & mask
        return 0

    def _word(self, count: int = 1) -> int:
        if self._generator is None:
            self._generator = _seeded(self._seed)
            if self.position:
                self._generator.getrandbits(32 * self.position)
        self.position += count
        return self._generator.getrandbits(32 * count)


def _seeded(seed: int) -> random.Random:
    """Python's generator in the state of numpy's RandomState(seed)."""
    words = [seed]
    for position in range(1, _WORDS):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + position) & 0xFFFFFFFF)
    generator = random.Random()  # noqa: S311
    generator.setstate((3, (*words, _WORDS), None))
    return generator
