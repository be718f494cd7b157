"""The two training stages: one teacher of one language, one student of all."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from tagdistill.artifacts.code_key import code_key
from tagdistill.artifacts.files import read_json, sha256_file, sha256_json, write_json, write_text
from tagdistill.artifacts.provenance import versions
from tagdistill.crf import kernel
from tagdistill.data.corpus import read_corpus
from tagdistill.data.span_counts import f1, sentence_counts
from tagdistill.distill.dataset import CorpusFiles, MakeInputs, Pool, Source, mean_and_std, read_source
from tagdistill.distill.losses import load_loss, loss_modules
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.errors import ConfigError, DataError, MismatchError
from tagdistill.models.finetuned import PieceInputs, load_tuned
from tagdistill.models.inference import tag
from tagdistill.models.model import Model, save_model
from tagdistill.models.tagger import TaggerSpec
from tagdistill.settings.distill import Distill
from tagdistill.settings.objectives import OBJECTIVES, Objective
from tagdistill.training.checkpoints import last_checkpoint
from tagdistill.training.processes import Processes
from tagdistill.training.trainer import Score, train
from tagdistill.training.updates import Updates, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.settings.base import Decoder
    from tagdistill.settings.encoder import EncoderSettings
    from tagdistill.settings.training import Training

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One training run: what is trained, on what, and where its outputs go."""

    task: str
    labels: tuple[str, ...]
    decoder: Decoder
    settings: Training
    encoder: EncoderSettings
    seed: int
    train: Sequence[CorpusFiles]
    dev: Sequence[CorpusFiles]
    model: Path
    log: Path  # metrics.jsonl
    summary: Path  # training.json
    checkpoints: Path
    encoder_folder: Path | None = None  # fine-tuning only
    unlabelled: Sequence[CorpusFiles] = ()
    objective: str | None = None  # a student's
    distill: Distill | None = None
    device: str = "cpu"
    threads: int = 1
    processes: Processes = field(default_factory=Processes)

    def fingerprint(self) -> str:
        """Return a hash of all that decides the weights: settings, data, targets, code, seed and libraries."""
        files = [path for corpus in (*self.train, *self.dev, *self.unlabelled) for path in _paths(corpus)]
        return sha256_json(
            {
                "settings": self.settings.model_dump(mode="json"),
                "distill": self.distill.model_dump(mode="json") if self.distill else None,
                "shape": [self.task, self.labels, self.decoder, self.objective, self.seed],
                "machine": [self.device, self.threads, kernel(), self.processes.number],
                "encoder": [self.encoder.model_dump(mode="json"), self._encoder_sha256()],
                "files": [sha256_file(path) for path in files],
                "code": code_key(__name__, *(loss_modules(self.objective) if self.objective else ())),
                "versions": versions(),
            }
        )

    @property
    def taught_by(self) -> Objective | None:
        """The objective of a student that has teachers."""
        objective = OBJECTIVES[self.objective] if self.objective else None
        return objective if objective and objective.needs else None

    def _encoder_sha256(self) -> str | None:
        return EncoderInfo.read(self.encoder_folder).sha256 if self.encoder_folder else None


def _paths(corpus: CorpusFiles) -> list[Path]:
    paths = (corpus.corpus, corpus.features, corpus.targets, corpus.scores)
    return [path for path in paths if path is not None]


def run_training(run: Run) -> None:
    """Train and write model, log and summary; a killed run goes on from its last checkpoint.

    A lock keeps a process that outlived its workflow from training the same model at the same time; what it wrote
    while this one waited stands. Of several processes that train together the first one holds it, and writes.
    """
    run.checkpoints.parent.mkdir(parents=True, exist_ok=True)
    fingerprint = run.fingerprint()
    with _alone(run.checkpoints.with_name("training.lock")) if run.processes.first else nullcontext(False) as waited:
        finished = waited and _is_finished(run, fingerprint)
        if run.processes.first and not finished:
            run.checkpoints.mkdir(exist_ok=True)
            _forget_other_runs(run, fingerprint)
            last_checkpoint(run.checkpoints)  # removes half-written ones, before the others look
        run.processes.join(run.device)
        if run.processes.told(finished):
            log.info("the other process has trained this very model: nothing is left to do")
        else:
            _train_and_write(run, fingerprint)
        run.processes.leave()  # not after an error: it might wait for the others, who wait for this one


def _train_and_write(run: Run, fingerprint: str) -> None:
    model, outcome = _train(run)
    if run.processes.first:
        _write(run, model, outcome, fingerprint)
        shutil.rmtree(run.checkpoints)


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Hold a lock; yield whether another process held it first."""
    held, waited = FileLock(lock), False
    try:
        held.acquire(timeout=0)
    except Timeout:
        waited = True
        log.warning("another process is training this model (%s is locked): waiting for it to end", lock)
        held.acquire()
    try:
        yield waited
    finally:
        held.release()


def _is_finished(run: Run, fingerprint: str) -> bool:
    """Return whether all outputs of this very run are there; the model is written last."""
    there = run.log.exists() and run.summary.exists() and (run.model / "config.json").exists()
    return there and read_json(run.summary).get("fingerprint") == fingerprint


def _forget_other_runs(run: Run, fingerprint: str) -> None:
    """Drop checkpoints of other settings, data or code: only those of this very run can be resumed."""
    file = run.checkpoints / "fingerprint.json"
    ours = {"fingerprint": fingerprint}
    if any(run.checkpoints.iterdir()) and not (file.exists() and read_json(file) == ours):
        log.info("the checkpoints here are of other settings, data or code: starting anew")
        shutil.rmtree(run.checkpoints)
    write_json(file, ours)


def _train(run: Run) -> tuple[Model, dict[str, Any]]:
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    objective = run.taught_by
    distill = run.distill or Distill.model_validate({})
    labelled = [read_source(files, run.labels, objective, run.encoder) for files in run.train]
    plain = [read_source(files, run.labels, objective, run.encoder) for files in run.unlabelled] if objective else []
    teachers = one_teacher_each([*labelled, *plain])
    model, words = _model(run, labelled)
    pool, without = (Pool(sources, _inputs(sources, model, words)) for sources in (labelled, plain))
    updates = plan(
        run.settings,
        pool.lengths,
        without.lengths,
        run.seed,
        distils=objective is not None,
        anneal=distill.anneal,
        unlabelled_ratio=distill.unlabelled_ratio,
    )
    _say(run, objective, labelled, plain, len(updates))
    outcome = train(
        model,
        Updates(pool, without, updates, run.processes),
        run.settings,
        checkpoints=run.checkpoints,
        seed=run.seed,
        loss=load_loss(objective.name) if objective else None,
        temperature=distill.temperature,
        score=_dev_score(run, model, words) if run.dev else None,
        device=run.device,
    )
    without_vector = [x.words_without_vector for x in labelled if x.words_without_vector is not None]
    told = {"words_without_vector": sum(without_vector)} if without_vector else {}
    return model, {**outcome, "updates": len(updates), "teachers": teachers, "told": told}


def one_teacher_each(sources: Sequence[Source]) -> dict[str, str]:
    """Return the hash of each language's teacher; refuse targets of two different teachers for one language."""
    found: dict[str, str] = {}
    for source in sources:
        if source.teacher is not None and found.setdefault(source.language, source.teacher) != source.teacher:
            raise MismatchError(
                f"targets of two teachers: {found[source.language][:12]} and {source.teacher[:12]}",
                where=source.language,
                hint="Its labelled and its unlabelled text must be scored by one teacher: make the targets again.",
            )
    return found


def _say(run: Run, objective: Objective | None, labelled: list[Source], plain: list[Source], updates: int) -> None:
    words = sum(int(source.lengths.sum()) for source in labelled)
    told = f"{sum(len(s.lengths) for s in labelled)} labelled sentences of {len(labelled)} languages, {words} words"
    if plain:
        told += f"; {sum(len(s.lengths) for s in plain)} without labels"
    log.info("%s: %s; %d updates on %s", run.objective or "teacher", told, updates, run.device)


def _model(run: Run, labelled: list[Source]) -> tuple[Model, WordPieces | None]:
    """Return a new model, and the tokenizer where the encoder is tuned."""
    layers, words = None, None
    if run.settings.mode == "finetune":
        if run.encoder_folder is None:
            raise ConfigError("fine-tuning needs the encoder's folder", where="--encoder")
        layers, words = load_tuned(run.encoder_folder, run.encoder, run.settings.tune_from)
    spec = TaggerSpec(
        inputs=layers.hidden_size if layers is not None else labelled[0].width,
        labels=run.labels,
        decoder=run.decoder,
        head=run.settings.head,
        hidden=run.settings.hidden,
        dropout=run.settings.dropout,
        word_dropout=run.settings.word_dropout,
    )
    model = Model(spec, layers)
    if layers is None:
        model.tagger.standardise_by(*mean_and_std(labelled))
    return model.to(run.device), words


def _inputs(sources: Sequence[Source], model: Model, words: WordPieces | None) -> MakeInputs | None:
    """Return what makes a tuned encoder's inputs from sentences, the lower layers' states cached; None if frozen."""
    if words is None or model.encoder is None:
        return None
    sentences = [sentence for source in sources for sentence in source.tokens]
    return PieceInputs.of(sentences, words, model.encoder, cache=True).batch if sentences else None


def _dev_score(run: Run, model: Model, words: WordPieces | None) -> Score:
    """Return the function that scores a model on dev: each language, their mean (macro) and all words (pooled)."""
    sets = []
    for files in run.dev:
        source, corpus = read_source(files, run.labels, encoder=run.encoder), read_corpus(files.corpus)
        if corpus.labels is None:
            raise DataError("the dev set has no labels", where=str(files.corpus))
        sets.append((files.language, Pool([source], _inputs([source], model, words)), corpus.labels))

    def score(model: Model) -> dict[str, float]:
        counts = {}
        for language, pool, gold in sets:
            found = tag(model, pool.lengths, pool.batch, device=run.device)
            predicted = [[run.labels[label] for label in sentence] for sentence in found]
            counts[language] = sentence_counts(run.task, gold, predicted).sum(0)
        each = {language: float(f1(count)) for language, count in counts.items()}
        return {"macro": sum(each.values()) / len(each), "pooled": float(f1(sum(counts.values()))), **each}

    return score


def _write(run: Run, model: Model, outcome: dict[str, Any], fingerprint: str) -> None:
    rates = [line["words_per_second"] for line in outcome["history"] if "words_per_second" in line]
    best = outcome["best"]
    summary = {
        "updates": outcome["updates"],
        "seconds": round(outcome["seconds"], 1),
        "words_per_second": sorted(rates)[len(rates) // 2] if rates else None,
        "best_update": best["update"] if best else outcome["updates"],
        "dev": best["score"] if best else None,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "device": run.device,
        "threads": run.threads,
        "kernel": kernel(),
        "processes": run.processes.number,
        "seed": run.seed,
        "objective": run.objective,
        "fingerprint": fingerprint,
        "versions": versions(),
        **outcome["told"],
    }
    write_text(run.log, "".join(json.dumps(line, sort_keys=True) + "\n" for line in outcome["history"]))
    write_json(run.summary, summary)
    save_model(run.model, model, {**describe(run), "teachers": outcome["teachers"]})


def describe(run: Run) -> dict[str, Any]:
    """Return what a saved model says of itself."""
    metadata = {files.language: read_corpus(files.corpus).metadata for files in run.train}
    return {
        "task": run.task,
        "labels": list(run.labels),
        "decoder": run.decoder,
        "objective": run.objective,
        "languages": list(metadata),
        "licences": {language: story.get("licence") for language, story in metadata.items()},
        "corpora": {language: story["corpus_sha256"] for language, story in metadata.items()},
        "encoder": run.encoder.model_dump(mode="json"),
        "mode": run.settings.mode,
        "training": run.settings.model_dump(mode="json"),
        "distill": run.distill.model_dump(mode="json") if run.distill and run.taught_by else None,
        "seed": run.seed,
        "kernel": kernel(),
        "versions": versions(),
    }
