"""Words a second of a student: with and without distillation, beside a softmax and beside flair on the same vectors.

    python bench/student_step.py --path build/peers --json build/bench/student.json

Rows take turns of a few batches in one run, round after round over the same batches; a batch's time is its median over
the rounds. The student runs through tagdistill's own trainer, batches, losses and decoder; "softmax" is the same with a
cross-entropy in place of the chain; flair is its own tagger and loss in a bare loop with the same optimiser, without
its trainer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from peer_files import flair_module
from student_data import Shape, batches_of, make_pool
from torch import Tensor, nn

from tagdistill.distill.dataset import Pool
from tagdistill.distill.losses import load_loss
from tagdistill.models.inference import tag
from tagdistill.models.model import Model
from tagdistill.models.tagger import TaggerSpec
from tagdistill.settings.base import LossPer
from tagdistill.settings.training import Training
from tagdistill.training.checkpoints import Checkpoints
from tagdistill.training.learner import Learner
from tagdistill.training.trainer import Trainer
from tagdistill.training.updates import Update, UpdateBatch, Updates

OBJECTIVE = "posterior+top_wk"  # with the gold loss all terms there are: NLL, posterior and top-wk
TURN = 3  # batches that a row trains on before the next row's turn
UPDATES = 1000  # of the run that the steps are taken from: the trainer logs every fiftieth part


class SoftmaxLearner(Learner):
    """The student's network with a word-by-word cross-entropy in place of the chain."""

    def forward(self, **batch: Any) -> dict[str, Tensor]:
        scores = self.model.tagger.emissions(batch["vectors"], batch["lengths"])
        total = nn.functional.cross_entropy(scores.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
        loss = total / len(scores)
        return {"loss": loss, "teacher": loss.new_zeros(()), "gold": loss}


class Enough(Exception):
    """All batches of a round are trained on."""


class TimedUpdates(Updates):
    """Notes when each update begins; what lies between two beginnings is one update with all that goes with it."""

    def __init__(self, pool: Pool, plan: list[Update], last: int, loss_per: LossPer) -> None:
        super().__init__(pool, None, plan, loss_per=loss_per)
        self.last, self.begun = last, list[tuple[float, float]]()

    def __getitem__(self, number: int) -> UpdateBatch:
        self.begun.append(now())
        if number > self.last:
            raise Enough
        return super().__getitem__(number)


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def seconds_between(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(ends)]


class Student:
    """A student of ours; a round trains it one update on each batch, and predicts all sentences."""

    def __init__(self, shape: Shape, pool: Pool, objective: str | None, learner: type[Learner] = Learner) -> None:
        self.pool, self.loss, self.learner = pool, load_loss(objective) if objective else None, learner
        self.settings = Training(hidden=shape.hidden, batch_words=shape.batch_words, updates=UPDATES)
        torch.manual_seed(0)
        decoder = "crf" if learner is Learner else "softmax"
        self.model = Model(
            TaggerSpec(inputs=shape.width, labels=shape.names, decoder=decoder, head="bilstm", hidden=shape.hidden)
        )

    def train(self, batches: list[np.ndarray]) -> list[tuple[float, float]]:
        """Return wall and processor seconds of an update on each batch; the first batch is run once before."""
        weight = 0.5 if self.loss else 0.0
        plan = [
            Update(True, rows, weight) for rows in itertools.islice(itertools.cycle([batches[0], *batches]), UPDATES)
        ]
        updates = TimedUpdates(self.pool, plan, len(batches), self.settings.loss_per)
        with tempfile.TemporaryDirectory() as folder, suppress(Enough):
            learner = self.learner(self.model, self.loss, 1.0, self.settings.loss_per)
            Trainer(learner, updates, self.settings, Checkpoints(Path(folder), updates.processes)).run()
        return seconds_between(updates.begun)[1:]

    def predict(self) -> list[tuple[float, float]]:
        ends = [now()]
        tag(self.model, self.pool.lengths, self.pool.batch)
        return seconds_between([*ends, now()])


class Flair:
    """flair's SequenceTagger: BiLSTM-CRF without reprojection, on vectors that its sentences already hold."""

    def __init__(self, shape: Shape, pool: Pool) -> None:
        data, tagger = flair_module("data"), flair_module("models.sequence_tagger_model")
        embeddings = flair_module("embeddings.base").TokenEmbeddings
        self.width, self.sentences = shape.width, []
        for source in pool.sources:
            assert source.vectors is not None and source.labels is not None
            for begin, end in zip(source.offsets, source.offsets[1:], strict=False):
                sentence = data.Sentence(["word"] * int(end - begin))
                vectors, labels = source.vectors[begin:end].float(), source.labels[begin:end].tolist()
                for token, vector, label in zip(sentence, vectors, labels, strict=True):
                    token.set_embedding("vectors", vector)
                    token.add_label("gold", shape.names[label])
                self.sentences.append(sentence)

        class Vectors(embeddings):  # type: ignore[misc, valid-type]
            """Knows what every token already holds."""

            name = "vectors"
            embedding_length = shape.width

            def embed(self, sentences: Any) -> Any:
                return sentences

            def _add_embeddings_internal(self, sentences: Any) -> None:
                raise AssertionError("all sentences hold their vectors")

        labels = data.Dictionary(add_unk=False)
        for name in shape.names:
            labels.add_item(name)
        torch.manual_seed(0)
        self.tagger = tagger.SequenceTagger(
            Vectors(), labels, "gold", hidden_size=shape.hidden, reproject_embeddings=False, word_dropout=0.0
        )
        self.optimizer = torch.optim.AdamW(self.tagger.parameters(), lr=2e-3)

    def train(self, batches: list[np.ndarray]) -> list[tuple[float, float]]:
        self.tagger.train()
        self.step(batches[0])
        ends = [now()]
        for rows in batches:
            self.step(rows)
            ends.append(now())
        return seconds_between(ends)

    def step(self, rows: np.ndarray) -> None:
        self.optimizer.zero_grad()
        loss, words = self.tagger.forward_loss([self.sentences[row] for row in rows])
        (loss / words).backward()
        nn.utils.clip_grad_norm_(self.tagger.parameters(), 5.0)
        self.optimizer.step()

    def predict(self) -> list[tuple[float, float]]:
        self.tagger.eval()
        ends = [now()]
        self.tagger.predict(self.sentences, mini_batch_size=128, label_name="found", embedding_storage_mode="cpu")
        return seconds_between([*ends, now()])


Row = Student | Flair
ROWS: dict[str, Callable[[Shape, Pool], Row]] = {
    "student": lambda shape, pool: Student(shape, pool, None),
    "student, distilled": lambda shape, pool: Student(shape, pool, OBJECTIVE),
    "softmax": lambda shape, pool: Student(shape, pool, None, SoftmaxLearner),
    "flair": Flair,
}


def measure(shape: Shape, rounds: int) -> dict[str, Any]:
    """Return words a second of every row, by wall clock and by processor time."""
    pool, rows, missing = make_pool(shape), {}, {}
    batches = batches_of(pool, shape)
    starts = range(0, len(batches), TURN)
    for name, make in ROWS.items():
        try:
            rows[name] = make(shape, pool)
        except ImportError as why:
            missing[name] = str(why)
    times: dict[str, dict[str, list[Any]]] = {name: {"train": [], "predict": []} for name in rows}
    for _ in range(rounds):
        turns = [{name: row.train(batches[i : i + TURN]) for name, row in rows.items()} for i in starts]
        for name, row in rows.items():
            times[name]["train"].append([step for turn in turns for step in turn[name]])
            times[name]["predict"].append(row.predict())
    words = {"train": int(sum(pool.lengths[rows].sum() for rows in batches)), "predict": int(pool.lengths.sum())}
    found = {
        name: {what: rates(words[what], rounds_) for what, rounds_ in kinds.items()} for name, kinds in times.items()
    }
    return {"words": words, "batches": len(batches), "rounds": rounds, "missing": missing, "rows": found}


def rates(words: int, rounds: list[list[tuple[float, float]]]) -> dict[str, float]:
    """Words a second from each part's median over the rounds."""
    wall, processor = (
        sum(statistics.median(times) for times in zip(*([part[clock] for part in one] for one in rounds), strict=True))
        for clock in (0, 1)
    )
    return {"words_per_second": words / wall, "words_per_processor_second": words / processor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", action="append", default=[], help="a folder to import flair from")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", type=int, default=Shape.words)
    parser.add_argument("--width", type=int, default=Shape.width)
    parser.add_argument("--hidden", type=int, default=Shape.hidden)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path += options.path
    torch.set_num_threads(1)
    shape = Shape(words=options.words, width=options.width, hidden=options.hidden)
    found = measure(shape, options.rounds)
    for name, row in found["rows"].items():
        rates = (f"{what} {rate['words_per_second']:8.0f} words/s" for what, rate in row.items())
        print(f"{name:20s}", *rates)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**machine(), "shape": vars(shape), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
