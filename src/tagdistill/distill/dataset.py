"""What taggers are trained and run on: the corpora of one or more languages, split into batches."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagdistill.artifacts.files import check_belongs
from tagdistill.artifacts.scratch import scratch
from tagdistill.data.corpus import Corpus, read_corpus
from tagdistill.encoders.keys import encoder_key, stored_taps
from tagdistill.encoders.store import FeatureStore
from tagdistill.models.batches import gather
from tagdistill.models.finetuned import PieceInputs
from tagdistill.models.inputs import MakeInputs, ModelInputs
from tagdistill.models.word_vectors import open_word_vectors
from tagdistill.settings.encoder import EncoderSettings, WordEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.models.model import Model

log = logging.getLogger(__name__)
GATE = "gate"  # of the values of a sentence's teacher: what it weighs, 0 to 1
NO_LABEL = -100  # padding of label tensors; never read
WORDS_AT_ONCE = 1 << 16  # whose vectors are put together


@dataclass(frozen=True)
class CorpusFiles:
    """The files of one corpus: its text, what is stored of its encoder and, for a student, its teacher's values."""

    language: str
    corpus: Path
    features: Path | None = None  # of a frozen encoder
    targets: Path | None = None
    scores: Path | None = None
    other_scores: tuple[Path, ...] = ()  # of further teachers, if a student learns from the average of several
    shares: tuple[float, ...] = ()  # their weights, the first teacher's before; the sum is 1
    vectors: Path | None = None  # folder of the word vectors that a teacher reads beside the features
    states: Path | None = None  # of pieces, in the frozen layers of a fine-tuned encoder


@dataclass(frozen=True)
class Source:
    """One corpus. Per-word values are flat: sentence i has the words from offsets[i] to offsets[i + 1].

    What is large is mapped from files, so that a batch alone takes memory.
    """

    language: str
    tokens: Sequence[Sequence[str]]
    offsets: NDArray[np.int64]
    vectors: Tensor | None = None  # [words, dim] float16, of a frozen encoder; of layers to mix beside one another
    labels: Tensor | None = None  # [words] whole numbers: places in the label list
    per_word: dict[str, Tensor] = field(default_factory=dict)  # fields of TeacherValues, [words, ...]
    per_sentence: dict[str, Tensor] = field(default_factory=dict)  # fields of TeacherValues, [sentences, ...]
    teacher: str | None = None  # hash of the weights that the teacher's values were computed with
    beside: int = 0  # the last numbers of each vector that are a word vector beside the encoder's
    words_without_vector: int | None = None  # None: no word vectors are read beside the encoder's
    corpus_sha256: str | None = None
    states: FeatureStore | None = None  # of pieces, in the frozen layers of a fine-tuned encoder

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each sentence."""
        return np.diff(self.offsets)

    @property
    def width(self) -> int:
        """Size of a frozen encoder's vectors, as they are stored."""
        return _vectors_of(self).shape[1]

    def width_of_mix(self, layers: int) -> int:
        """Return the size of a frozen encoder's vectors when so many layers, if any, are mixed."""
        return (self.width - self.beside) // max(1, layers) + self.beside


def read_source(
    files: CorpusFiles, labels: Sequence[str], encoder: EncoderSettings | None = None, *, room: Path | None = None
) -> Source:
    """Read one corpus, its features or states, and its word vectors.

    `encoder`: the settings that features or states must have been computed with. `room`: a folder for temporary files;
    None: what is put together from several files is in memory. Raises MismatchError for files that do not belong
    together.
    """
    corpus = read_corpus(files.corpus)
    # Files come in lists and are matched by position: the corpus itself says whether it is the expected one.
    check_belongs(files.corpus, corpus.metadata, language=files.language, labels=list(labels))
    read = _vectors(files, files.features, corpus, encoder, room) if files.features else (None, 0, None)
    vectors, beside, missing = read
    return Source(
        files.language,
        corpus.tokens,
        np.concatenate([[0], np.cumsum(corpus.lengths, dtype=np.int64)]),
        vectors,
        label_ids(corpus),
        beside=beside,
        words_without_vector=missing,
        corpus_sha256=corpus.sha256,
        states=_open(files.states, corpus, encoder) if files.states else None,
    )


def _vectors(
    files: CorpusFiles, path: Path, corpus: Corpus, encoder: EncoderSettings | None, room: Path | None
) -> tuple[Tensor, int, int | None]:
    """Return the vectors of all words, the size of word vectors in them, and how many words have none of these.

    Without word vectors beside the encoder's the size is 0, and the number None.
    """
    store = _open(path, corpus, encoder)
    wanted = encoder.vectors if isinstance(encoder, WordEncoder) else None
    if wanted is None and files.vectors is None:
        return store.features, 0, None
    words = open_word_vectors(files.vectors, wanted, str(files.corpus))
    own = store.features.shape[1]
    joined = torch.from_numpy(scratch(room, (len(store.features), own + words.dim), np.float16))
    every = chain.from_iterable(corpus.tokens)
    for begin in range(0, len(joined), WORDS_AT_ONCE):
        part = joined[begin : begin + WORDS_AT_ONCE]
        part[:, :own] = store.features[begin : begin + WORDS_AT_ONCE]
        part[:, own:] = torch.from_numpy(words(islice(every, len(part))))
    log.info("%s: %d of %d words have no word vector", files.corpus, words.missing, words.looked_up)
    return joined, words.dim, words.missing


def _open(path: Path, corpus: Corpus, encoder: EncoderSettings | None) -> FeatureStore:
    """Open a store. Raises MismatchError where it is of another text or, if `encoder` is known, made with another."""
    store = FeatureStore.open(path)
    store.matches(corpus)
    if encoder is not None:
        made_with: dict[str, Any] = {"pooling": encoder.pooling, "drop_bare_underline": encoder.drop_bare_underline}
        if encoder.precision != "auto":
            made_with["precision"] = None if encoder.precision == "fp32" else encoder.precision
        check_belongs(path, store.metadata, encoder=encoder_key(encoder), taps=stored_taps(encoder), **made_with)
    return store


def label_ids(corpus: Corpus) -> Tensor | None:
    """Return the labels of all words, [words], as places in the corpus's label list, or None without labels."""
    numbers = corpus.label_numbers()
    return None if numbers is None else torch.from_numpy(numbers)


class Batch(ModelInputs, total=False):
    """Padded tensors of some sentences."""

    labels: Tensor  # (batch, time) int64; absent if some of the sentences have none
    teacher: dict[str, Tensor]  # fields of TeacherValues, and GATE; empty without teachers


class Pool:
    """Sentences of several sources as one data set, whose rows are numbered through all sources.

    `inputs` computes the model's inputs if its encoder is fine-tuned; with a frozen one they are the stored vectors.
    """

    def __init__(self, sources: Sequence[Source], inputs: MakeInputs | None = None) -> None:
        self.sources, self.inputs = list(sources), inputs
        self.starts = np.cumsum([0, *(len(source.lengths) for source in self.sources)])
        empty = np.zeros(0, np.int64)
        self.lengths = np.concatenate([source.lengths for source in self.sources] or [empty])

    def batch(self, rows: NDArray[np.intp]) -> Batch:
        """Return the batch of some sentences, in the order of their row numbers."""
        rows = np.sort(rows)  # brings the sentences of a source together
        bounds = zip(self.sources, self.starts, self.starts[1:], strict=False)
        parts = [(source, rows[(rows >= begin) & (rows < end)] - begin) for source, begin, end in bounds]
        parts = [(source, places) for source, places in parts if len(places)]
        batch: Batch = {"lengths": torch.from_numpy(self.lengths[rows]), "teacher": _teacher_values(parts)}
        if self.inputs is not None:
            batch.update(self.inputs(rows))  # type: ignore[typeddict-item]  # its keys are among the batch's
        else:
            batch["vectors"] = _padded(parts, _vectors_of, torch.float32)
        if all(source.labels is not None for source, _ in parts):
            batch["labels"] = _padded(parts, _labels_of, torch.int64, NO_LABEL)
        return batch


Part = tuple[Source, NDArray[np.intp]]  # a source and the numbers of some of its sentences


def _teacher_values(parts: Sequence[Part]) -> dict[str, Tensor]:
    first, _ = parts[0]
    values: dict[str, Tensor] = {}
    for name in first.per_word:
        dtype = torch.int64 if name == "paths" else torch.float32
        values[name] = _padded(parts, partial(_per_word, name), dtype)
    for name in first.per_sentence:
        values[name] = torch.cat([source.per_sentence[name][places] for source, places in parts])
    if "paths" in values:
        values["paths"] = values["paths"].transpose(1, 2)  # (batch, k, time)
    return values


def _vectors_of(source: Source) -> Tensor:
    assert source.vectors is not None, "a frozen encoder's vectors are read for every source"
    return source.vectors


def _labels_of(source: Source) -> Tensor:
    assert source.labels is not None
    return source.labels


def _per_word(name: str, source: Source) -> Tensor:
    return source.per_word[name]


def _padded(
    parts: Sequence[Part], values: Callable[[Source], Tensor], dtype: torch.dtype, fill: int | float = 0
) -> Tensor:
    """Return the per-word values of the parts' sentences as one (batch, time, ...) tensor."""
    pieces = [gather(values(source), source.offsets, places, dtype, fill) for source, places in parts]
    time = max(piece.shape[1] for piece in pieces)
    padded = torch.full((sum(map(len, pieces)), time, *pieces[0].shape[2:]), fill, dtype=dtype)
    begin = 0
    for piece in pieces:
        padded[begin : begin + len(piece), : piece.shape[1]] = piece
        begin += len(piece)
    return padded


def make_pool(
    sources: Sequence[Source],
    model: Model,
    words: WordPieces | None,
    *,
    cache: bool = False,
    room: Path | None = None,
) -> Pool:
    """Return the data set of some sources with the inputs that a model needs.

    `words`: the tokenizer of a fine-tuned encoder, None for a frozen one. `cache`: compute the states of the frozen
    layers once where a source has none, for a data set that is run over many times.
    """
    if words is None or model.encoder is None:
        return Pool(sources)
    if not any(len(source.tokens) for source in sources):
        return Pool(sources)
    texts, stored = [source.tokens for source in sources], [source.states for source in sources]
    return Pool(sources, PieceInputs.of(texts, words, model.encoder, stored=stored, cache=cache, room=room).batch)
