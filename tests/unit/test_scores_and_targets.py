"""Teacher scores and targets in Parquet: what is read is what was written, small and quick, and never another's."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tagdistill.artifacts.files import check_belongs, sha256_file
from tagdistill.artifacts.parquet import ROW_GROUP, StoredTable, write_table
from tagdistill.crf import LinearChain
from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.distill import score_table
from tagdistill.distill.dataset import CorpusFiles, Source, read_source
from tagdistill.distill.export_targets import export_targets, targets_of
from tagdistill.distill.score_table import Scores, read_scores, write_scores
from tagdistill.distill.target_table import Targets, read_targets, write_targets
from tagdistill.distill.teacher_chains import expected_counts
from tagdistill.distill.teacher_files import with_teacher
from tagdistill.errors import DataError, MismatchError
from tagdistill.settings.distill import Distill

LABELS = ["O", "B-X", "I-X"]
SHAPES = {
    "no sentence": [],
    "one word": [1],
    "few": [3, 1, 7, 2],
    "long": [700, 1],
    "row groups": [1, 2, 3] * (ROW_GROUP // 2),
}


def scores_of(lengths: list[int], labels: list[str] = LABELS, *, sd: float = 2.0, seed: int = 0, **metadata) -> Scores:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, sd, shape).astype(np.float32)

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    size = len(labels)
    ids = [f"train-{number:06}" for number in range(1, len(lengths) + 1)]
    described = {
        "language": "fr",
        "labels": labels,
        "decoder": "crf",
        "corpus_sha256": "c",
        "teacher_sha256": "t",
        **metadata,
    }
    return Scores(ids, offsets, normal(offsets[-1], size), normal(size, size), normal(size), normal(size), described)


def chain_of(scores: Scores, row: int) -> LinearChain:
    """The teacher's distribution over one sentence, alone and in float64."""
    begin, end = scores.offsets[row], scores.offsets[row + 1]
    emissions, transitions, first, last = (
        torch.from_numpy(a).double()
        for a in (scores.emissions[begin:end], scores.transitions, scores.start, scores.end)
    )
    return LinearChain(emissions[None], transitions, torch.tensor([end - begin]), first, last)


def exported(scores: Scores, folder: Path, k: int = 4) -> Targets:
    write_scores(folder / "scores.parquet", scores)
    export_targets(folder / "scores.parquet", folder / "targets.parquet", k)
    return read_targets(folder / "targets.parquet")


@pytest.mark.parametrize("lengths", SHAPES.values(), ids=SHAPES)
def test_scores_come_back_as_they_were(lengths, tmp_path):
    scores = scores_of(lengths)
    write_scores(tmp_path / "s.parquet", scores)
    read = read_scores(tmp_path / "s.parquet")
    assert read.ids == scores.ids
    for name in ("offsets", "emissions", "transitions", "start", "end"):
        ours, theirs = getattr(read, name), getattr(scores, name)
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert read.metadata == {**scores.metadata, "kind": "scores", "format": 1}
    assert pq.read_metadata(tmp_path / "s.parquet").num_row_groups == max(1, -(-len(lengths) // ROW_GROUP))


@pytest.mark.parametrize("lengths", SHAPES.values(), ids=SHAPES)
def test_targets_come_back_as_they_were(lengths, tmp_path):
    scores = scores_of(lengths)
    made = targets_of(scores, 4, {**scores.metadata, "k": 4, "kind": "targets"})
    write_targets(tmp_path / "t.parquet", made)
    read = read_targets(tmp_path / "t.parquet")
    assert (read.ids, read.metadata) == (made.ids, {**made.metadata, "format": 1})
    for name in ("offsets", "log_posterior", "paths", "path_log_prob"):
        ours, theirs = getattr(read, name), getattr(made, name)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_the_code_of_the_guide_reads_what_is_in_targets(tmp_path, monkeypatch):
    made = exported(scores_of([3, 1, 7]), tmp_path)
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "outputs.md").read_text(encoding="utf-8")
    _, *blocks = guide.split("```python\n")
    (code,) = (block.split("```")[0] for block in blocks if "log_posterior" in block)
    monkeypatch.chdir(tmp_path)
    found: list[tuple[np.ndarray, np.ndarray, list[list[str]], np.ndarray]] = []
    exec(code, {"use": lambda *values: found.append(values)})
    assert len(found) == len(made.ids)
    for row, (log_posterior, paths, names, log_prob) in enumerate(found):
        words = slice(*made.offsets[row : row + 2])
        there = made.path_log_prob[row] > -np.inf
        np.testing.assert_array_equal(log_posterior, made.log_posterior[words])
        np.testing.assert_array_equal(paths, made.paths[words].T[there])
        assert names == [[LABELS[label] for label in path] for path in paths]
        np.testing.assert_array_equal(log_prob, made.path_log_prob[row][there])
    assert [len(paths) for _, paths, *_ in found] == [4, 3, 4]  # one word has as many label sequences as labels


def test_numbers_are_stored_byte_by_byte_which_compresses_better(tmp_path):
    scores = scores_of([3, 5])
    write_targets(tmp_path / "t.parquet", targets_of(scores, 4, {**scores.metadata, "k": 4, "kind": "targets"}))
    row_group = pq.read_metadata(tmp_path / "t.parquet").row_group(0)
    columns = [row_group.column(n) for n in range(row_group.num_columns)]
    split = {column.path_in_schema.partition(".")[0] for column in columns if "BYTE_STREAM_SPLIT" in column.encodings}
    assert split == {"log_posterior", "top_k_log_prob"}


def test_lists_are_large_where_offsets_of_32_bits_are_too_few(tmp_path, monkeypatch):
    scores = scores_of([3, 1, 7, 2])
    targets = targets_of(scores, 4, {**scores.metadata, "k": 4, "kind": "targets"})
    write_scores(tmp_path / "s", scores)
    write_targets(tmp_path / "t", targets)
    small = pq.read_schema(tmp_path / "s").field("emissions").type, pq.read_schema(tmp_path / "t").field("top_k").type
    assert small == (pa.list_(pa.field("element", pa.float32())), pa.binary())
    monkeypatch.setattr(score_table, "MAX_OFFSET", 13 * 3 - 1)  # as if 2**31 - 1 were one less than there are
    write_scores(tmp_path / "large-s", scores)
    write_targets(tmp_path / "large-t", targets)
    schemas = pq.read_schema(tmp_path / "large-s"), pq.read_schema(tmp_path / "large-t")
    assert pa.types.is_large_list(schemas[0].field("emissions").type)
    assert pa.types.is_large_list(schemas[1].field("log_posterior").type)
    assert pa.types.is_large_binary(schemas[1].field("top_k").type)
    np.testing.assert_array_equal(read_scores(tmp_path / "large-s").emissions, scores.emissions)
    read = read_targets(tmp_path / "large-t")
    np.testing.assert_array_equal(read.log_posterior, targets.log_posterior)
    np.testing.assert_array_equal(read.paths, targets.paths)


def test_targets_are_those_of_each_sentence_alone(tmp_path):
    scores = scores_of([5, 1, 9, 2, 300])
    targets = exported(scores, tmp_path)
    for row in range(5):
        begin, end = scores.offsets[row], scores.offsets[row + 1]
        chain = chain_of(scores, row)
        best = chain.top_k(4)
        np.testing.assert_allclose(targets.path_log_prob[row], best.log_prob[0].numpy(), rtol=1e-6, atol=1e-6)
        exists = int(best.count[0])
        np.testing.assert_array_equal(targets.paths[begin:end, :exists].T, best.labels[0, :exists].numpy())
        np.testing.assert_allclose(
            targets.log_posterior[begin:end], chain.log_marginals[0].numpy(), rtol=1e-3, atol=1e-6
        )


def test_a_sentence_with_fewer_paths_than_k_says_so(tmp_path):
    targets = exported(scores_of([1, 2, 3]), tmp_path, k=12)
    assert np.isfinite(targets.path_log_prob).sum(1).tolist() == [3, 9, 12]
    assert not targets.paths[0, 3:].any()


def test_the_metadata_say_what_the_targets_are_of(tmp_path):
    metadata = exported(scores_of([2], language="fr"), tmp_path).metadata
    assert metadata["scores_sha256"] == sha256_file(tmp_path / "scores.parquet")
    assert (metadata["k"], metadata["kind"], metadata["labels"], metadata["language"]) == (4, "targets", LABELS, "fr")
    assert {"transitions", "start", "end"}.isdisjoint(metadata)


def test_equal_inputs_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        exported(scores_of([3, 1, 4, 1, 5]), tmp_path / name)
    for file in ("scores.parquet", "targets.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_certain_teacher_stays_finite(tmp_path):
    """Log-probabilities far below float16's least are floored; nothing becomes infinite."""
    targets = exported(scores_of([6, 1], sd=1e5), tmp_path)
    assert np.isfinite(targets.log_posterior).all()
    assert (targets.log_posterior <= 1e-3).all()


def test_expected_counts_are_those_of_each_sentence(tmp_path):
    scores = scores_of([3, 1, 4, 2])
    unary, pairs = expected_counts(scores)
    for row in range(4):
        chain = chain_of(scores, row)
        np.testing.assert_allclose(unary[scores.offsets[row] : scores.offsets[row + 1]], chain.marginals[0], atol=1e-6)
        np.testing.assert_allclose(pairs[row], chain.transition_marginals[0], atol=1e-6)
    np.testing.assert_allclose(pairs.sum((1, 2)), [2, 0, 3, 1], atol=1e-5)
    np.testing.assert_allclose(unary.sum(1), 1, atol=1e-6)


def test_too_many_labels_for_a_byte_are_refused():
    labels = [f"L{number}" for number in range(257)]
    with pytest.raises(DataError, match="257 labels"):
        targets_of(scores_of([1], labels), 2, {})


# ---- files that do not belong


def test_another_kind_or_format_is_refused_with_both_values(tmp_path):
    exported(scores_of([2]), tmp_path)
    with pytest.raises(MismatchError, match=r"targets\.parquet: kind is 'targets', needed is 'scores'"):
        read_scores(tmp_path / "targets.parquet")
    with pytest.raises(MismatchError, match=r"kind is 'scores', needed is 'targets'"):
        read_targets(tmp_path / "scores.parquet")
    stored = StoredTable.open(tmp_path / "scores.parquet", "scores")
    table = stored.file.read()
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    write_table(tmp_path / "new.parquet", [columns], {**stored.metadata, "format": 2})
    with pytest.raises(MismatchError, match="format is 2, needed is 1"):
        read_scores(tmp_path / "new.parquet")


def test_labels_and_corpus_are_compared(tmp_path):
    with pytest.raises(MismatchError, match=r"t\.parquet: labels is \['a'\], needed is \['b'\]"):
        check_belongs(Path("t.parquet"), {"labels": ["a"]}, labels=["b"])
    with pytest.raises(MismatchError, match="corpus_sha256 is None, needed is 'x'"):
        check_belongs(Path("t.parquet"), {}, corpus_sha256="x")
    check_belongs(Path("t.parquet"), {"labels": ["a"]}, labels=["a"])


def taught(files: CorpusFiles, objective: str, **own: int) -> Source:
    resolved = Distill.model_validate({"objectives": [{"name": objective, **own}]}).resolve(objective)
    return with_teacher(read_source(files, LABELS), files, LABELS, resolved)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_an_objective_reads_the_best_of_the_paths_as_if_the_targets_held_no_more(k, tmp_path):
    record = {"language": "fr", "split": "train", "task": "ner", "labels": LABELS}
    tokens, labels = [["a"], ["b", "c", "d"]], [["O"], ["O", "O", "O"]]
    write_corpus(tmp_path / "c.parquet", ids=["train-1", "train-2"], tokens=tokens, labels=labels, metadata=record)
    files = CorpusFiles("fr", tmp_path / "c.parquet", None, tmp_path / "targets.parquet", None)
    scores = scores_of([1, 3], corpus_sha256=read_corpus(tmp_path / "c.parquet").sha256)
    exported(scores, tmp_path)
    few = taught(files, "top_wk", k=k)
    alone = targets_of(scores, k, {**scores.metadata, "k": k})
    np.testing.assert_array_equal(few.per_word["paths"].numpy(), alone.paths)
    np.testing.assert_array_equal(few.per_sentence["path_log_prob"].numpy(), alone.path_log_prob)
    assert taught(files, "top_wk").per_word["paths"].shape[1] > 3


@pytest.mark.parametrize("objective", ["posterior", "structural"])
def test_a_student_refuses_targets_of_another_text_or_label_list(objective, tmp_path):
    metadata = {"language": "fr", "split": "train", "task": "ner", "labels": LABELS}
    write_corpus(
        tmp_path / "c.parquet", ids=["train-000001"], tokens=[["a", "b"]], labels=[["O", "O"]], metadata=metadata
    )
    files = CorpusFiles("fr", tmp_path / "c.parquet", None, tmp_path / "targets.parquet", tmp_path / "scores.parquet")
    exported(scores_of([2]), tmp_path)
    with pytest.raises(MismatchError, match="corpus_sha256 is 'c', needed is"):
        taught(files, objective)
    exported(scores_of([2], labels=["O", "B-X", "I-Y"]), tmp_path)
    with pytest.raises(MismatchError, match=r"labels is \['O', 'B-X', 'I-Y'\], needed is \['O', 'B-X', 'I-X'\]"):
        taught(files, objective)
    sha256 = read_corpus(tmp_path / "c.parquet").sha256
    exported(scores_of([2], corpus_sha256=sha256, decoder="softmax"), tmp_path)
    with pytest.raises(MismatchError, match="scores of a softmax teacher, needed are those of a crf one"):
        taught(files, objective)
    exported(scores_of([2], corpus_sha256=sha256), tmp_path)
    assert taught(files, objective).teacher == "t"
    resolved = Distill.model_validate({"objectives": [objective]}).resolve(objective)
    with pytest.raises(MismatchError, match=r"of another teacher than its targets: t, not another-0123\.?$"):
        with_teacher(replace(read_source(files, LABELS), teacher="another-01234"), files, LABELS, resolved)
    exported(scores_of([2], language="nl"), tmp_path)
    with pytest.raises(MismatchError, match="language is 'nl', needed is 'fr'"):
        taught(files, objective)
    with pytest.raises(MismatchError, match=r"c\.parquet: language is 'fr', needed is 'nl'"):
        read_source(replace(files, language="nl"), LABELS)
    with pytest.raises(DataError, match="needs the teacher's"):
        taught(replace(files, targets=None, scores=None), objective)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "absent", "foreign"])
def test_a_broken_file_is_named(damage, tmp_path):
    exported(scores_of([2, 3]), tmp_path)
    path = tmp_path / "targets.parquet"
    whole = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "foreign":
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"hello\n" * 9, "empty": b""}[damage])
    with pytest.raises(DataError, match=r"targets\.parquet"):
        read_targets(path)


# ---- size and speed


def test_a_hundred_thousand_tokens_are_small_and_quick_to_read(tmp_path):
    """17 labels, 10 paths: at most 34 bytes a token, ids included, read without a Python object a word."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(2.9, 0.5, 6000).astype(int), 1, 120)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), 100_000) + 1]
    scores = scores_of(lengths.tolist(), [f"L{n:02}" for n in range(17)], sd=0.5)
    # What a trained teacher says: mostly one clear label.
    scores.emissions[np.arange(len(scores.emissions)), rng.integers(0, 17, len(scores.emissions))] += 6
    made = targets_of(scores, 10, {**scores.metadata, "k": 10, "kind": "targets"})
    path = tmp_path / "t.parquet"
    write_targets(path, made)
    words, took = int(lengths.sum()), []
    for _ in range(5):
        began = time.process_time()  # of the processor: other processes share the machine
        read = read_targets(path)
        took.append(time.process_time() - began)
    size = path.stat().st_size / words
    print(f"{words} tokens: {size:.1f} bytes a token, read in {1000 * min(took):.0f} ms")  # noqa: T201
    np.testing.assert_array_equal(read.paths, made.paths)
    assert size <= 34
    assert min(took) < 0.25  # a list of Python numbers takes a second


def test_what_is_read_survives_the_file(tmp_path):
    """Files are mapped when they are read: the arrays must not change with what is written to that name later."""
    targets = exported(scores_of([3, 2]), tmp_path)
    before = targets.log_posterior.copy()
    exported(scores_of([3, 2], seed=1), tmp_path)
    np.testing.assert_array_equal(targets.log_posterior, before)
