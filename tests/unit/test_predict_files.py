"""`tagdistill predict`: each row that is read has its row in what is written, in the file that was asked for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_taggers import exported

from tagdistill.errors import DataError
from tagdistill.prediction.predict import predict_file
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
