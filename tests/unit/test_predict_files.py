"""`tagdistill predict`: each row that is read has its row in what is written, in the file that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_taggers import exported

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
