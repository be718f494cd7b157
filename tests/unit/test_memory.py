"""Memory that does not grow with the corpus: no Python object for each sentence, and files in the place of arrays."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import DIM, LABELS, TINY, files_of, make_corpus, student_run, teacher_run, with_targets

from tagdistill.artifacts import files, parquet, scratch
from tagdistill.artifacts.files import read_json, sha256_sample
from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.data.label_rows import LabelRows
from tagdistill.data.prepare import prepare
from tagdistill.data.report import report
from tagdistill.data.same_sentences import sentence_keys
from tagdistill.distill import teacher_chains
from tagdistill.distill.dataset import CorpusFiles, Pool, read_source
from tagdistill.distill.export_targets import export_targets
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_table import read_scores
from tagdistill.encoders.keys import encoder_key
from tagdistill.encoders.store import writing
from tagdistill.errors import DataError, TagdistillError
from tagdistill.evaluation.evaluate import evaluate_model
from tagdistill.evaluation.metrics import span_f1
from tagdistill.settings.language import Language
from tagdistill.training.assemble import assemble
from tagdistill.training.run_training import run_training

SMALL, LARGE = 200, 800  # sentences
EACH = 120  # bytes of memory that a further sentence of ten words may take: numbers, and no Python objects


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    files = files_of(make_corpus(folder, "aa", "train", 30))
    run_training(teacher_run(folder / "teacher", files, updates=3))
    return folder / "teacher" / "model"


def made_up(folder: Path, number: int) -> CorpusFiles:
    """Return a corpus of sentences of ten words, with features."""
    path = folder / f"{number}.parquet"
    tokens = [[f"w{(7 * row + place) % 97}" for place in range(10)] for row in range(number)]
    labels = [["O"] * 9 + ["S-PER"] for _ in range(number)]
    metadata = {"language": "aa", "split": "train", "task": "ner", "labels": list(LABELS)}
    ids = [f"train-{row:06}" for row in range(number)]
    write_corpus(path, ids=ids, tokens=tokens, labels=labels, metadata=metadata)
    corpus = read_corpus(path)
    made_with = {"encoder": encoder_key(TINY), "taps": [2], "pooling": "mean", "drop_bare_underline": True}
    store = path.with_suffix(".safetensors")
    offsets = np.arange(0, 10 * number + 1, 10)
    with writing(store, offsets, DIM, {"tokens_sha256": corpus.tokens_sha256, **made_with}) as features:
        features[:] = np.random.default_rng(0).normal(size=features.shape)
    return CorpusFiles("aa", path, store)


def read_text(files: CorpusFiles, teacher: Path, out: Path) -> None:
    corpus = read_corpus(files.corpus)
    for tokens, labels in zip(corpus.tokens, corpus.labels, strict=True):
        assert len(tokens) == len(labels)


def keys(files: CorpusFiles, teacher: Path, out: Path) -> None:
    sentence_keys(read_corpus(files.corpus).tokens)


def describe(files: CorpusFiles, teacher: Path, out: Path) -> None:
    report({"train": files.corpus, "test": files.corpus}, out / "report.json")


def score(files: CorpusFiles, teacher: Path, out: Path) -> None:
    score_corpus(teacher, files, out / "scores.parquet")


def targets(files: CorpusFiles, teacher: Path, out: Path) -> None:
    export_targets(out / "scores.parquet", out / "targets.parquet", 2)


def posterior(files: CorpusFiles, teacher: Path, out: Path) -> None:
    given = replace(files, targets=out / "targets.parquet", scores=out / "scores.parquet")
    assemble(student_run(out, [given], objective="posterior+top_wk", updates=2))


def structural(files: CorpusFiles, teacher: Path, out: Path) -> None:
    given = replace(files, targets=out / "targets.parquet", scores=out / "scores.parquet")
    assemble(student_run(out, [given], objective="structural", updates=2))


def evaluate(files: CorpusFiles, teacher: Path, out: Path) -> None:
    own = replace(files, scores=out / "scores.parquet")
    where = {"predictions": out / "predictions", "metrics": out / "metrics"}
    evaluate_model(
        teacher, "teachers/aa/crf/seed-0", [files], {"aa": "trained"}, own=own, decode="constrained", **where
    )


STAGES = [read_text, keys, describe, score, targets, posterior, structural, evaluate]


def test_no_stage_takes_more_memory_for_more_sentences(teacher, tmp_path, monkeypatch):
    """What a further sentence takes of Python's and numpy's memory, at most: lists of words alone would take 900."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 50)
    monkeypatch.setattr(span_f1, "AT_ONCE", 50)
    monkeypatch.setattr(teacher_chains, "BATCH_WORDS", 500)
    monkeypatch.setattr(scratch, "LARGE", 0)
    corpora = {number: made_up(tmp_path, number) for number in (SMALL, LARGE)}
    for stage in STAGES:
        peaks = []
        for number in (SMALL, SMALL, LARGE):  # the first run imports and fills caches
            out = tmp_path / f"out-{number}"
            out.mkdir(exist_ok=True)
            tracemalloc.start()
            stage(corpora[number], teacher, out)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        each = (peaks[2] - peaks[1]) / (LARGE - SMALL)
        print(f"{stage.__name__}: {each:.0f} bytes a sentence")  # noqa: T201
        assert each <= EACH, stage.__name__


def test_preparing_holds_each_word_as_one_pointer(tmp_path, monkeypatch):
    """A sentence of ten words is lists of words, tags and labels, 1,550 bytes; with strings of its own it was 4,600."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 50)
    settings, peaks = Language(format="conll", train="aa.conll"), []
    for number in (SMALL, SMALL, 3 * LARGE):
        sentences = [[f"w{(7 * row + place) % 97} B-PER" for place in range(10)] for row in range(number)]
        (tmp_path / "aa.conll").write_text("\n\n".join("\n".join(lines) for lines in sentences) + "\n")
        tracemalloc.start()
        what = {"language": "aa", "split": "train", "settings": settings, "task": "ner", "labels": ["PER"]}
        prepare(tmp_path / "aa.conll", tmp_path / "aa.parquet", **what)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    each = (peaks[2] - peaks[1]) / (3 * LARGE - SMALL)
    print(f"{each:.0f} bytes a sentence")  # noqa: T201
    assert each <= 1700


def test_results_are_the_same_from_files_as_from_memory(teacher, tmp_path, monkeypatch):
    """To the last bit: scores, targets, weights, dev scores, predictions and metrics."""
    found = []
    for name, large in (("memory", 1 << 40), ("files", 0)):
        monkeypatch.setattr(scratch, "LARGE", large)
        folder = tmp_path / name
        files = with_targets(teacher, files_of(make_corpus(folder, "aa", "train", 40)), folder)
        dev = files_of(make_corpus(folder, "aa", "dev", 12))
        run = student_run(folder / "student", [files], [dev], objective="structural", updates=6)
        run_training(run)
        model, roles = run.outputs.model, {"aa": "trained"}
        evaluate_model(model, "students/structural/seed-0", [dev], roles, predictions=folder, metrics=folder)
        paths = (files.scores, files.targets, model / "model.safetensors", folder / "aa.conll", folder / "aa.json")
        found.append([path.read_bytes() for path in paths])
        found[-1].append(read_json(run.outputs.summary)["dev_scores"])
    assert found[0] == found[1]


def test_what_is_mapped_has_no_name_and_goes_with_its_last_user(tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "LARGE", 8)
    small, large = scratch.scratch(tmp_path, (1,), np.int32), scratch.scratch(tmp_path / "new", (3, 2), np.float32)
    assert not isinstance(small, np.memmap) and isinstance(large, np.memmap)
    assert not isinstance(scratch.scratch(None, (9, 9), np.float32), np.memmap)
    assert list((tmp_path / "new").iterdir()) == [] and not large.any() and large.shape == (3, 2)
    large[1] = 7
    torch.from_numpy(large)[2] = 5
    assert large.tolist() == [[0, 0], [7, 7], [5, 5]]


OPENED = """
import resource, sys
from pathlib import Path
import torch, safetensors
from tagdistill.encoders.store import FeatureStore
status = Path("/proc/self/status").read_text().splitlines()
data = 1024 * int(next(line for line in status if line.startswith("VmData")).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, (data + 50_000_000, data + 50_000_000))
store = FeatureStore.open(Path(sys.argv[1]))
print(len(store), float(store.features[-1].sum()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA covers mappings on Linux alone")
def test_a_store_that_exceeds_the_memory_limit_is_opened(tmp_path):
    path, words = tmp_path / "store.safetensors", 250_000
    with writing(path, np.arange(0, words + 1, 10), 200, {"tokens_sha256": ""}) as features:
        features[-1] = 1
    assert path.stat().st_size > 100_000_000
    opened = subprocess.run([sys.executable, "-c", OPENED, path], capture_output=True, text=True)
    assert (opened.stdout, opened.returncode) == (f"{words // 10} 200.0\n", 0), opened.stderr


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "LARGE", 0)
    monkeypatch.setattr(scratch.os, "posix_fallocate", full)
    with pytest.raises(TagdistillError, match="No space left") as caught:
        scratch.scratch(tmp_path, (2,), np.float32)
    assert str(tmp_path) in str(caught.value.where) and list(tmp_path.iterdir()) == []


def test_batches_are_gathered_from_what_is_mapped(teacher, tmp_path):
    files = made_up(tmp_path, 5)
    source = read_source(files, LABELS)
    assert source.vectors.shape == (50, DIM) and source.vectors.dtype == torch.float16
    np.testing.assert_array_equal(source.vectors.numpy(), np.random.default_rng(0).normal(size=(50, DIM)).astype("f2"))
    batch = Pool([source]).batch(np.array([3, 1]))
    np.testing.assert_array_equal(batch["vectors"][1].numpy(), source.vectors[30:40].float())
    assert batch["labels"].dtype == torch.int64 and batch["labels"][0].tolist() == [0] * 9 + [LABELS.index("S-PER")]


# ---- columns


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP", 2)
    tokens = [["a"], ["b", "c"], ["d"], ["e", "f", "g"], ["h"]]
    labels = [["O"], ["B-PER", "E-PER"], ["S-LOC"], ["O", "O", "O"], ["S-PER"]]
    metadata = {"language": "aa", "split": "train", "task": "ner", "labels": list(LABELS)}
    write_corpus(tmp_path / "c", ids=list("12345"), tokens=tokens, labels=labels, metadata=metadata)
    return read_corpus(tmp_path / "c"), tokens, labels


def test_rows_are_those_of_a_list(corpus):
    read, tokens, labels = corpus
    assert read.table.file.num_row_groups == 3
    assert list(read.tokens) == tokens == [read.tokens[row] for row in range(5)] and read.tokens == tokens
    assert read.tokens[-1] == ["h"] and read.tokens[1:4] == tokens[1:4] and read.tokens[::-2] == tokens[::-2]
    assert read.tokens != labels and read.tokens != tokens[:4] and read.tokens != "text" and len(read.labels) == 5
    with pytest.raises(IndexError):
        read.tokens[5]
    assert read.lengths.tolist() == [1, 2, 1, 3, 1]


def test_label_numbers_are_places_in_the_label_list(corpus):
    read, _, labels = corpus
    numbers = read.label_numbers()
    assert numbers.dtype == np.int8
    assert [LABELS[number] for number in numbers] == [label for sentence in labels for label in sentence]
    rows = LabelRows(numbers, np.concatenate([[0], np.cumsum(read.lengths)]), LABELS)
    assert list(rows) == labels and rows[-2:] == labels[-2:] and rows[1] == labels[1] and len(rows) == 5


def test_what_is_read_is_of_the_file_that_was_opened(corpus, tmp_path):
    read, tokens, _ = corpus
    write_corpus(tmp_path / "c", ids=["9"], tokens=[["z"]], labels=None, metadata=read.metadata)
    assert list(read.tokens) == tokens
    (tmp_path / "c").unlink()
    assert read.tokens[3] == tokens[3]


def test_damage_is_named_where_it_is_met(corpus, tmp_path):
    content = bytearray((tmp_path / "c").read_bytes())
    place = content.index(b"\x28\xb5\x2f\xfd") + 6  # in the first compressed page: that of the ids
    content[place] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    read = read_corpus(tmp_path / "damaged")
    with pytest.raises(DataError, match="damaged: not readable as a corpus"):
        list(read.ids)


def test_scores_of_another_number_of_words_are_refused(teacher, tmp_path):
    files = made_up(tmp_path, 5)
    score_corpus(teacher, files, tmp_path / "s.parquet")
    table = parquet.StoredTable.open(tmp_path / "s.parquet", "scores")
    columns = {name: table.file.read()[name].combine_chunks() for name in ("id", "emissions", "length")}
    for last, message in ((9, "holds more values than 49"), (11, "holds 50 values, not 51")):
        columns["length"] = parquet.number_array(np.array([10, 10, 10, 10, last], np.int32))
        parquet.write_table(tmp_path / "s.parquet", [columns], table.metadata)
        with pytest.raises(DataError, match=message):
            read_scores(tmp_path / "s.parquet")


# ---- what a training is known by


def test_a_large_file_is_known_by_blocks_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1000)
    file = tmp_path / "f"
    file.write_bytes(bytes(3000 * files.SAMPLES))
    before = sha256_sample(file)
    assert before == sha256_sample(file)
    with file.open("r+b") as handle:
        handle.seek(-1, 2)
        handle.write(b"x")
    assert sha256_sample(file) != before
    file.write_bytes(bytes(3000))
    small = sha256_sample(file)
    with file.open("r+b") as handle:
        handle.seek(2017)
        handle.write(b"x")
    assert sha256_sample(file) != small
