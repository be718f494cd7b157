"""`tagdistill predict`: each row that is read has its row in what is written, in the file that was asked for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_taggers import exported

from tagdistill.data.readers.read import read
from tagdistill.data.readers.rows import bounds_of
from tagdistill.errors import DataError
from tagdistill.prediction.predict import predict_file
from tagdistill.settings.language import Language
from tagdistill.settings.names import WRITERS, names_in


@pytest.fixture(scope="module")
def ner(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("ner"), "torch", head="linear")


def records(text: bytes) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("to", sorted({*names_in(WRITERS)} - {"conllu"}))  # which is for parts of speech
def test_an_empty_row_of_parquet_stays_a_row(ner, tmp_path, to, caplog):
    ids, tokens = ["a", "b", "c", "d"], [["Anna", "in"], None, [], ["Oslo"]]
    pq.write_table(pa.table({"id": ids, "tokens": tokens}), tmp_path / "x.parquet")
    lines = [json.dumps({"id": i, "tokens": t or []}) for i, t in zip(ids, tokens, strict=True)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    for kind in ("parquet", "jsonl"):
        predict_file(ner, tmp_path / f"x.{kind}", tmp_path / kind, to=to)
    assert "left out" not in caplog.text
    if to == "jsonl":
        found = records((tmp_path / "parquet").read_bytes())
        assert [(r["id"], r["tokens"]) for r in found] == list(zip(ids, [t or [] for t in tokens], strict=True))
    titled = to == "html"  # its title names the file
    assert titled or (tmp_path / "parquet").read_bytes() == (tmp_path / "jsonl").read_bytes()


@pytest.mark.parametrize("ending", ["jsonl", "conll", "html", "parquet", "txt"])
def test_an_output_that_ends_in_gz_is_compressed_in_the_format_of_the_ending_before(ner, tmp_path, ending):
    (tmp_path / "x.txt").write_text("Anna is in Oslo.\n\nBob, too.\n" * 40)
    plain, packed = tmp_path / f"y.{ending}", tmp_path / f"y.{ending}.GZ"
    predict_file(ner, tmp_path / "x.txt", plain)
    predict_file(ner, tmp_path / "x.txt", packed)
    whole = packed.read_bytes()
    assert gzip.decompress(whole) == plain.read_bytes()
    assert whole[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # neither a name nor a time
    predict_file(ner, tmp_path / "x.txt", tmp_path / "z.gz", to=plain.suffix[1:] if ending != "txt" else "conll")
    assert (tmp_path / "z.gz").read_bytes() == whole
    if ending in ("jsonl", "conll"):  # what is written is read
        predict_file(ner, packed, tmp_path / "again.jsonl")
        assert records((tmp_path / "again.jsonl").read_bytes())


def test_a_compressed_output_is_what_it_was_where_the_input_cannot_be_read(ner, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "Anna"}\n' * 5000 + "{\n")
    output = tmp_path / "y.jsonl.gz"
    output.write_bytes(b"before")
    with pytest.raises(DataError, match="not JSON"):
        predict_file(ner, tmp_path / "x.jsonl", output)
    assert output.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_what_was_labelled_is_read_with_the_sentences_that_its_texts_had(ner, tmp_path, ending):
    (tmp_path / "x.txt").write_text("Anna is in Oslo. She left Bob.\n\nIt was late. Nobody saw it.\n")
    written = tmp_path / f"y.{ending}"
    predict_file(ner, tmp_path / "x.txt", tmp_path / "y.jsonl")
    predict_file(ner, tmp_path / "x.txt", written)
    predict_file(ner, written, tmp_path / "again.jsonl")
    before, after = (records((tmp_path / name).read_bytes()) for name in ("y.jsonl", "again.jsonl"))
    assert [len(row["sentences"]) for row in before] == [2, 0, 2]
    for key in ("tokens", "labels", "sentences"):
        assert [row[key] for row in after] == [row[key] for row in before]
    assert all(row["text"][s["start"] : s["end"]] == s["text"] for row in after for s in row["spans"])
    keys = {"columns": {"token": "tokens", "tag": "labels"}, "scheme": "BIOES", "format": ending, "train": written.name}
    found = list(read(written, Language.model_validate(keys)))
    assert [s.tokens for s in found] == [row["tokens"][a:b] for row in before for a, b in row["sentences"]]
    assert [s.tags for s in found] == [row["labels"][a:b] for row in before for a, b in row["sentences"]]


def test_sentences_that_do_not_cover_a_row_are_none_of_it():
    assert bounds_of([[0, 2], [2, 3]], 3) == ((0, 2), (2, 3)) and bounds_of([], 0) == ()
    others = (
        None,
        "ab",
        3,
        [],
        [1],
        [[0, 2]],
        [[0, 1], [2, 3]],
        [[0, 3], [3, 3]],
        [[0, 1], [1.0, 3]],
        ["ab"],
        {"a": 1},
    )
    assert [bounds_of(value, 3) for value in others] == [()] * len(others)
