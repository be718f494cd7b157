"""The corpus table: what goes in comes out, equal content gives equal bytes, nothing foreign gets in."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagdistill.artifacts import parquet
from tagdistill.artifacts.files import sha256_json
from tagdistill.data.corpus import read_corpus, write_corpus
from tagdistill.data.labels import label_list
from tagdistill.errors import DataError, MismatchError

SPACE = label_list("ner", ["PER"])
METADATA = {"language": "fr", "split": "train", "task": "ner", "labels": list(SPACE), "scheme": "BIOES"}
CONTENT = {
    "ids": ["train-000001", "train-000002"],
    "tokens": [["Jean", "va", "au"], ["_"]],
    "labels": [["S-PER", "O", "O"], ["O"]],
    "source_ids": ["s 1", ""],
    "lines": [3, 9],
    "multiword": [[(1, 3, "vaau")], []],
    "metadata": METADATA,
}


def written(path, **changes):
    write_corpus(path, **{**CONTENT, **changes})
    return path


def test_what_is_written_is_read(tmp_path):
    corpus = read_corpus(written(tmp_path / "a" / "train.parquet"))
    assert corpus.tokens == CONTENT["tokens"] and corpus.labels == CONTENT["labels"] and corpus.ids == CONTENT["ids"]
    assert list(corpus.multiword) == CONTENT["multiword"]
    assert corpus.lines == [3, 9] and corpus.source_ids == ["s 1", ""]
    assert (corpus.language, corpus.split, corpus.label_list, corpus.lengths.tolist()) == ("fr", "train", SPACE, [3, 1])
    assert len(corpus) == corpus.metadata["sentences"] == 2 and corpus.metadata["tokens"] == 4


def test_the_layout_is_the_documented_one(tmp_path):
    file = pq.ParquetFile(written(tmp_path / "x.parquet"))
    assert file.schema_arrow.names == ["id", "tokens", "labels", "source_id", "line", "multiword"]
    assert file.schema_arrow.field("line").type == pa.int32()
    metadata = json.loads(file.schema_arrow.metadata[b"tagdistill"])
    assert (metadata["format"], metadata["kind"], metadata["labels"]) == (1, "corpus", list(SPACE))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_unlabelled_text_has_null_labels_and_keeps_the_label_list(tmp_path):
    corpus = read_corpus(written(tmp_path / "u.parquet", labels=None))
    assert corpus.labels is None and corpus.label_list == SPACE
    assert pq.read_table(tmp_path / "u.parquet")["labels"].null_count == 2


def test_only_ids_tokens_and_labels_are_required(tmp_path):
    content = {key: CONTENT[key] for key in ("ids", "tokens", "labels", "metadata")}
    write_corpus(tmp_path / "x.parquet", **content)
    corpus = read_corpus(tmp_path / "x.parquet")
    assert list(corpus.multiword) == [[], []] and corpus.lines == [0, 0] and corpus.source_ids == ["", ""]


def test_equal_content_gives_equal_bytes(tmp_path):
    one, two = written(tmp_path / "one"), written(tmp_path / "two", metadata=dict(reversed(METADATA.items())))
    assert one.read_bytes() == two.read_bytes()


def test_each_hash_covers_what_it_says(tmp_path):
    def hashes(**changes):
        corpus = read_corpus(written(tmp_path / "x", **changes))
        return corpus.tokens_sha256, corpus.sha256

    tokens, whole = hashes()
    assert hashes(lines=[1, 2], source_ids=["", "x"]) == (tokens, whole)
    relabelled = hashes(labels=[["O", "O", "O"], ["O"]])
    assert relabelled[0] == tokens and relabelled[1] != whole
    unlabelled = hashes(labels=None)
    assert unlabelled[0] == tokens and unlabelled[1] != whole
    for changes in ({"ids": ["a", "b"]}, {"tokens": [["Jean", "va", "aux"], ["_"]]}):
        assert hashes(**changes)[0] != tokens and hashes(**changes)[1] != whole


@pytest.mark.parametrize("labelled", [True, False])
def test_the_hashes_are_those_of_the_whole_however_many_groups_there_are(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP", 3)
    ids, tokens = [f"é{n}" for n in range(10)], [[f'"{n}', "ß"][: 1 + n % 2] for n in range(10)]
    labels = [["O", "S-PER"][: len(words)] for words in tokens] if labelled else None
    beside = dict.fromkeys(("lines", "source_ids", "multiword"))
    corpus = read_corpus(written(tmp_path / "x", ids=ids, tokens=tokens, labels=labels, **beside))
    assert corpus.table.file.num_row_groups == 4
    assert corpus.tokens_sha256 == sha256_json([ids, tokens]) and corpus.sha256 == sha256_json([ids, tokens, labels])


def test_the_hash_sees_where_a_token_ends(tmp_path):
    one = read_corpus(written(tmp_path / "1", tokens=[["a b", "c", "d"], ["e"]]))
    two = read_corpus(written(tmp_path / "2", tokens=[["a", "b c", "d"], ["e"]]))
    assert one.tokens_sha256 != two.tokens_sha256


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"labels": [["O", "O", "O"], ["O", "O"]]}, "2 labels for 1 tokens"),
        ({"labels": [["O", "O", "S-LOC"], ["O"]]}, "label 'S-LOC' is not in the label list"),
        ({"tokens": [["a", "b", "c"], []], "labels": None}, "without tokens"),
        ({"ids": ["a"]}, "not equally many"),
    ],
)
def test_a_corpus_that_does_not_fit_together_is_not_written(tmp_path, changes, what):
    with pytest.raises(DataError, match=what):
        written(tmp_path / "x.parquet", **changes)
    assert list(tmp_path.iterdir()) == []


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(DataError, match="no such file"):
        read_corpus(path)
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="not readable as Parquet"):
        read_corpus(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="was not written by tagdistill"):
        read_corpus(path)
    table = pq.read_table(written(path))
    for metadata, what in (
        ({"kind": "scores", "format": 1}, "kind is 'scores', needed is 'corpus'"),
        ({"kind": "corpus", "format": 2}, "format is 2"),
    ):
        pq.write_table(table.replace_schema_metadata({"tagdistill": json.dumps(metadata)}), path)
        with pytest.raises(MismatchError, match=what) as caught:
            read_corpus(path)
        assert caught.value.where == str(path)


def test_half_a_file_is_refused(tmp_path):
    path = written(tmp_path / "x.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError):
        read_corpus(path)


TOKENS = st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=TOKENS)
def test_any_text_survives(tmp_path, tokens):
    ids = [str(n) for n in range(len(tokens))]
    write_corpus(tmp_path / "x", ids=ids, tokens=tokens, labels=None, metadata=METADATA)
    assert read_corpus(tmp_path / "x").tokens == tokens
