"""Puts a run together: the data, a new model, the plan of updates, the loss and the dev score."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import torch

from tagdistill.distill.by_name import load_with_teacher
from tagdistill.distill.dataset import GATE, CorpusFiles, Source, make_pool, read_source
from tagdistill.distill.losses import load_loss
from tagdistill.encoders.precision import precision_on
from tagdistill.errors import ConfigError, MismatchError
from tagdistill.models.batches import endless
from tagdistill.models.finetuned import load_tuned
from tagdistill.models.model import Model
from tagdistill.models.tagger import TaggerSpec
from tagdistill.settings.training import SAMPLING
from tagdistill.training.dev_score import dev_score
from tagdistill.training.run import FOLDS
from tagdistill.training.updates import Updates, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from tagdistill.distill.losses import Loss
    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.training.run import Run
    from tagdistill.training.trainer import Score
    from tagdistill.training.updates import Draw

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What a run trains, and how."""

    model: Model
    updates: Updates
    loss: Loss | None  # None without teachers
    temperature: float
    dev_score: Score | None  # None without dev sets
    teachers: dict[str, str]  # the hash of each language's teacher
    words_without_vector: int | None  # None: no word vectors are read beside the encoder's


def assemble(run: Run) -> Parts:
    """Read a run's data and make its model.

    Raises MismatchError for files that do not belong together, DataError for data that cannot be trained or scored on,
    ConfigError if the encoder to fine-tune is missing.
    """
    labelled = [_read(run, files) for files in run.train]
    if run.fold:
        labelled = _without_fold(run, labelled)
    unlabelled = [_read(run, files) for files in run.unlabelled] if run.distillation else []
    teachers = one_teacher_each([*labelled, *unlabelled])
    model, words = new_model(run, labelled)
    updates = _updates(run, labelled, unlabelled, model, words)
    _log_size(run, labelled, unlabelled, len(updates))
    objective = run.distillation
    missing = [source.words_without_vector for source in labelled if source.words_without_vector is not None]
    return Parts(
        model=model,
        updates=updates,
        loss=load_loss(objective.row.name) if objective else None,
        temperature=objective.temperature if objective else 1.0,
        dev_score=dev_score(run, model, words) if run.dev else None,
        teachers=teachers,
        words_without_vector=sum(missing) if missing else None,
    )


def _read(run: Run, files: CorpusFiles) -> Source:
    source = read_source(files, run.labels, run.stored, room=run.outputs.room)
    if run.distillation is None:
        return source
    source = load_with_teacher()(source, files, run.labels, run.distillation, run.outputs.room)
    return source if run.gate is None else gated(source, run.gate[source.language])


def _without_fold(run: Run, labelled: Sequence[Source]) -> list[Source]:
    assert run.fold is not None
    folds, words = import_module(FOLDS), None
    if run.settings.mode == "finetune" and run.encoder_folder:
        from tagdistill.encoders.pieces import WordPieces

        words = WordPieces.load(run.encoder_folder, drop_bare_underline=run.encoder.drop_bare_underline)
    found: list[Source] = folds.without_fold(labelled, folds.Fold(*run.fold), run.outputs.room, words)
    return found


def gated(source: Source, weight: float) -> Source:
    """Return a corpus whose teacher has a weight, 0 to 1."""
    return replace(source, per_sentence={**source.per_sentence, GATE: torch.full((len(source.lengths),), weight)})


def one_teacher_each(sources: Sequence[Source]) -> dict[str, str]:
    """Return the hash of each language's teacher. Raises MismatchError if a language has two."""
    teachers: dict[str, str] = {}
    for source in sources:
        if source.teacher is None:
            continue
        first = teachers.setdefault(source.language, source.teacher)
        if first != source.teacher:
            raise MismatchError(
                f"targets of two teachers: {first[:12]} and {source.teacher[:12]}",
                where=source.language,
                hint="Its labelled and its unlabelled text must be scored by one teacher: make the targets again.",
            )
    return teachers


def new_model(run: Run, labelled: Sequence[Source]) -> tuple[Model, WordPieces | None]:
    """Return a new model, and the tokenizer if its encoder is fine-tuned.

    With a frozen encoder the model is standardised by the vectors of the labelled text. Raises ConfigError where the
    device lacks the precision of an encoder to tune.
    """
    layers, words = None, None
    if run.settings.mode == "finetune":
        if run.encoder_folder is None:
            raise ConfigError("fine-tuning needs the encoder's folder", where="--encoder")
        precision_on(run.encoder.precision, run.machine.device)
        layers, words = load_tuned(run.encoder_folder, run.encoder, run.settings.tune_from)
    mix = run.encoder.mixed
    spec = TaggerSpec(
        inputs=layers.hidden_size if layers is not None else labelled[0].width_of_mix(len(mix)),
        mix=mix,
        labels=run.labels,
        decoder=run.decoder,
        head=run.settings.head,
        hidden=run.settings.hidden,
        dropout=run.settings.dropout,
        word_dropout=run.settings.word_dropout,
    )
    model = Model(spec, layers)
    if layers is None:
        vectors = [source.vectors for source in labelled if source.vectors is not None]
        model.tagger.standardise_by(*mean_and_std(vectors, model.tagger.mixed))
    return model.to(run.machine.device), words


@torch.no_grad()
def mean_and_std(
    languages: Sequence[Tensor], mixed: Callable[[Tensor], Tensor] = lambda vectors: vectors
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [dim] of word vectors [words, dim]; all languages have the same weight.

    `mixed` turns the vectors of several layers into one, as a new model does: into their average.
    """
    moments = [_moments(torch.split(vectors, 8192), mixed) for vectors in languages]
    mean = torch.stack([first for first, _ in moments]).mean(0)
    square = torch.stack([second for _, second in moments]).mean(0)
    return mean.float(), (square - mean.square()).clamp_min(0).sqrt().float()


def _moments(pieces: Sequence[Tensor], mixed: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the means of values and squares, in pieces: the vectors of a large corpus exceed memory in float64."""
    words = sum(map(len, pieces))
    first = second = torch.zeros((), dtype=torch.float64)
    for piece in pieces:
        values = mixed(piece.float()).double()
        first = first + values.sum(0)
        second = second + values.square().sum(0)
    return first / words, second / words


def _updates(
    run: Run, labelled: Sequence[Source], unlabelled: Sequence[Source], model: Model, words: WordPieces | None
) -> Updates:
    pool, other = (
        make_pool(sources, model, words, cache=True, room=run.outputs.room) for sources in (labelled, unlabelled)
    )
    objective = run.distillation
    planned = plan(
        run.settings,
        pool.lengths,
        other.lengths,
        run.seed,
        distils=objective is not None,
        anneal=objective.anneal if objective else None,
        unlabelled_ratio=objective.unlabelled_ratio if objective else 0.0,
        updates_per_batch=run.updates_per_batch,
        draws=(_draw(run, labelled), _draw(run, unlabelled)),
    )
    return Updates(pool, other, planned, run.machine.processes, loss_per=run.settings.loss_per)


def _draw(run: Run, sources: Sequence[Source]) -> Draw:
    """Return how sentences are drawn: as they are, or languages by a power of their sizes."""
    if run.settings.alpha == 1:
        return endless
    by_language = import_module(SAMPLING).endless_by_language
    return partial(by_language, sizes=[len(source.lengths) for source in sources], alpha=run.settings.alpha)


def _log_size(run: Run, labelled: Sequence[Source], unlabelled: Sequence[Source], updates: int) -> None:
    sentences, extra = (sum(len(source.lengths) for source in sources) for sources in (labelled, unlabelled))
    words = sum(int(source.lengths.sum()) for source in labelled)
    size = f"{sentences} labelled sentences of {len(labelled)} languages, {words} words"
    if unlabelled:
        size += f"; {extra} unlabelled sentences"
    log.info("%s: %s; %d updates on %s", run.objective or "teacher", size, updates, run.machine.device)
