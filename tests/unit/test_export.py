"""An exported student works from anywhere, and labels as the student that it was made from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import encoded, files_of, make_corpus, student_run, tiny_encoder

from tagdistill.encoders.folder import EncoderInfo, weights_sha256
from tagdistill.export.bundle import export_student
from tagdistill.prediction.predict import predict_file
from tagdistill.training.run_training import run_training

TEXT = "b-per1 e-per2 o3 s-loc4\no1 s-per2\n"


@pytest.fixture(scope="module", params=["frozen", "finetune"])
def student(request, tmp_path_factory) -> tuple[Path, Path, str]:
    """A trained student, its encoder, and how it reads the encoder."""
    folder = tmp_path_factory.mktemp(request.param)
    encoder = tiny_encoder(folder)
    corpus = make_corpus(folder / "data", "en", "train", 30)
    frozen = request.param == "frozen"
    files = encoded(corpus, encoder) if frozen else files_of(corpus, features=False)
    rest = {"mode": request.param, "tune_from": 1, "encoder_folder": encoder, "updates": 10}
    run = student_run(folder, [files], objective="baseline", **rest)
    run_training(run)
    return run.outputs.model, encoder, request.param


@pytest.mark.slow
def test_an_exported_student_stands_alone_and_labels_the_same(student, tmp_path):
    model, encoder, _ = student
    card, text = tmp_path / "card.md", tmp_path / "text.txt"
    card.write_text("# A card\n")
    text.write_text(TEXT)
    out = tmp_path / "elsewhere" / "student"
    export_student(model, encoder, card, out)
    predict_file(model, text, tmp_path / "here.tsv", encoder=encoder)
    command = [sys.executable, "-m", "tagdistill", "predict", str(text), "--model", str(out), "--output"]
    subprocess.run([*command, str(tmp_path / "there.tsv")], cwd=out.parent, check=True, capture_output=True)
    assert (tmp_path / "there.tsv").read_text() == (tmp_path / "here.tsv").read_text()
    assert (out / "README.md").read_text() == "# A card\n"


def test_the_exported_encoder_keeps_only_the_layers_that_run(student, tmp_path):
    model, encoder, mode = student
    card = tmp_path / "card.md"
    card.write_text("")
    export_student(model, encoder, card, tmp_path / "out")
    info = EncoderInfo.read(tmp_path / "out" / "encoder")
    assert info.layers == (2 if mode == "frozen" else 3)  # the tap, or the layers that were tuned
    assert info.layers < EncoderInfo.read(encoder).layers
    assert info.sha256 == weights_sha256(tmp_path / "out" / "encoder")
    config = json.loads((tmp_path / "out" / "encoder" / "config.json").read_text())
    assert config["num_hidden_layers"] == info.layers
