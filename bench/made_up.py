"""A made-up project of any size: corpora of ten languages, word vectors, and the files of teachers, written directly.

The languages hold the same sentences of twenty words, so that one feature file and one teacher's scores serve all: what
a job holds of ten languages is the same as if they differed, and making them takes minutes instead of hours.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from tagdistill.artifacts.parquet import StoredTable, write_table, write_with_header
from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.data.labels import label_list
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.store import writing
from tagdistill.settings.encoder import WordEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANGUAGES = tuple(f"l{number}" for number in range(10))
LABELS = label_list("ner", ["PER", "LOC", "ORG", "MISC"])
WORDS, KINDS, DIM, BLOCK = 20, 5000, 384, 8192  # of a sentence, different words, numbers of a vector, words at a time
ENCODER = WordEncoder(provider="tiny", layers=3, tap=2)
SPLITS = {"scores": ["emissions.list.element"]}
SPLITS["targets"] = ["log_posterior.list.element", "top_k_log_prob.list.element"]


def sentences(number: int) -> Iterator[tuple[list[str], list[str]]]:
    """Yield sentences of twenty words and their labels: a fifth of the words are spans of one."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{kind:x}" for kind in range(KINDS)], dtype=object)
    singles = np.array(["O"] * 16 + [label for label in LABELS if label.startswith("S-")], dtype=object)
    for begin in range(0, number, BLOCK):
        size = (min(BLOCK, number - begin), WORDS)
        chosen, tags = words[rng.integers(0, KINDS, size)], singles[rng.integers(0, len(singles), size)]
        yield from zip(chosen.tolist(), tags.tolist(), strict=True)


def write_corpora(folder: Path, number: int) -> None:
    """Write the corpus of each language, LANG/{train,test}.parquet, with `number` sentences, and its raw text."""
    metadata = {"language": LANGUAGES[0], "split": "train", "task": "ner", "labels": list(LABELS)}
    tokens, labels = zip(*sentences(number), strict=True)
    ids = [f"train-{place:07d}" for place in range(1, number + 1)]
    first = folder / LANGUAGES[0] / "train.parquet"
    write_corpus(first, ids=ids, tokens=tokens, labels=labels, metadata=metadata)
    corpus = read_corpus(first)
    for language in LANGUAGES:
        for split in ("train", "test"):
            if (path := folder / language / f"{split}.parquet") != first:
                groups = (corpus.table.file.read_row_group(n) for n in range(corpus.table.file.num_row_groups))
                write_with_header(path, groups, {**corpus.metadata, "language": language, "split": split})


def write_raw(path: Path, number: int) -> None:
    """Write sentences as raw text, one a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(" ".join(words) + " .\n" for words, _ in islice(sentences(number), number))


def write_features(corpus: Path, out: Path) -> None:
    """Write random vectors as the features of a corpus."""
    read = read_corpus(corpus)
    offsets = np.concatenate([[0], np.cumsum(read.lengths)])
    made_with = {"encoder": encoder_key(ENCODER), "taps": list(ENCODER.taps), "pooling": ENCODER.pooling}
    made_with |= {"drop_bare_underline": ENCODER.drop_bare_underline, "tokens_sha256": read.tokens_sha256}
    rng = np.random.default_rng(0)
    with writing(out, offsets, DIM, made_with) as vectors:
        for begin in range(0, len(vectors), BLOCK):
            part = vectors[begin : begin + BLOCK]
            part[:] = rng.normal(0, 1, (1, DIM)) + rng.normal(0, 1, (len(part), 1))


def copy_for(language: str, source: Path, out: Path, kind: str) -> None:
    """Write a teacher's file as that of another language: the same values, another name in the header."""
    table = StoredTable.open(source, kind)
    header: dict[str, Any] = {**table.metadata, "language": language}

    def groups() -> Iterator[dict[str, Any]]:
        for number in range(table.file.num_row_groups):
            part = table.file.read_row_group(number)
            yield {name: part[name].combine_chunks() for name in part.column_names}

    write_table(out, groups(), header, split=SPLITS[kind])
