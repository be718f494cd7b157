"""Stored files that cannot be read: what is wrong, where, and what to do, whatever they are and whatever happened."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from tiny_runs import LABELS, encoded, make_corpus, teacher_run, tiny_encoder

from tagdistill.artifacts.files import read_json, write_json
from tagdistill.artifacts.stored_file import stored
from tagdistill.data.corpus import read_corpus
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.distill.export_targets import export_targets
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.target_table import read_targets
from tagdistill.encoders.convert_vectors import convert_vectors
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.store import FeatureStore
from tagdistill.encoders.vectors import WordVectors
from tagdistill.errors import DataError, TagdistillError
from tagdistill.evaluation.metrics_file import read_record
from tagdistill.models.load import load_tagger
from tagdistill.settings.encoder import Vectors
from tagdistill.training.run_training import run_training

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
Read = Callable[[Path], Any]


def every_column(path: Path) -> Any:
    """Read a corpus with all its columns: they stay in the file until they are asked for."""
    corpus = read_corpus(path)
    columns = (corpus.ids, corpus.tokens, corpus.labels or [], corpus.source_ids, corpus.lines, corpus.multiword)
    return corpus.lengths, corpus.label_numbers(), [list(column) for column in columns]


# Each kind of file: the file below a project, and its reader, which gets the project.
READERS: dict[str, tuple[str, Read]] = {
    "model": ("model/config.json", lambda project: load_tagger(project / "model").config),
    "weights": ("model/model.safetensors", lambda project: load_tagger(project / "model").model.own_state()),
    "record": ("encoder/tagdistill.json", lambda project: load_encoder(project / "encoder").info),
    "encoder": ("encoder/model.safetensors", lambda project: load_encoder(project / "encoder").state_dict()),
    "encoder config": ("encoder/config.json", lambda project: load_encoder(project / "encoder").kind),
    "tokenizer": ("encoder/tokenizer.json", lambda project: WordPieces.load(project / "encoder")([["per1"]]).ids),
    "corpus": ("corpus.parquet", lambda project: every_column(project / "corpus.parquet")),
    "features": ("features.safetensors", lambda project: FeatureStore.open(project / "features.safetensors")),
    "scores": ("scores.parquet", lambda project: list(read_scores(project / "scores.parquet").ids)),
    "targets": ("targets.parquet", lambda project: list(read_targets(project / "targets.parquet").ids)),
    "metrics": ("metrics.json", lambda project: read_record(project / "metrics.json", "m", "en")),
    "vectors": ("vectors/tagdistill.json", lambda project: WordVectors.open(project / "vectors")),
    "words": ("vectors/words.json", lambda project: WordVectors.open(project / "vectors")),
    "array": ("vectors/vectors.npy", lambda project: WordVectors.open(project / "vectors")),
}
CHECKED = ("weights", "encoder")  # whose checksum is recorded
PAGES = ("corpus", "scores", "targets")  # whose pages have one


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A project with one whole file of each kind."""
    project = tmp_path_factory.mktemp("whole")
    encoder = tiny_encoder(project)
    shutil.copytree(encoder, project / "encoder")
    files = encoded(make_corpus(project / "data", "en", "train", 20), encoder)
    run = teacher_run(project, files, updates=2)
    run_training(run)
    shutil.copyfile(files.corpus, project / "corpus.parquet")
    shutil.copyfile(files.features, project / "features.safetensors")
    score_corpus(project / "model", CorpusFiles("en", files.corpus, files.features), project / "scores.parquet")
    export_targets(project / "scores.parquet", project / "targets.parquet", 2)
    write_json(project / "metrics.json", {"kind": "metrics", "format": 1, "model": "m", "language": "en"})
    (project / "x.vec").write_text("per1 1 2\nloc1 3 4\n")
    convert_vectors(Vectors(path="x.vec"), project / "vectors", project / "x.vec")
    return project


@pytest.fixture
def project(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def refused(project: Path, kind: str) -> TagdistillError:
    with pytest.raises(TagdistillError) as caught:
        READERS[kind][1](project)
    return caught.value


@pytest.mark.parametrize("kind", READERS)
def test_whole_files_are_read(kind, project):
    READERS[kind][1](project)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("damage", ["pointer", "cut", "empty", "missing", "folder"])
def test_a_file_that_is_not_whole_is_named_with_what_to_do(kind, damage, project):
    file = project / READERS[kind][0]
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage != "missing":
        file.write_bytes({"pointer": POINTER.encode(), "cut": content[: len(content) // 2], "empty": b""}[damage])
    error = refused(project, kind)
    assert error.where and error.where.split(":")[0] in (str(file), str(file.parent))
    if damage == "pointer":
        assert "Git LFS pointer" in error.what and "git lfs pull" in error.hint
    elif damage in ("cut", "empty"):
        assert error.hint


@pytest.mark.parametrize("damage", ["empty", "missing"])
@pytest.mark.parametrize("kind", ["weights", "encoder config", "tokenizer"])
def test_of_a_folder_that_a_job_makes_the_whole_is_to_be_deleted(kind, damage, project):
    file = project / READERS[kind][0]
    (file.parent / ".snakemake_timestamp").touch()
    file.unlink()
    if damage == "empty":
        file.touch()
    assert re.search(r"delete (all of|its whole)", refused(project, kind).hint or "")


def test_a_training_names_the_features_that_are_not_there(tmp_path):
    encoder = tiny_encoder(tmp_path)
    files = encoded(make_corpus(tmp_path / "data", "en", "train", 20), encoder)
    run = teacher_run(tmp_path, files, updates=2)
    (files.features.parent / ".snakemake_timestamp").touch()
    files.features.unlink()
    with pytest.raises(DataError, match=r"no such file\n.*delete all of the folder") as caught:
        run_training(run)
    assert caught.value.where == str(files.features)


@pytest.mark.parametrize("kind", READERS)
def test_one_bit_more_or_less_never_ends_in_a_traceback(kind, project):
    name, read = READERS[kind]
    file = project / name
    content = file.read_bytes()
    for part in range(12):
        changed = bytearray(content)
        changed[len(content) * part // 12] ^= 1 << part % 7
        file.write_bytes(bytes(changed))
        if kind in CHECKED or (kind in PAGES and part in (1, 2, 3)):
            refused(project, kind)
            continue
        try:
            read(project)
        except TagdistillError as error:
            assert error.where


@pytest.mark.parametrize("kind", ["model", "record", "metrics", "vectors"])
@pytest.mark.parametrize("version", [99, 0, None])
def test_another_version_says_which_and_what_to_do(kind, version, project):
    file = project / READERS[kind][0]
    write_json(file, {**read_json(file), "format": version})
    error = refused(project, kind)
    assert f"format is {version!r}, needed is" in error.what
    assert ("update tagdistill" in error.hint) == (version == 99)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("record", {"new": 1}, "unknown key 'new'"),
        ("record", {"sha256": None}, "SHA-256"),
        ("model", {"spec": {"inputs": 10, "labels": [], "decoder": "crf", "head": "linear", "new": 1}}, "new"),
        ("model", {"encoder": {"provider": "tiny", "new": 1}}, "new"),
        ("model", {"spec": "linear"}, "spec"),
        ("vectors", {"key": None}, None),
    ],
)
def test_an_unknown_key_is_named(kind, change, message, project):
    file = project / READERS[kind][0]
    write_json(file, {**read_json(file), **change})
    if message:
        error = refused(project, kind)
        assert message in str(error) and error.hint


@pytest.mark.parametrize("key", ["spec", "encoder", "mode", "task", "seed"])
def test_a_key_that_is_missing_is_named(key, project):
    file = project / "model/config.json"
    write_json(file, {name: value for name, value in read_json(file).items() if name != key})
    error = refused(project, "model")
    assert error.what == f"{key!r} is missing" and "snakemake export" in error.hint
    assert error.where == str(file)


def test_weights_of_another_shape_are_named(project):
    file = project / "model/model.safetensors"
    state = load_file(file)
    name = next(name for name in state if state[name].ndim == 2)
    save_file({**state, name: state[name][1:].clone()}, file, metadata={"labels": json.dumps(LABELS)})
    config = project / "model/config.json"
    write_json(config, {name: value for name, value in read_json(config).items() if name != "weights_sha256"})
    error = refused(project, "weights")
    assert "not readable as the weights of this model" in error.what and "snakemake export" in error.hint


@pytest.mark.parametrize("kind", ["corpus", "scores", "targets"])
@pytest.mark.parametrize("change", ["no column", "no row", "another type"])
def test_tables_of_another_shape_are_named(kind, change, project):
    file = project / READERS[kind][0]
    table = pq.read_table(file)
    last = table.column_names[-1]
    if change == "no column":
        table = table.drop_columns([last])
    elif change == "no row" and kind != "corpus":
        short = table[last].combine_chunks()
        table = table.set_column(len(table.column_names) - 1, last, pa.array([None] * len(short), short.type))
    elif change == "another type":
        table = table.set_column(len(table.column_names) - 1, last, pa.array(["x"] * len(table)))
    else:
        return
    pq.write_table(table, file)
    error = refused(project, kind)
    assert error.where == str(file) and error.hint


def test_features_and_vectors_of_another_number_are_named(project):
    np.save(project / "vectors/vectors.npy", np.zeros((1, 2), np.float16))
    assert "vectors of shape (1, 2) for 2 words" in refused(project, "array").what
    store = FeatureStore.open(project / "features.safetensors")
    metadata = {"tagdistill": json.dumps(store.metadata)}
    tensors = {"features": store.features[1:].clone(), "offsets": store.offsets.clone()}
    save_file(tensors, project / "features.safetensors", metadata=metadata)
    assert "vectors of shape" in refused(project, "features").what


def test_a_file_that_may_not_be_read_is_told_with_its_owner(tmp_path, monkeypatch):
    file = tmp_path / "config.json"
    file.write_text("{}")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match="permission denied") as caught, stored(file, "JSON"):
        pass
    assert file.owner() in str(caught.value.hint)


def test_a_link_to_what_is_not_made_yet_says_so(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "not-there.json")
    (tmp_path / "folder").symlink_to(tmp_path / "not-there")
    for file in ("link.json", "folder/a.json"):
        with pytest.raises(DataError, match=r"(?s)no such file\n.*not made yet, or was removed: run snakemake"):
            read_json(tmp_path / file)
    with pytest.raises(DataError, match=r"no such file$"):
        read_json(tmp_path / "a.json")
