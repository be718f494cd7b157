"""The data report: what the corpora of a language hold, what was repaired, what repeats."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections import Counter
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.files import write_json
from tagdistill.data.corpus import Corpus, read_corpus
from tagdistill.data.labels import has_spans, spans
from tagdistill.data.same_sentences import are_in, sentence_keys, written_keys
from tagdistill.settings.language import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BINS = (1, 5, 10, 20, 40, 80, 128, 256, 512)  # upper bounds of the histogram of lengths
# Kept as they are: some spell words (ZWNJ in Persian), and a word that holds nothing else has no piece to encode.
ZERO_WIDTH = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
NO_BREAK = frozenset("\u00a0\u2007\u202f")
CHARACTERS: dict[str, Callable[[str], bool]] = {
    "zero_width": lambda token: not ZERO_WIDTH.isdisjoint(token),
    "only_zero_width": lambda token: ZERO_WIDTH.issuperset(token),
    "no_break_space": lambda token: not NO_BREAK.isdisjoint(token),
    "other_white_space": lambda token: any(c.isspace() and c not in NO_BREAK for c in token),
    "replacement_character": lambda token: "\ufffd" in token,
    "not_nfc": lambda token: not unicodedata.is_normalized("NFC", token),
}


def report(corpora: Mapping[str, Path], out: Path) -> None:
    """Write `data/{lang}/report.json` from the corpus of each split (at least one)."""
    read = {split: read_corpus(corpora[split]) for split in SPLITS if split in corpora}
    facts = {
        "format": 1,
        "kind": "data report",
        "language": next(iter(read.values())).language,
        "splits": {split: describe(corpus) for split, corpus in read.items()},
        "repeats": {f"{later} in {first}": _shared(read[later], read[first]) for first, later in combinations(read, 2)},
    }
    write_json(out, facts)


def describe(corpus: Corpus) -> dict[str, Any]:
    """Return the facts of one split; `characters` counts tokens that hold something worth knowing."""
    header, lengths = corpus.metadata, corpus.lengths.tolist()
    kinds = Counter(chain.from_iterable(corpus.tokens))
    words = kinds.total()
    found = {name: sum(n for word, n in kinds.items() if test(word)) for name, test in CHARACTERS.items()}
    return {
        "sentences": len(corpus),
        "tokens": words,
        "lengths": {"max": max(lengths), "mean": round(words / len(corpus), 3), "histogram": _histogram(lengths)},
        "longest_token": max(map(len, kinds)),
        "labels": _labels(corpus),
        "multiword": sum(map(len, corpus.multiword)),
        "characters": found,
        "repeated_sentences": len(corpus) - len(np.unique(sentence_keys(corpus.tokens))),
        "conflicting_labels": _conflicts(corpus),
        "notes": header.get("notes", {}),
        "warnings": header.get("warnings", []),
        "source": header.get("source"),
        "source_sha256": header.get("source_sha256"),
        "corpus_sha256": corpus.sha256,
        "licence": header.get("licence"),
    }


def _labels(corpus: Corpus) -> dict[str, Any] | None:
    if corpus.labels is None:
        return None
    tags = Counter(chain.from_iterable(corpus.labels))
    facts: dict[str, Any] = {"tokens": {label: tags[label] for label in corpus.label_list}}
    if has_spans(corpus.label_list):
        kinds, without = Counter[str](), 0
        for labels in corpus.labels:
            found = spans(labels)
            kinds.update(kind for kind, _, _ in found)
            without += not found
        facts |= {"spans": dict(sorted(kinds.items())), "sentences_without_spans": without}
    return facts


def _histogram(lengths: list[int]) -> dict[str, list[Any]]:
    """Count sentences by length: `up_to` holds the bins' upper bounds, the last has none."""
    counts = [0] * (len(BINS) + 1)
    for length in lengths:
        counts[bisect_left(BINS, length)] += 1
    return {"up_to": [*BINS, None], "sentences": counts}


def _conflicts(corpus: Corpus) -> int | None:
    """Count the distinct sentences that occur with more than one labelling."""
    if corpus.labels is None:
        return None
    pairs = np.unique(np.stack([sentence_keys(corpus.tokens), sentence_keys(corpus.labels)]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _shared(left: Corpus, right: Corpus) -> dict[str, Any]:
    """Count the distinct sentences of the left corpus that the right one holds too."""
    mine, other = (np.unique(written_keys(corpus)) for corpus in (left, right))
    return {"shared": int(are_in(mine, other).sum()), "distinct": len(mine)}
