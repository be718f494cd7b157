"""What a tagger learns from: the corpora of one or many languages, in memory, cut into batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagdistill.artifacts.parquet import check_belongs
from tagdistill.data.corpus import Corpus, read_corpus
from tagdistill.distill.score_table import Scores, read_scores
from tagdistill.distill.target_table import expected_counts, read_targets
from tagdistill.distill.teacher_values import TeacherValues
from tagdistill.encoders.features import FeatureStore
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.vectors import WordVectors, vectors_key
from tagdistill.errors import DataError, MismatchError
from tagdistill.models.batches import gather
from tagdistill.settings.encoder import EncoderSettings, Vectors, WordEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from tagdistill.settings.base import Decoder
    from tagdistill.settings.objectives import Objective

log = logging.getLogger(__name__)
Batch = dict[str, Any]
MakeInputs = Callable[[NDArray[np.intp]], Batch]
NO_LABEL = -100  # stands in padding; never read


@dataclass(frozen=True)
class CorpusFiles:
    """The files of one corpus: its text, its features (frozen encoder) and, for a student, what its teacher says."""

    language: str
    corpus: Path
    features: Path | None = None
    targets: Path | None = None
    scores: Path | None = None
    vectors: Path | None = None  # word vectors that a teacher reads beside the features


@dataclass(frozen=True)
class Source:
    """One corpus in memory. Per-word values are flat; `vectors` are those of the frozen encoder, if it is frozen."""

    language: str
    tokens: list[list[str]]
    offsets: NDArray[np.int64]
    vectors: Tensor | None = None
    labels: Tensor | None = None
    per_word: dict[str, Tensor] = field(default_factory=dict)  # teacher values, [words, ...]
    per_sentence: dict[str, Tensor] = field(default_factory=dict)  # teacher values, [sentences, ...]
    teacher: str | None = None  # hash of the weights that the teacher values are of
    words_without_vector: int | None = None  # where word vectors stand beside the encoder's

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def width(self) -> int:
        """Size of a frozen encoder's vectors."""
        return _vectors_of(self).shape[1]


def read_source(
    files: CorpusFiles,
    labels: Sequence[str],
    objective: Objective | None = None,
    encoder: EncoderSettings | None = None,
) -> Source:
    """Read one corpus with what an objective needs of its teacher; refuse files that do not belong together.

    `encoder`: the settings that the features must have been made with.
    """
    corpus = read_corpus(files.corpus)
    # Files come in lists, matched by place: the corpus itself says whether it is the one that is meant.
    check_belongs(files.corpus, corpus.metadata, language=files.language, labels=list(labels))
    vectors, missing = _vectors(files, files.features, corpus, encoder) if files.features else (None, None)
    offsets = np.concatenate([[0], np.cumsum(corpus.lengths, dtype=np.int64)])
    said: dict[str, Any] = {}
    if objective is not None and (objective.targets or objective.scores):
        read = _target_values if objective.targets else _score_values
        path = _needed(files.targets if objective.targets else files.scores, files)
        metadata, said["per_word"], said["per_sentence"] = read(path, objective)
        said["teacher"] = _check_teacher(path, metadata, corpus, labels, objective.teacher_decoder)
    return Source(
        files.language, corpus.tokens, offsets, vectors, label_ids(corpus, labels), words_without_vector=missing, **said
    )


def _vectors(
    files: CorpusFiles, path: Path, corpus: Corpus, encoder: EncoderSettings | None
) -> tuple[Tensor, int | None]:
    """Return the vectors of all words and, where word vectors stand beside the encoder's, how many words have none."""
    store = FeatureStore.open(path)
    store.matches(corpus)
    if encoder is not None:
        made_with = {"pooling": encoder.pooling, "drop_bare_underline": encoder.drop_bare_underline}
        check_belongs(path, store.metadata, encoder=encoder_key(encoder), taps=list(encoder.taps), **made_with)
    beside = encoder.vectors if isinstance(encoder, WordEncoder) else None
    if beside is None and files.vectors is None:
        return store.features, None
    words = word_vectors(files.vectors, beside, str(files.corpus))
    found = words(word for sentence in corpus.tokens for word in sentence)
    log.info("%s: %d of %d words have no word vector", files.corpus, words.missing, words.looked_up)
    return torch.cat([store.features, torch.from_numpy(found)], dim=1), words.missing


def word_vectors(folder: Path | None, wanted: Vectors | None, where: str) -> WordVectors:
    """Return the word vectors in a folder; refuse others than those that a model is made on."""
    if folder is None or wanted is None:
        what = "this model was trained without word vectors" if folder else "this model needs its word vectors"
        raise MismatchError(what, where=where, hint="Say with --vectors where they are." if wanted else None)
    words = WordVectors.open(folder)
    if words.key != vectors_key(wanted):
        raise MismatchError(f"these are {words.key!r}, needed are {vectors_key(wanted)!r}", where=str(folder))
    return words


def _needed(path: Path | None, files: CorpusFiles) -> Path:
    if path is None:
        raise DataError(f"the objective needs the teacher's targets of {files.language!r}", where=str(files.corpus))
    return path


def label_ids(corpus: Corpus, labels: Sequence[str]) -> Tensor | None:
    """Return the labels of all words as int64 indices into the label list, or None for text without labels."""
    if corpus.labels is None:
        return None
    index = {label: place for place, label in enumerate(labels)}
    return torch.tensor([index[label] for sentence in corpus.labels for label in sentence], dtype=torch.int64)


Values = tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]  # metadata, values of words, of sentences


def _target_values(path: Path, objective: Objective) -> Values:
    targets = read_targets(path)
    words: dict[str, NDArray[Any]] = {"log_posterior": targets.log_posterior, "paths": targets.paths}
    per_word = {name: torch.from_numpy(words[name].copy()) for name in words if name in objective.targets}
    weights = torch.from_numpy(targets.path_log_prob.copy())
    return targets.metadata, per_word, {"path_log_prob": weights} if "paths" in objective.targets else {}


def _score_values(path: Path, objective: Objective) -> Values:
    scores = read_scores(path)
    per_word: dict[str, Tensor] = {}
    per_sentence: dict[str, Tensor] = {}
    if "emissions" in objective.scores:
        per_word["emissions"] = torch.from_numpy(scores.emissions.copy())
    if "transitions" in objective.scores:
        per_sentence["transitions"] = _repeated(scores)
    if "pairs" in objective.scores:
        unary, pairs = expected_counts(scores)
        per_word["unary"], per_sentence["pairs"] = torch.from_numpy(unary), torch.from_numpy(pairs)
    return scores.metadata, per_word, per_sentence


def _check_teacher(
    path: Path, metadata: dict[str, Any], corpus: Corpus, labels: Sequence[str], wanted: Decoder | None
) -> str:
    """Return the hash of the teacher of a file, after refusing one that is of another text, label list or kind."""
    check_belongs(path, metadata, language=corpus.language, labels=list(labels), corpus_sha256=corpus.sha256)
    if (decoder := metadata.get("decoder")) != wanted:
        raise MismatchError(
            f"scores of a {decoder} teacher, needed are those of a {wanted} one",
            where=str(path),
            hint="`token` learns from softmax teachers, every other objective from CRF teachers.",
        )
    return metadata["teacher_sha256"]


def _repeated(scores: Scores) -> Tensor:
    """Return the one transition matrix for every sentence, without copies: batches mix teachers."""
    return torch.from_numpy(scores.transitions).expand(len(scores.ids), -1, -1)


class Pool:
    """Sentences of several sources side by side; a batch is made of rows of the whole pool.

    `inputs` makes the model's inputs where the encoder is tuned; with a frozen one they are the stored vectors.
    """

    def __init__(self, sources: Sequence[Source], inputs: MakeInputs | None = None) -> None:
        self.sources, self.inputs = list(sources), inputs
        self.starts = np.cumsum([0, *(len(source.lengths) for source in self.sources)])
        empty = np.zeros(0, np.int64)
        self.lengths = np.concatenate([source.lengths for source in self.sources] or [empty])

    def batch(self, rows: NDArray[np.intp]) -> Batch:
        """Return padded tensors of some sentences, sorted: inputs, lengths, labels, the teachers' values."""
        rows = np.sort(rows)  # brings the sentences of a source together
        groups = [
            (source, rows[(rows >= begin) & (rows < end)] - begin)
            for source, begin, end in zip(self.sources, self.starts, self.starts[1:], strict=False)
        ]
        groups = [(source, places) for source, places in groups if len(places)]
        batch: Batch = {"lengths": torch.from_numpy(self.lengths[rows])}
        if self.inputs is not None:
            batch |= self.inputs(rows)
        else:
            batch["vectors"] = _padded(groups, _vectors_of, torch.float32)
        if all(source.labels is not None for source, _ in groups):
            batch["labels"] = _padded(groups, _labels_of, torch.int64, NO_LABEL)
        for name in groups[0][0].per_word:
            dtype = torch.int64 if name == "paths" else torch.float32
            batch[name] = _padded(groups, partial(_per_word, name), dtype)
        for name in groups[0][0].per_sentence:
            batch[name] = torch.cat([source.per_sentence[name][places] for source, places in groups])
        if "paths" in batch:
            batch["paths"] = batch["paths"].transpose(1, 2)  # (batch, k, time)
        return batch


def _vectors_of(source: Source) -> Tensor:
    assert source.vectors is not None, "a frozen encoder's vectors are read for every source"
    return source.vectors


def _labels_of(source: Source) -> Tensor:
    assert source.labels is not None
    return source.labels


def _per_word(name: str, source: Source) -> Tensor:
    return source.per_word[name]


def _padded(
    groups: Sequence[tuple[Source, NDArray[np.intp]]],
    values: Callable[[Source], Tensor],
    dtype: torch.dtype,
    fill: int | float = 0,
) -> Tensor:
    parts = [gather(values(source), source.offsets, places, dtype, fill) for source, places in groups]
    width = max(part.shape[1] for part in parts)
    padded = torch.full((sum(map(len, parts)), width, *parts[0].shape[2:]), fill, dtype=dtype)
    begin = 0
    for part in parts:
        padded[begin : begin + len(part), : part.shape[1]] = part
        begin += len(part)
    return padded


def teacher_of(batch: Batch) -> TeacherValues:
    """Return the part of a batch that the teachers said."""
    return TeacherValues(**{name: batch[name] for name in TeacherValues.__dataclass_fields__ if name in batch})


def mean_and_std(sources: Sequence[Source]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the word vectors of the labelled text, each language weighing the same."""
    moments = [_moments(source.vectors) for source in sources if source.vectors is not None]
    mean = torch.stack([first for first, _ in moments]).mean(0)
    square = torch.stack([second for _, second in moments]).mean(0)
    return mean.float(), (square - mean.square()).clamp_min(0).sqrt().float()


def _moments(words: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means of values and squares, in pieces: the vectors of a large corpus exceed memory in float64."""
    first = second = torch.zeros(words.shape[1], dtype=torch.float64)
    for piece in words.split(8192):
        first = first + piece.double().sum(0)
        second = second + piece.double().square().sum(0)
    return first / len(words), second / len(words)
