"""Which teachers teach a text: one, or several whose distributions are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tagdistill.settings.distill import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping

BETWEEN, BEFORE_WEIGHT = "+", "@"  # in the name of an average, which is part of a path


@dataclass(frozen=True)
class Mixture:
    """Teachers, each known by its language or its name, and their weights: sorted by name, the smallest is 1."""

    weights: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Self:
        """Return the average with these weights, of which only the ratios count."""
        least = min(weights.values())
        return cls(tuple((name, weight / least) for name, weight in sorted(weights.items())))

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the average of a name."""
        parts = [part.partition(BEFORE_WEIGHT) for part in name.split(BETWEEN)]
        return cls(tuple((teacher, float(weight or 1)) for teacher, _, weight in parts))

    @property
    def name(self) -> str:
        """Its name in paths.

        >>> Mixture.of({"fr": 2, "all": 5}).name
        'all@2.5+fr'
        """
        weights = (f"{BEFORE_WEIGHT}{weight!r}".removesuffix(".0") if weight != 1 else "" for _, weight in self.weights)
        return BETWEEN.join(f"{teacher}{weight}" for (teacher, _), weight in zip(self.weights, weights, strict=True))

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names of its teachers."""
        return tuple(name for name, _ in self.weights)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, in their order; their sum is 1."""
        whole = sum(weight for _, weight in self.weights)
        return tuple(weight / whole for _, weight in self.weights)


def named(weights: Mapping[str, float]) -> str:
    """Return teachers and their weights in words, as a config names them; weights that are all alike are not shown.

    >>> named({"own": 1, "all": 1}), named({"own": 1, "all": 2.5})
    ('own + all', 'own + 2.5 all')
    """
    alike, ordered = (
        len(set(weights.values())) == 1,
        sorted(weights.items(), key=lambda pair: (pair[0] != OWN, pair[0])),
    )
    return " + ".join(name if alike or weight == 1 else f"{weight:g} {name}" for name, weight in ordered)
