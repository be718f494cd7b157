"""`tagdistill predict`: what it reads and writes, line by line, and what stays as it was."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch
from test_splitting import SCRIPTS
from tiny_runs import make_corpus
from tiny_taggers import exported
from typer.testing import CliRunner

from tagdistill import Tagger
from tagdistill.artifacts.write_errors import write_errors
from tagdistill.cli import main as cli
from tagdistill.data.labels import UPOS
from tagdistill.data.readers.format import Given
from tagdistill.data.readers.notes import Notes
from tagdistill.data.readers.options import Reading
from tagdistill.errors import ConfigError, DataError, TagdistillError
from tagdistill.evaluation.metrics import score
from tagdistill.evaluation.score_file import evaluate_file
from tagdistill.prediction import predict as module
from tagdistill.prediction.predict import Labelling, predict_file
from tagdistill.prediction.source import Source
from tagdistill.prediction.writer import Job
from tagdistill.prediction.writers.html import HtmlWriter
from tagdistill.settings.names import WRITERS, names_in
from tagdistill.tagger.results import Span, Tagged

TEXT = 'Angela Merkel <war> in "Paris" & Köln.\n\nשלום עולם.\n' + "\n".join(SCRIPTS.values()) + "\n"


@pytest.fixture(scope="module")
def ner(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("ner"), "fp32", "torch", head="linear")


@pytest.fixture(scope="module")
def pos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pos")
    corpora = [make_corpus(folder / "data", "en", "test", 10)]
    return exported(folder, corpora=corpora, labels=UPOS, task="pos", head="linear")


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "x.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "x.txt"


def records(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize(("decode", "expected"), [(None, True), ("unconstrained", False)])
def test_labels_are_decoded_as_the_models_dev_sets_were_unless_an_option_says_otherwise(
    decode, expected, text, tmp_path
):
    model = exported(tmp_path, "fp32", "torch", head="linear", decode=decode)
    (tmp_path / "gold.conll").write_text("Angela O\nMerkel O\n\n")
    for precision in ("fp32", "torch"):
        tagger = Tagger.from_pretrained(model, precision=precision)
        assert tagger.decode == ("constrained" if expected else "unconstrained")
        for option in (None, True, False):
            wanted = expected if option is None else option
            out = tmp_path / "y.jsonl"
            predict_file(model, text, out, precision=precision, constrained=option)
            labels = [each["labels"] for each in records(out)]
            assert labels == [list(each.labels) for each in tagger(TEXT.splitlines(), constrained=wanted)]
            record = json.loads(evaluate_file(model, tmp_path / "gold.conll", precision=precision, constrained=option))
            assert record["decode"] == ("constrained" if wanted else "unconstrained")
            assert set(record["further"]) == {"conlleval", "unconstrained" if wanted else "constrained"}
    lines = TEXT.splitlines()
    assert tagger(lines, constrained=True) != tagger(lines, constrained=False)
    words = [["Angela", "Merkel"], ["in", "Paris"]]
    both = tagger.label(words, ["unconstrained", "constrained"])
    for way, found in both.items():
        assert found == [list(each.labels) for each in tagger(words, constrained=way == "constrained")]


def test_every_line_of_a_text_is_a_line_of_json_with_spans_of_its_characters(ner, text, tmp_path):
    predict_file(ner, text, tmp_path / "y.jsonl", constrained=True)
    lines, tagger = TEXT.split("\n")[:-1], Tagger.from_pretrained(ner)
    found = records(tmp_path / "y.jsonl")
    assert [record["text"] for record in found] == lines
    assert sum(len(record["spans"]) for record in found) > 3
    for record, tagged in zip(found, tagger(lines, constrained=True), strict=True):
        assert record["labels"] == list(tagged.labels) and record["sentences"] == [list(x) for x in tagged.sentences]
        assert len(record["tokens"]) == len(record["labels"])
        for span, other in zip(record["spans"], tagged, strict=True):
            assert span["text"] == record["text"][span["start"] : span["end"]] == other.text
            assert (span["label"], span["score"]) == (other.label, pytest.approx(other.score, abs=1e-5))


def test_columns_are_the_usual_format_and_lines_are_split_by_the_model_or_at_blanks(ner, text, tmp_path):
    predict_file(ner, text, tmp_path / "y.anything")
    blocks = (tmp_path / "y.anything").read_text(encoding="utf-8").split("\n\n")
    first = [line.split("\t") for line in blocks[0].split("\n")]
    assert [row[0] for row in first] == ["Angela", "Merkel", "<", "war", ">", "in", '"', "Paris", '"', "&", "Köln", "."]
    assert {row[1] for row in first} == {"_"}
    predict_file(ner, text, tmp_path / "z.jsonl", split="blanks")
    assert [r["tokens"] for r in records(tmp_path / "z.jsonl")] == [line.split() for line in TEXT.split("\n")[:-1]]
    assert [r["text"] for r in records(tmp_path / "z.jsonl")] == TEXT.split("\n")[:-1]


def test_parquet_has_the_columns_of_the_json_lines_also_at_stdout(ner, text, tmp_path, capsysbinary):
    predict_file(ner, text, tmp_path / "y.jsonl")
    predict_file(ner, text, tmp_path / "y.parquet")
    rows = pq.read_table(tmp_path / "y.parquet").to_pylist()
    assert [{key: row[key] for key in row if key != "id"} for row in rows] == records(tmp_path / "y.jsonl")
    predict_file(ner, text, Path("-"), to="parquet")
    assert capsysbinary.readouterr().out == (tmp_path / "y.parquet").read_bytes()
    predict_file(ner, tmp_path / "y.parquet", tmp_path / "z.jsonl")  # what is written is read
    tokens = [record["tokens"] for record in records(tmp_path / "y.jsonl")]
    assert [record["tokens"] for record in records(tmp_path / "z.jsonl")] == tokens


class Page(HTMLParser):
    """The paragraphs of a page, without the labels beside the spans."""

    def __init__(self) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self.tags: list[str] = []
        self.label = False

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.label = tag == "small"
        if tag == "p" and ("dir", "auto") in attrs:
            self.paragraphs.append("")

    def handle_endtag(self, tag) -> None:
        self.label = False

    def handle_data(self, data) -> None:
        if self.paragraphs and not self.label:
            self.paragraphs[-1] += data.rstrip("\n")


def test_a_page_shows_the_text_as_it_is_and_runs_nothing_of_it(ner, text, tmp_path):
    evil = "Ada kam, <b>nicht</b> & <script>alert('Paris')</script> \"><img src=x onerror=alert(1)> \x00\x1b &amp;"
    text.write_text(TEXT + evil + "\n", encoding="utf-8")
    predict_file(ner, text, tmp_path / "y.html", Reading(called="<b>"), constrained=True)
    page = Page()
    page.feed((tmp_path / "y.html").read_text(encoding="utf-8"))
    shown = evil.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    assert page.paragraphs == [*TEXT.split("\n")[:-1], shown]
    written = io.BytesIO()
    writer = HtmlWriter(Job(written, "ner", ("O", "S-<i>"), Source(), "text", "utf-8", "x"))
    (start, span), text_of = (written.tell(), Span("<i>", "<b>", 1, 4, 0.5, (1, 2))), "<<b>>"
    writer.write(Given(text_of, []), Tagged(text_of, (), (), (), (span,)))
    assert written.getvalue()[start:].decode() == (
        '<p dir="auto">&lt;<mark class="c0" title="&lt;i&gt; 0.500">&lt;b&gt;<small>&lt;i&gt;</small></mark>&gt;</p>\n'
    )
    assert {"mark", "small"} <= set(page.tags) and not {"script", "img", "b"} & set(page.tags)
    assert "<title>&lt;b&gt;</title>" in (tmp_path / "y.html").read_text(encoding="utf-8")


CONLLU = (
    "\ufeff# newdoc\r\n\n# sent_id = 1\n# text = vámonos al\n1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\tX=1\n"
    "1\tvamos\tir\tOLD\t_\tA=B\t0\troot\t_\t_\n2\tnos\t_\t_\t_\t_\t1\tobj\t_\tSpaceAfter=No\r\n"
    "2.1\te\t_\t_\t_\t_\t_\t_\t_\t_\n3\t10 000\t_\tNUM\t_\t_\t_\t_\t_\t_\t\n\n\n\n# alone\n\n"
    "1\tal\t_\t_\t_\t_\t_\t_\t_\t_"
)


@pytest.mark.parametrize("packed", [False, True])
def test_all_of_a_conllu_file_but_upos_stays_byte_for_byte(pos, tmp_path, packed):
    data = CONLLU.encode()
    (tmp_path / "x.conllu").write_bytes(data)
    if packed:
        (tmp_path / "x.conllu.gz").write_bytes(gzip.compress(data))
    predict_file(pos, tmp_path / ("x.conllu.gz" if packed else "x.conllu"), tmp_path / "y.conllu")
    before, after = data.split(b"\n"), (tmp_path / "y.conllu").read_bytes().split(b"\n")
    (one, two) = Tagger.from_pretrained(pos)([["vamos", "nos", "10 000"], ["al"]])
    labels = iter([*one.labels, *two.labels])
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        fields = old.split(b"\t")
        if fields[0].isdigit():
            fields[3] = next(labels).encode()
        assert new == b"\t".join(fields)
    assert list(labels) == []


def test_a_broken_sentence_that_is_left_out_stays_as_it_is(pos, tmp_path):
    (tmp_path / "x.conllu").write_text("1\ta\n\n" + "1\tb" + "\t_" * 8 + "\n\n")
    predict_file(pos, tmp_path / "x.conllu", tmp_path / "y.conllu", Reading(broken="leave_out"))
    first, *_ = (tmp_path / "y.conllu").read_text().split("\n\n")
    assert first == "1\ta"


def test_other_text_becomes_conllu_that_is_read_again(pos, tmp_path):
    (tmp_path / "x.txt").write_text("Angela was in Paris. Really?\n")
    predict_file(pos, tmp_path / "x.txt", tmp_path / "y.conllu")
    lines = (tmp_path / "y.conllu").read_text().split("\n")
    assert lines[0] == "# text = Angela was in Paris." and lines[7] == "# text = Really?"
    rows = [line.split("\t") for line in lines[1:6]]
    assert [row[1] for row in rows] == ["Angela", "was", "in", "Paris", "."] and {row[3] for row in rows} <= set(UPOS)
    assert [row[9] for row in rows] == ["_", "_", "_", "SpaceAfter=No", "_"]
    predict_file(pos, tmp_path / "y.conllu", tmp_path / "z.conllu")
    assert (tmp_path / "z.conllu").read_bytes() == (tmp_path / "y.conllu").read_bytes()


@pytest.mark.parametrize("to", names_in(WRITERS))
def test_an_input_that_is_broken_leaves_the_output_and_says_one_thing(pos, tmp_path, to):
    (tmp_path / "x.conllu").write_text(("1\ta" + "\t_" * 8 + "\n\n") * 200 + "2\tb\n\n")
    (tmp_path / "out").write_text("old")
    command = [sys.executable, "-m", "tagdistill", "predict", "x.conllu", "--model", pos, "--output", "out", "--to", to]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("error: x.conllu:401: 2 columns")
    assert "Traceback" not in done.stderr and (tmp_path / "out").read_text() == "old"


def test_what_conllu_cannot_hold_is_refused_and_the_output_stays(ner, pos, text, tmp_path):
    (tmp_path / "y.conllu").write_text("old")
    with pytest.raises(ConfigError, match=r"(?s)--to: CoNLL-U has a column for parts of speech.*--to jsonl"):
        predict_file(ner, text, tmp_path / "y.conllu")
    (tmp_path / "x.conllu").write_bytes(("1\ta" + "\t_" * 8 + "\n").encode("utf-16"))
    with pytest.raises(ConfigError, match="--encoding: the lines of a file in utf-16"):
        predict_file(pos, tmp_path / "x.conllu", tmp_path / "y.conllu", Reading(encoding="utf-16"))
    assert (tmp_path / "y.conllu").read_text() == "old"


def test_records_of_json_are_texts_or_words_and_an_empty_one_keeps_its_line(ner, tmp_path):
    given = [
        {"id": "a", "text": "Angela Merkel.\nIn Paris."},
        {"text": ""},
        {"tokens": []},
        {"id": 7, "tokens": ["New York", "is"]},
        {"text": "a-b\nc", "tokens": [{"text": "a-b", "start": 0, "end": 3}, {"text": "c", "start": 4, "end": 5}]},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in given))
    predict_file(ner, tmp_path / "x.jsonl", tmp_path / "y.jsonl")
    found = records(tmp_path / "y.jsonl")
    assert [record.get("id") for record in found] == ["a", None, None, "7", None]
    assert [record["text"] for record in found] == ["Angela Merkel.\nIn Paris.", "", "", "New York is", "a-b\nc"]
    assert [record["tokens"] for record in found[1:]] == [[], [], ["New York", "is"], ["a-b", "c"]]
    assert len(found[0]["sentences"]) == 2 and found[4]["sentences"] == [[0, 1], [1, 2]]
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n{"text": "\\ud800"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: half of a character"):
        predict_file(ner, tmp_path / "x.jsonl", tmp_path / "y.jsonl")
    assert records(tmp_path / "y.jsonl") == found


# ---- streams


def test_a_line_at_stdin_is_labelled_before_the_next_one_is_there(ner):
    command = [sys.executable, "-m", "tagdistill", "predict", "--model", str(ner), "--to", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        for line in ("Angela Merkel war in Paris.", "", "Er nicht."):
            running.stdin.write(f"{line}\n".encode())
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["text"] == line
        running.stdin.write(b"last")
        running.stdin.close()
        assert json.loads(running.stdout.read())["text"] == "last"
        assert running.stderr.read() == b""  # no progress where there is no terminal
    assert running.returncode == 0


@pytest.fixture
def fifo(tmp_path):
    """Write into a FIFO from a thread: a part, and after some time the rest."""
    path, threads = tmp_path / "x.conll", []
    os.mkfifo(path)

    def write(*parts: bytes) -> Path:
        def run() -> None:
            with contextlib.suppress(BrokenPipeError), path.open("wb", buffering=0) as sink:
                for part in parts:
                    sink.write(part)
                    time.sleep(0.2)

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return path

    yield write
    threads[0].join()


def test_a_fifo_is_read_by_its_ending(ner, fifo, tmp_path):
    predict_file(ner, fifo(b"a x\nb y\n", b"\nc z\n"), tmp_path / "y.jsonl")
    assert [record["tokens"] for record in records(tmp_path / "y.jsonl")] == [["a", "b"], ["c"]]


def test_a_fifo_of_parquet_is_read_as_a_file_is(ner, text, fifo, tmp_path):
    predict_file(ner, text, tmp_path / "y.parquet")
    predict_file(ner, tmp_path / "y.parquet", tmp_path / "y.jsonl")
    predict_file(ner, fifo((tmp_path / "y.parquet").read_bytes()), tmp_path / "z.jsonl", Reading("parquet"))
    assert (tmp_path / "z.jsonl").read_bytes() == (tmp_path / "y.jsonl").read_bytes()


def test_what_cannot_be_written_while_more_is_waited_for_is_no_error_of_the_input(ner, fifo, monkeypatch):
    def closed(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Labelling, "flush", closed)
    with pytest.raises(BrokenPipeError):  # of `predict x.conll | head`, which ends without a message
        predict_file(ner, fifo(b"a x\n\n" * 200, b"b x\n"), Path("-"))


@pytest.fixture
def main(monkeypatch, capsysbinary):
    """Run a command with bytes at stdin; return its code, what is at stdout, and what at stderr."""

    def call(data: bytes, *words: object) -> tuple[object, bytes, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        monkeypatch.setattr(sys, "argv", ["tagdistill", *map(str, words)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return call


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"ab\nc\xffd\n", r"stdin:2: not utf-8: invalid start byte \(byte 5\)"),
        (b"ab\n" * 100_000 + b"\xe4\xbd\n", r"stdin:100001: not utf-8: .* \(byte 300,001\)"),
        (b"\0" * 100_000, "stdin: no word in this file"),
    ],
)
def test_what_stdin_cannot_hold_is_told_with_its_place(main, ner, monkeypatch, data, said):
    monkeypatch.setattr(module, "FIRST_WORDS", 10**7)  # nothing is labelled before
    code, out, err = main(data, "predict", "--model", ner)
    assert (code, out) == (1, b"") and re.search(f"error: {said}", err) and "Traceback" not in err


@pytest.mark.parametrize(("data", "lines"), [(b"", 0), (b"\n \n\t\n", 3)])
def test_a_text_without_a_word_is_labelled_line_by_line_and_noted(main, ner, tmp_path, caplog, data, lines):
    code, out, err = main(data, "predict", "--model", ner, "--to", "jsonl")
    assert code == 0 and "stdin: there is no word in this text" in caplog.text and "error" not in err
    assert [json.loads(line)["labels"] for line in out.splitlines()] == [[]] * lines
    (tmp_path / "x.txt").write_bytes(data)
    for to in names_in(WRITERS):
        if to != "conllu":  # which holds parts of speech
            assert main(b"", "predict", "--model", ner, tmp_path / "x.txt", "--output", tmp_path / f"y.{to}")[0] == 0
    assert pq.read_table(tmp_path / "y.parquet").num_rows == lines


def test_a_labelled_file_without_a_sentence_is_an_error(main, ner):
    code, out, err = main(b"\n\n", "predict", "--model", ner, "--format", "conll")
    assert (code, out) == (1, b"") and "error: stdin: no sentence in this file" in err


def test_a_full_disk_is_told_and_the_old_output_stays(main, ner, tmp_path, monkeypatch):
    code, _, err = main(b"a\n", "predict", "--model", ner, "--output", "/dev/full")
    assert code == 1 and "/dev/full: cannot write: No space left on device" in err and "Traceback" not in err
    with pytest.raises(TagdistillError) as caught, write_errors(Path("-")):
        raise OSError(errno.ENOSPC, "")
    assert str(caught.value) == "stdout: cannot write: No space left on device"
    output = tmp_path / "y.jsonl"
    output.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Labelling, "flush", full)
    code, _, err = main(b"a\n", "predict", "--model", ner, "--output", output)
    assert code == 1 and "y.jsonl: cannot write: No space left on device" in err
    assert output.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["y.jsonl"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("precision", ["torch", "fp32"])
def test_without_a_gpu_the_option_for_the_cpu_is_named(main, ner, precision):
    code, _, err = main(b"a\n", "predict", "--model", ner, "--device", "cuda", "--precision", precision)
    assert code == 1 and "error: --device: " in err and "Use `--device cpu`" in err and "device='cpu'" not in err


def test_options_name_the_options_in_errors(main, ner, tmp_path):
    code, _, err = main(b"a\n", "predict", "--model", ner, "--device", "tpu")
    assert code == 1 and "error: --device: cannot be 'tpu'" in err
    code, _, err = main(b"a\n", "predict", "--model", ner, "--precision", "int8")
    assert code == 1 and "has no graph 'int8'" in err and "Known: fp32, torch." in err
    code, out, _ = main(b"a\n", "predict", "-", "--model", ner, "--precision", "torch")
    assert code == 0 and out.startswith(b"a\t_\t")


def test_an_exported_student_is_scored_as_it_labels(ner, tmp_path):
    (tmp_path / "x.conll").write_text("a O\nb B-PER\n\nc O\n")
    done = CliRunner().invoke(cli.app, ["evaluate", str(tmp_path / "x.conll"), "--model", str(ner)])
    assert done.exit_code == 0, done.output
    tagger = Tagger.from_pretrained(ner)
    words = [["a", "b"], ["c"]]
    free, bound = ([list(x.labels) for x in tagger(words, constrained=way)] for way in (False, True))
    scores = score("ner", [["O", "S-PER"], ["O"]], bound, tagger.labels, beside={"unconstrained": free})
    scores["decode"] = "constrained"
    assert json.loads(done.output) == {key: value for key, value in scores.items() if key != "sentence_counts"}


class Counting:
    """A tagger, and a writer, that remember how many texts they got at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.written = 0

    def __call__(self, texts, **_):
        self.sizes.append(sum(map(len, texts)))
        return [SimpleNamespace(text="", words=(), sentences=()) for _ in texts]

    def write(self, given, tagged) -> None:
        self.written += 1


def test_no_more_than_a_part_of_a_long_file_is_held():
    counting = Counting()
    job = SimpleNamespace(sink=io.BytesIO())
    labelling = Labelling(counting, counting, job, Notes(), constrained=False, blanks=False)  # type: ignore[arg-type]
    for number in range(30_000):
        labelling.add(Given(["w"] * (number % 5), []))
    labelling.flush()
    assert counting.written == 30_000
    assert counting.sizes[0] <= module.FIRST_WORDS and max(counting.sizes) <= module.MOST_WORDS
    source = Source(keep=True)
    handle = source.of(io.BytesIO(b"a\nb\n\nc"))
    assert handle.read(100) == b"a\nb\n\nc" and source.lines(2) == [b"a\n", b"b\n"]
    assert bytes(source.kept) == b"\nc" and source.lines() == [b"\n", b"c"] and not source.kept
