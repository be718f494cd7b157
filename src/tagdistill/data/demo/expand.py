"""Turn the authored patterns and names of one language into labelled sentences, the same on every machine.

A pattern is a line of tokens. `{PER.f:gen}` is a name of type PER that carries the tag `f`, in the form `gen` (the
first form of the language without `:form`); `{=this_week|today}` is a choice between plain words. A form may begin
with words that are no part of the name, closed by a bar: `στη|Λάρισα`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent
# Five names in ten are for training, three for testing, two for the dev and unlabelled splits.
POOLS = ("train", "test", "train", "spare", "train", "test", "train", "spare", "train", "test")
POOL_OF = {"train": "train", "dev": "spare", "test": "test", "unlabelled": "spare"}
SLOT = re.compile(r"\{(PER|LOC|ORG)((?:\.\w+)*)(?::(\w+))?\}")
ATTEMPTS = 12


class Name(NamedTuple):
    """One name: its type, its tags, its pool and its forms by the name of the form."""

    kind: str
    tags: frozenset[str]
    pool: str
    forms: dict[str, str]

    @property
    def lemma(self) -> str:
        """The first form, which has no words before the bar."""
        return next(iter(self.forms.values()))


class Sentence(NamedTuple):
    """The tokens of one sentence and its BIOES labels."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]


def digest(*key: object) -> int:
    """Return a number that depends on nothing but the key: `hash` and `random` may differ between versions."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:8], "big")


@cache
def patterns(language: str) -> dict[str, list[str]]:
    """Read `patterns.txt`: the lines under each `[split]` heading."""
    found: dict[str, list[str]] = {}
    section: list[str] = []
    for line in (ROOT / language / "patterns.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = section = []
        elif line and not line.startswith("#"):
            section.append(line)
    return found


@cache
def names(language: str) -> list[Name]:
    """Read `names.tsv`; a surface form has one pool, though it names both a city and a team."""
    with (ROOT / language / "names.tsv").open(encoding="utf-8", newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file, delimiter="\t")]
    pools: dict[str, str] = {}
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for row in rows:
        kind, tags = row.pop("type"), row.pop("tags", "")
        surfaces = [form.rpartition("|")[2] for form in row.values()]
        if not (pool := next((pools[s] for s in surfaces if s in pools), "")):
            pool = POOLS[seen[kind, tags] % len(POOLS)]
            seen[kind, tags] += 1
        pools.update(dict.fromkeys(surfaces, pool))
        found.append(Name(kind, frozenset(tags.split()), pool, row))
    return found


class Filler:
    """Fill the slots of patterns for one split, preferring the names that were used least."""

    def __init__(self, language: str, split: str) -> None:
        self.language, self.split = language, split
        self.used: Counter[str] = Counter()

    def candidates(self, slot: str, key: tuple[object, ...], without: set[str]) -> list[tuple[str, str]]:
        """Return (lemma, form) of the names that fit a slot, from the pool of this split, but for those `without`.

        One mention in four of the dev and test splits takes a name that training has seen.
        """
        kind, tags, form = SLOT.fullmatch(slot).groups()  # type: ignore[union-attr]
        wanted = frozenset(tags.split(".")[1:])
        fitting = [n for n in names(self.language) if n.kind == kind and wanted <= n.tags and n.lemma not in without]
        if "train" in patterns(self.language):
            known = self.split in ("dev", "test") and digest(*key, "known") % 4 == 0
            own = [n for n in fitting if n.pool == POOL_OF[self.split]]
            fitting = (known and [n for n in fitting if n.pool == "train"]) or own
        forms = [(n.lemma, n.forms.get(form, "") if form else n.lemma) for n in fitting]
        if not (forms := [f for f in forms if f[1]]):
            raise DataError(f"no name fits {slot!r} in the {self.split} split", where=f"{self.language}/names.tsv")
        return forms

    def fill(self, pattern: str, attempt: int, *key: object) -> tuple[Sentence, list[str]]:
        """Return one sentence of a pattern and the names in it; `attempt` above 0 drops the preference."""
        tokens: list[str] = []
        labels: list[str] = []
        mentions: list[str] = []
        for place, item in enumerate(pattern.split()):
            here = (self.language, self.split, pattern, *key, attempt, place)
            if item.startswith("{="):
                choices = item[2:-1].split("|")
                words = choices[digest(*here) % len(choices)].split("_")
                labels += ["O"] * len(words)
            elif item.startswith("{"):
                fitting = self.candidates(item, here, set(mentions))
                lemma, form = min(fitting, key=lambda f: (0 if attempt else self.used[f[0]], digest(*here, f[1])))
                mentions.append(lemma)
                before, _, name = form.rpartition("|")
                words = [*before.split(), *name.split()]
                labels += ["O"] * len(before.split()) + bioes(item[1:4], len(name.split()))
            else:
                words = [item]
                labels.append("O")
            tokens += words
        return Sentence(tuple(tokens), tuple(labels)), mentions

    def sentences(self, taken: set[tuple[str, ...]]) -> Iterator[Sentence]:
        """Yield sentences, one of each pattern in turn, without those in `taken`; stop when nothing new comes."""
        lines = patterns(self.language)["train" if self.split == "unlabelled" else self.split]
        for turn in count():
            before = len(taken)
            for line in lines:
                for attempt in range(ATTEMPTS):
                    sentence, mentions = self.fill(line, attempt, turn)
                    if sentence.tokens not in taken:
                        taken.add(sentence.tokens)
                        self.used.update(mentions)
                        yield sentence
                        break
            if len(taken) == before:
                return


def bioes(kind: str, length: int) -> list[str]:
    """Return the labels of one mention: S alone, or B, I ... and E."""
    if length == 1:
        return [f"S-{kind}"]
    return [f"B-{kind}", *[f"I-{kind}"] * (length - 2), f"E-{kind}"]


@cache
def expand(language: str, split: str, size: int) -> tuple[Sentence, ...]:
    """Return `size` distinct sentences of a split, in a mixed order."""
    # The unlabelled split shares the patterns of the training split: its plain sentences must be other ones.
    taken = {s.tokens for s in expand(language, "train", SIZES["train"])} if split == "unlabelled" else set()
    found = list(islice(Filler(language, split).sentences(taken), size))
    if len(found) < size:
        raise DataError(f"{len(found)} distinct {split} sentences, {size} wanted", where=f"{language}/patterns.txt")
    return tuple(sorted(found, key=lambda s: digest(language, split, *s.tokens)))


SIZES = {"train": 240, "dev": 60, "test": 80, "unlabelled": 200}
