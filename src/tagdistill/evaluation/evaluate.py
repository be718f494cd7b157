"""Score one model on all its languages: predictions and metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from tagdistill.artifacts.files import sha256_file, write_json
from tagdistill.crf import kernel
from tagdistill.data.label_rows import LabelRows
from tagdistill.distill.dataset import CorpusFiles, Source, make_pool, read_source
from tagdistill.errors import DataError
from tagdistill.evaluation.calibration import Certainty, certainty_of_scores
from tagdistill.evaluation.metrics import decodings, score
from tagdistill.evaluation.metrics_file import Role, metrics_record
from tagdistill.evaluation.predictions import write_predictions
from tagdistill.models.inference import tag_by
from tagdistill.models.load import Loaded, load_tagger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tagdistill.crf import LinearChain
    from tagdistill.distill.dataset import Batch
    from tagdistill.settings.base import Decode

log = logging.getLogger(__name__)


def evaluate_model(
    model: Path,
    name: str,
    tests: list[CorpusFiles],
    roles: dict[str, Role],
    *,
    predictions: Path,
    metrics: Path,
    own: CorpusFiles | None = None,
    encoder: Path | None = None,
    decode: Decode = "unconstrained",
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Write `LANG.conll` and `LANG.json` of every test set into two folders.

    `decode` is that of the main score and of the predictions; the other decoding of spans is scored beside it.
    `name` is students/OBJECTIVE/seed-S or teachers/TEACHER/DECODER/seed-S. The certainty of a teacher is written for
    the test set of every language that it was taught, from the same pass as the predictions. `own` is the training
    text of a teacher of one language with its scores: its certainty there is written beside that on test. Raises
    DataError for a test set without labels.
    """
    torch.set_num_threads(threads)
    loaded = load_tagger(model, encoder, device)
    teacher = None if loaded.config["objective"] else name.removeprefix("teachers/").partition("/")[0]
    taught = loaded.config["languages"] if teacher else ()
    weights = sha256_file(model / "model.safetensors") if own else ""
    known = {"train": certainty_of_scores(own, loaded.labels, weights, predictions)} if own else {}
    for files in tests:
        source = read_source(files, loaded.labels, encoder=loaded.stored, room=predictions)
        if source.labels is None:
            raise DataError("the test set has no labels", where=str(files.corpus))
        gold = LabelRows(source.labels.numpy(), source.offsets, loaded.labels)
        certainty = Certainty() if files.language in taught else None
        beside = predict_labels(loaded, source, device, decodings(loaded.labels, decode), certainty=certainty)
        found = beside.pop(decode)
        scores = score(loaded.config["task"], gold, found, loaded.labels, beside=beside)
        record = metrics_record(
            model=name,
            language=files.language,
            role=roles[files.language],
            seed=loaded.config["seed"],
            decoder=loaded.config["decoder"],
            scores=scores,
            objective=loaded.config["objective"],
            teacher=teacher,
            corpus_sha256=source.corpus_sha256,
            calibration={**known, "test": certainty.values()} if certainty else None,
            extra={"decode": decode, "kernel": kernel()},
        )
        write_predictions(predictions / f"{files.language}.conll", source.tokens, gold, found)
        write_json(metrics / f"{files.language}.json", record)
        log.info("%s on %s: %.2f", name, files.language, record[record["score"]])


def predict_labels(
    loaded: Loaded,
    source: Source,
    device: str,
    wanted: Sequence[Decode],
    *,
    certainty: Certainty | None = None,
) -> dict[Decode, LabelRows]:
    """Return the best labels of every sentence of a corpus, by each decoding that is wanted.

    `certainty` gets the sums of the same pass.
    """
    pool = make_pool([source], loaded.model, loaded.words)

    def look(chain: LinearChain, batch: Batch) -> None:
        if certainty is not None:
            certainty.add(chain, batch["labels"])

    found = tag_by(loaded.model, pool.lengths, pool.batch, wanted, device=device, look=look)
    return {decode: LabelRows(numbers, source.offsets, loaded.labels) for decode, numbers in found.items()}
