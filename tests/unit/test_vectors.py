"""Word vectors in fastText's text form: read as they are written, looked up as the paper's code does, and counted."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from prediction_files import read_predictions
from tiny_runs import LABELS, TINY, encoded, make_corpus, teacher_run, tiny_encoder
from web import serving

from tagdistill.artifacts.files import read_json
from tagdistill.cli import main as cli
from tagdistill.data.sources import download
from tagdistill.distill.dataset import read_source
from tagdistill.distill.score_corpus import score_corpus
from tagdistill.encoders.convert_vectors import convert_vectors, fetch_vectors
from tagdistill.encoders.vectors import WordVectors, vectors_key
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.experiment.config import check_experiment
from tagdistill.experiment.jobs import TeacherJob, VectorsJob, read_job, write_job
from tagdistill.experiment.plan import Plan
from tagdistill.prediction.predict import predict_file
from tagdistill.settings.encoder import Vectors, WordEncoder
from tagdistill.training.run_training import run_training

TEXT = "5 2\nHaus 1 2\nhaus 3 4\n## 5 6 \n00 7 8\na\u00a0b 0.5 -1e-3\n"


def vectors(path: Path, **changes) -> Vectors:
    return Vectors(path=str(path), **changes)


def converted(folder: Path, text: str | bytes = TEXT, **changes) -> WordVectors:
    source = folder / "small.vec"
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    convert_vectors(vectors(source, **changes), folder / "out", source)
    return WordVectors.open(folder / "out")


def test_words_are_looked_up_as_they_are_then_in_lower_case_then_with_masked_digits(tmp_path):
    words = converted(tmp_path)
    found = words(["Haus", "haus", "HAUS", "12", "34", "a\u00a0b", "1", "neu"])
    expected = [[1, 2], [3, 4], [3, 4], [5, 6], [5, 6], [0.5, -1e-3], [0, 0], [0, 0]]
    assert np.allclose(found, expected, atol=1e-5) and found.dtype == np.float16
    assert (words.missing, words.looked_up, words.dim) == (2, 8, 2)


def test_digits_become_zeros_where_there_is_no_mask(tmp_path):
    assert converted(tmp_path, "00 7 8\n")(["12"]).tolist() == [[7, 8]]


def test_a_file_without_a_head_and_a_packed_one_are_read(tmp_path):
    assert converted(tmp_path, "a 1 2 3\nb 4 5 6\n")(["b"]).tolist() == [[4, 5, 6]]
    packed = tmp_path / "p.vec.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    convert_vectors(vectors(packed), tmp_path / "packed", packed)
    assert WordVectors.open(tmp_path / "packed")(["Haus"]).tolist() == [[1, 2]]


def test_words_may_hold_anything_but_a_line_end(tmp_path):
    words = converted(tmp_path, "2 1\na b 1\n\u2028 2\n")
    assert words(["a b", "\u2028"]).tolist() == [[1], [2]]
    assert converted(tmp_path, b"1 1\n\xff 3\n")(["\ufffd"]).tolist() == [[3]]


def test_a_byte_order_mark_is_no_part_of_the_head(tmp_path):
    assert converted(tmp_path, b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n").places == {"a": 0, "b": 1}


def test_a_damaged_packed_file_is_refused(tmp_path):
    packed = bytearray(gzip.compress(b"".join(b"w%d %d 2\n" % (n, n * 7919 % 1000) for n in range(50_000))))
    packed[5000:5003] = (byte ^ 0xFF for byte in packed[5000:5003])
    source = tmp_path / "p.vec.gz"
    source.write_bytes(packed)
    with pytest.raises(DataError, match="cannot be read"):
        convert_vectors(vectors(source), tmp_path / "out", source)


def test_only_the_first_words_are_kept_and_the_first_of_equal_ones_counts(tmp_path):
    words = converted(tmp_path, "a 1\nb 2\na 9\nc 3\nd 4\n", words=3)
    assert words(["a", "b", "c", "d"]).tolist() == [[1], [2], [3], [0]]


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("", "no vectors", None),
        ("2 3\n", "no vectors", None),
        ("2 2\na 1 2\nb 1\n", "1 numbers, needed are 2", 3),
        ("2 2\na 1 x\n", "not a number", 2),
        ("a 1e9\n", "not finite in float16", 1),
        ("a nan\n", "not finite", 1),
        ("a\n", "0 numbers", 1),
    ],
)
def test_what_is_no_file_of_vectors_is_named_by_its_line(tmp_path, text, what, line):
    with pytest.raises(DataError, match=what) as caught:
        converted(tmp_path, text)
    assert line is None or caught.value.where.endswith(f":{line}")
    assert not (tmp_path / "out").exists()


def test_half_a_packed_file_is_refused(tmp_path):
    source = tmp_path / "p.vec.gz"
    source.write_bytes(gzip.compress(b"".join(b"w%d 1 2\n" % n for n in range(999)))[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        convert_vectors(vectors(source), tmp_path / "out", source)
    with pytest.raises(DataError, match="no such file"):
        convert_vectors(vectors(source), tmp_path / "out", tmp_path / "none.vec")


def test_another_file_than_the_config_says_is_refused(tmp_path):
    with pytest.raises(MismatchError, match=hashlib.sha256(TEXT.encode()).hexdigest()):
        converted(tmp_path, sha256="0" * 64)
    converted(tmp_path, sha256=hashlib.sha256(TEXT.encode()).hexdigest())


def test_the_same_file_gives_the_same_folder(tmp_path):
    def content(folder):
        converted(folder)
        return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    left, right = content(tmp_path / "a"), content(tmp_path / "b")
    assert left == right and set(left) == {"vectors.npy", "words.json", "tagdistill.json"}


# -- fastText's own


@pytest.mark.parametrize(
    ("name", "path", "pack"),
    [
        ("wiki.nl", "/vectors-wiki/wiki.nl.vec", None),
        ("cc.nl.300", "/vectors-crawl/cc.nl.300.vec.gz", "gz"),
        ("wiki-news-300d-1M", "/vectors-english/wiki-news-300d-1M.vec.zip", "zip"),
    ],
)
def test_fasttext_s_own_vectors_are_fetched(tmp_path, monkeypatch, name, path, pack):
    data = TEXT.encode()
    if pack == "gz":
        data = gzip.compress(data, mtime=0)
    elif pack == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"{name}.vec", data)
        data = buffer.getvalue()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT", 0.0)
    with serving() as web:
        web.files[path] = data
        monkeypatch.setenv("TAGDISTILL_FASTTEXT_URL", web.url)
        job, out = write_job(VectorsJob(vectors=Vectors(name=name))), tmp_path / "out"
        arguments = ["--job", job, "--out", str(out), "--data", str(tmp_path / "data")]
        monkeypatch.setattr(sys, "argv", ["tagdistill", "convert-vectors", *arguments])
        with pytest.raises(SystemExit, match="0"):
            cli.main()
        assert WordVectors.open(out)(["haus"]).tolist() == [[3, 4]]
        assert "fasttext" in (tmp_path / "data/checksums.sha256").read_text()
        web.files["/vectors-wiki/wiki.xx.vec"] = b"<html>"
        with pytest.raises(TagdistillError, match="not vec"):
            fetch_vectors("wiki.xx", tmp_path / "data")


# -- a teacher


@pytest.fixture
def corpora(tmp_path):
    return [make_corpus(tmp_path / "data", "en", split, count) for split, count in (("train", 30), ("dev", 12))]


def telling(tmp_path, corpus) -> Path:
    """Return vectors that tell the label of every word but `o0`, which has none."""
    kinds = sorted({word[:-1] for sentence in read_source(corpus, LABELS).tokens for word in sentence})
    rows = np.eye(len(kinds))
    lines = [
        f"{kind}{n} {' '.join(map(str, row))}\n"
        for kind, row in zip(kinds, rows, strict=True)
        for n in range(6)
        if f"{kind}{n}" != "o0"
    ]
    source = tmp_path / "telling.vec"
    source.write_text("".join(lines))
    return source


def test_a_teacher_reads_word_vectors_beside_the_encoder_s(tmp_path, corpora, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = tiny_encoder(tmp_path)
    plain = [encoded(corpus, encoder) for corpus in corpora]
    source = telling(tmp_path, plain[0])
    wanted = vectors(source.relative_to(tmp_path))
    folder = tmp_path / "resources/vectors" / vectors_key(wanted)
    convert_vectors(wanted, folder, source)
    files = [type(f)(f.language, f.corpus, f.features, vectors=folder) for f in plain]
    beside = WordEncoder(**TINY.model_dump(), vectors=wanted)
    with caplog.at_level("INFO"):
        found = read_source(files[0], LABELS, encoder=beside)
    count = sum(word == "o0" for sentence in found.tokens for word in sentence)
    assert f"{count} of {sum(map(len, found.tokens))} words have no word vector" in caplog.text and count
    assert found.width == read_source(plain[0], LABELS).width + len(np.load(folder / "vectors.npy")[0])
    assert torch.equal(found.vectors[:, : found.width - 9], read_source(plain[0], LABELS).vectors)

    run_training(teacher_run(tmp_path / "with", *files, encoder=beside, updates=60, head="linear"))
    run_training(teacher_run(tmp_path / "without", *plain, updates=60, head="linear"))
    scores = [read_json(tmp_path / name / "training.json")["dev"] for name in ("with", "without")]
    assert read_json(tmp_path / "with/training.json")["words_without_vector"] == count
    assert "words_without_vector" not in read_json(tmp_path / "without/training.json")
    assert scores[0] > scores[1] + 10 and scores[0] > 90  # the vectors tell, random word pieces hardly do

    model = tmp_path / "with/model"
    score_corpus(model, files[0], tmp_path / "scores.parquet")
    for wrong, what in ((plain[0], "needs its word vectors"), (files[0], "was trained without")):
        made = model if wrong is plain[0] else tmp_path / "without/model"
        with pytest.raises(MismatchError, match=what):
            score_corpus(made, wrong, tmp_path / "x.parquet")
    (tmp_path / "text.txt").write_text("b-per1 e-per2 o0\n")
    predict_file(model, tmp_path / "text.txt", tmp_path / "out.tsv", split="blanks")
    assert read_predictions(tmp_path / "out.tsv")[2] == [["B-PER", "E-PER", "O"]]
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(TagdistillError, match="the word vectors 'telling-vec"):
        predict_file(model, tmp_path / "text.txt", tmp_path / "out.tsv")


def test_vectors_of_another_file_are_refused(tmp_path, corpora):
    files = encoded(corpora[0], tiny_encoder(tmp_path))
    converted(tmp_path)
    other = WordEncoder(**TINY.model_dump(), vectors=Vectors(name="wiki.nl"))
    given = type(files)(files.language, files.corpus, files.features, vectors=tmp_path / "out")
    with pytest.raises(MismatchError, match=r"these are 'small-vec-\w+', needed are 'wiki-nl-"):
        read_source(given, LABELS, encoder=other)
    with pytest.raises(DataError, match="record is missing"):
        WordVectors.open(tmp_path)


# -- the plan


def study(**teacher):
    return {
        "name": "study",
        "task": "ner",
        "labels": ["PER", "LOC", "ORG"],
        "languages": {"en": {"source": "demo"}, "es": {"source": "demo", "teacher": teacher}},
        "encoder": {"provider": "tiny", "layers": 3, "tap": 2},
        "teacher": {"updates": 3},
        "student": {"updates": 3},
        "distill": {"objectives": ["posterior"]},
    }


def test_one_language_s_vectors_concern_its_teacher_alone(tmp_path):
    (tmp_path / "w.vec").write_text(TEXT)
    before = Plan(check_experiment(study(), "s.yaml"), tmp_path)
    plan = Plan(check_experiment(study(vectors={"path": "w.vec"}), "s.yaml"), tmp_path)
    plan.check_files("s.yaml")
    (key,) = plan.specs.vectors()
    assert plan.teacher_inputs("es")["vectors"] == [f"resources/vectors/{key}"]
    assert "vectors" not in plan.teacher_inputs("en")
    assert plan.local.vectors_source(key) == str(tmp_path / "w.vec")
    assert plan.teacher_inputs("es")["vectors"] == plan.test_inputs("teachers/es/crf/seed-0")["vectors"]
    for model in ("teachers/en/crf/seed-0", "students/posterior/seed-0"):
        assert "vectors" not in plan.test_inputs(model)
    job = read_job(TeacherJob, plan.specs.teacher("es", "crf", 0))
    assert job.encoder.vectors.path == "local" and job.settings.vectors is None
    assert plan.specs.teacher("en", "crf", 0) == before.specs.teacher("en", "crf", 0)
    assert plan.specs.student("posterior", 0) == before.specs.student("posterior", 0)
    assert plan.specs.encoders() == before.specs.encoders()  # vectors are looked up, not stored


def test_vectors_are_known_by_what_they_hold(tmp_path):
    def key(folder, text):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "w.vec").write_text(text)
        experiment = check_experiment(study(vectors={"path": f"{folder}/w.vec"}), "s.yaml")
        return next(iter(Plan(experiment, tmp_path).specs.vectors()))

    assert key("a", TEXT) == key("b", TEXT) != key("c", TEXT + "x 1 2\n")


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ({"vectors": {"path": "a.vec", "name": "wiki.nl"}}, "languages.es.teacher.vectors: give `path` or `name`"),
        ({"vectors": {}}, "languages.es.teacher.vectors: give `path` or `name`"),
        ({"vectors": {"name": "../x"}}, "languages.es.teacher.vectors.name"),
        ({"vectors": {"name": "wiki.nl"}, "mode": "finetune", "tune_from": 1}, "beside a frozen encoder only"),
    ],
)
def test_vectors_that_cannot_be_are_refused_by_their_key(teacher, says):
    with pytest.raises(ConfigError) as caught:
        check_experiment(study(**teacher), "s.yaml")
    assert says in str(caught.value)


def test_vectors_that_are_not_there_stop_before_anything_runs(tmp_path):
    plan = Plan(check_experiment(study(vectors={"path": "none.vec"}), "s.yaml"), tmp_path)
    with pytest.raises(ConfigError, match=r"languages\.es\.teacher\.vectors\.path: no such file"):
        plan.check_files("s.yaml")
