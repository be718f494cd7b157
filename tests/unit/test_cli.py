"""The command line: quick to answer, and a user's mistake ends in one message."""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import tagdistill
from snakemake_logger_plugin_tagdistill import noted
from tagdistill.cli import main as cli
from tagdistill.cli.help import HEADINGS, STAGES, GroupedCommands
from tagdistill.cli.job_files import corpus_files, read_files
from tagdistill.data.readers.options import Reading
from tagdistill.distill.dataset import CorpusFiles
from tagdistill.errors import TagdistillError
from tagdistill.experiment.jobs import EncodeJob, EvaluateJob, PrepareJob, read_job, write_job
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.settings.language import Language

HEAVY = ("torch", "transformers", "pandas", "altair", "pyarrow", "snakemake")
COMMANDS = sorted(get_command(cli.app).commands)
SECONDS = 0.5


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tagdistill", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def main(monkeypatch, capsys):
    """Run the command line in this process; return its exit code and what it wrote to stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tagdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return call


def of_processes() -> float:
    """Return the seconds of processor time of all processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_are_quick(option):
    took = []
    for _ in range(5):
        began = of_processes()
        done = run(option)
        took.append(of_processes() - began)
        assert (done.returncode, done.stderr) == (0, "")
        assert tagdistill.__version__ in done.stdout or "Distil many" in done.stdout
    print(f"{option}: {1000 * statistics.median(took):.0f} ms")  # noqa: T201
    assert 0 < min(took) < SECONDS


@pytest.mark.parametrize(
    "code",
    ["import tagdistill.cli.main", "from tagdistill.cli.main import app; app(['--version'], standalone_mode=False)"],
)
def test_nothing_heavy_is_imported_for_it(code):
    done = run_code(f"{code}\nimport sys; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_job_without_a_transformer_imports_none(tmp_path):
    """Reading a job and asking for targets: no model zoo."""
    done = run_code(
        "import sys, tagdistill.distill.export_targets, tagdistill.experiment.jobs\n"
        "print('transformers' in sys.modules)"
    )
    assert done.strip() == "False"


def run_code(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_are_those_of_the_stages():
    stages = {"fetch", "prepare", "data-report", "convert-encoder", "encode", "train-teacher", "score", "targets"}
    assert stages | {"train-student", "evaluate-model", "report", "predict", "evaluate", "config"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    done = CliRunner().invoke(cli.app, [command, "--help"])
    assert done.exit_code == 0
    text = get_command(cli.app).commands[command].help
    assert text
    assert text.split()[0] in done.output


def test_every_rule_calls_a_command_with_options_that_it_has():
    """The rules and the command line cannot drift apart."""
    rules = "".join(file.read_text() for file in Path(__file__).parents[2].glob("workflow/rules/*.smk"))
    calls = re.findall(r'"tagdistill ([a-z-]+) (.*?)> \{log', rules.replace('"\n        "', ""), re.S)
    assert len(calls) > 8
    for command, rest in calls:
        known = {option for parameter in get_command(cli.app).commands[command].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, command


def test_no_command_shows_the_help(main):
    code, out, err = main()
    assert code == 2
    assert "Stages (called by the workflow):" in out + err


def test_every_command_is_listed_once_below_a_heading(main):
    code, out, _ = main("--help")
    assert code == 0
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", out[out.index(f"{HEADINGS[0]}:") :], re.M)
    assert sorted(listed) == COMMANDS
    headings = re.findall(r"^(\S.*):$", out, re.M)
    assert headings == ["Options", *HEADINGS]
    assert out.index("\n  config ") < out.index("\n  predict ") < out.index(STAGES) < out.index("\n  fetch ")


def test_a_command_without_a_heading_is_listed_last():
    app = typer.Typer(cls=GroupedCommands, rich_markup_mode=None, add_completion=False)
    app.command("own")(lambda: None)
    app.command("first", rich_help_panel=HEADINGS[0])(lambda: None)
    out = CliRunner().invoke(app, ["--help"]).output
    assert out.index(HEADINGS[0]) < out.index("first") < out.index("Commands:") < out.index("own")


def test_a_mistake_ends_in_one_message_without_a_traceback(tmp_path):
    done = run("predict", "--model", tmp_path, "--output", tmp_path / "y", tmp_path / "none.txt")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1:] == [f"error: {tmp_path}/none.txt: no such file"]
    assert "Traceback" not in done.stderr


ENCODE = write_job(EncodeJob(encoder=EncoderSettings(provider="tiny")))


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("{", "error: --job: not JSON: Expecting property name"),
        ("[1]", "error: --job: "),
        ('"x"', "error: --job: "),
        (
            '{"encoder": {"provider": "tiny", "tapp": 3}}',
            "error: --job: encoder.tapp: unknown key\n  Did you mean 'tap'?",
        ),
        (
            '{"encoder": {"provider": "tinny"}}',
            "error: --job: encoder.provider: cannot be 'tinny'\n  Did you mean 'tiny'?",
        ),
        ("{}", "error: --job: encoder: this key is needed"),
        ("@none.json", "error: none.json: cannot be read: "),
    ],
)
def test_a_broken_job_is_explained(job, message, main, tmp_path):
    code, out, err = main("convert-encoder", "--job", job, "--out", tmp_path / "e")
    assert (code, out) == (1, "")
    assert err.startswith(message), err
    assert "Traceback" not in err
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("files", ["{", "[1]", '{"corpora": 3}', '{"corpora": "x.parquet"}', "@none.json"])
def test_broken_files_are_explained(files, main, tmp_path):
    code, _, err = main("encode", "--job", ENCODE, "--files", files, "--encoder", tmp_path, "--out", tmp_path / "e")
    assert code == 1
    assert err.startswith("error: "), err
    assert "--files" in err or "none.json" in err


def test_two_corpora_of_one_split_are_refused(main, tmp_path):
    said = "en/test.parquet and fr/test.parquet are both of 'test'\n  Give the corpora of one language.\n"
    files = ("--files", '{"corpora": ["en/test.parquet", "fr/test.parquet"]}', "--encoder", tmp_path)
    assert main("encode", "--job", ENCODE, *files, "--out", tmp_path / "e") == (1, "", f"error: --files: {said}")
    done = main("data-report", "en/test.parquet", "fr/test.parquet", "--out", tmp_path / "report.json")
    assert done == (1, "", f"error: corpora: {said}")


def test_each_corpus_has_a_key_or_none_has(main, tmp_path):
    files = '{"corpora": ["train.parquet", "test.parquet"]}'
    command = ("encode", "--job", ENCODE, "--files", files, "--encoder", tmp_path, "--out", tmp_path / "e", "--keys")
    hint = "Give one for each, in their order, or leave --keys out."
    for keys, found in (("a", "1 key"), ("a,b,c", "3 keys")):
        assert main(*command, keys) == (1, "", f"error: --keys: {found} for 2 files\n  {hint}\n")


@pytest.mark.parametrize("command", [("repeats",), ("encode", "--job", ENCODE, "--encoder", "x")])
def test_a_list_of_files_that_is_missing_is_named(command, main, tmp_path):
    code, _, err = main(*command, "--files", '{"seen": []}', "--out", tmp_path / "e")
    name = "tests" if command == ("repeats",) else "corpora"
    assert (code, err) == (1, f"error: --files: {name}: this list of files is missing\n")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"test": ["a", "b"], "test_features": ["a"]}, "--files: test_features: 1 file for 2 languages"),
        ({"test": ["a"]}, "--files: test: 1 file for 2 languages"),
        ({}, "--files: test: the corpora of fr, de are missing"),
    ],
)
def test_files_that_do_not_fit_the_languages_are_refused(files, message):
    with pytest.raises(TagdistillError) as caught:
        corpus_files(("fr", "de"), read_files(json.dumps(files)), "test")
    assert str(caught.value) == message


def test_files_are_matched_with_languages_by_place():
    lists = {"test": ["1", "2"], "test_features": ["3", "4"], "vectors": ["5"], "train": ["6"]}
    fr, de = corpus_files(("fr", "de"), read_files(json.dumps(lists)), "test")
    assert fr == CorpusFiles("fr", Path("1"), Path("3"), vectors=Path("5"))
    assert de == CorpusFiles("de", Path("2"), Path("4"), vectors=Path("5"))
    assert corpus_files((), {}, "unlabelled") == []


def test_a_job_may_stand_in_a_file(main, tmp_path):
    (tmp_path / "job.json").write_text(ENCODE, encoding="utf-8")
    cli.app(["convert-encoder", "--job", f"@{tmp_path}/job.json", "--out", str(tmp_path / "e")], standalone_mode=False)
    assert (tmp_path / "e" / "tagdistill.json").exists()


def test_jobs_are_written_with_every_default_and_read_back_as_they_were():
    job = EvaluateJob(model="students/posterior/seed-0", languages=("fr", "de"), zero_shot=("de",))
    text = write_job(job)
    assert read_job(EvaluateJob, text) == job
    assert json.loads(text)["decode"] == "unconstrained"
    assert "\n" not in text
    turned = EvaluateJob(zero_shot=("de",), languages=("fr", "de"), model="students/posterior/seed-0")
    assert write_job(turned) == text
    assert list(read_job(EvaluateJob, text).roles) == ["fr", "de"]  # files are matched by place: never sorted


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device"),
        (OSError(5, "Input/output error", "store"), "Input/output error"),
        (OSError(30, "Read-only file system", "store"), "Read-only file system"),
        (RuntimeError("basic_ios::clear: iostream error"), "the file system reports an error"),
    ],
)
def test_a_file_system_that_fails_is_told_in_its_words(error, words, main, monkeypatch, tmp_path):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("while saving") from error

    monkeypatch.setattr("tagdistill.encoders.convert.convert", fail)
    code, _, err = main("convert-encoder", "--job", ENCODE, "--out", tmp_path / "e")
    assert code == 1
    assert f"cannot be written or read: {words}" in err and "is unchanged" in err
    assert "Traceback" not in err


def test_a_file_of_numbers_is_a_warning_in_the_log_of_prepare(tmp_path):
    (tmp_path / "raw.conll").write_text("".join(f"{n} w B-PER\n" for n in range(30)))
    settings = Language(train="raw.conll")
    job = PrepareJob(language="xx", split="train", settings=settings, task="ner", labels=("PER",))
    arguments = ("--job", write_job(job), "--source", tmp_path / "raw.conll", "--out", tmp_path / "o.parquet")
    done = run("prepare", *arguments)
    assert (done.returncode, (tmp_path / "o.parquet").exists()) == (0, True)
    assert "warning: " in done.stderr and "raw.conll: nearly all words are numbers (0 1 2 3 4 5 ...)" in done.stderr


def test_what_prepare_notes_is_what_a_run_shows(tmp_path):
    (tmp_path / "raw.conll").write_text("# one\nAda I-PER\n" + "w O\n" * 150)
    settings = Language(train="raw.conll", comment="#")
    job = PrepareJob(language="xx", split="train", settings=settings, task="ner", labels=("PER",))
    files = ("--source", tmp_path / "raw.conll", "--path", "data/raw.conll", "--out", tmp_path / "o.parquet")
    (tmp_path / "log").write_text(run("prepare", "--job", write_job(job), *files).stderr)
    assert noted([str(tmp_path / "log")]) == [
        "note: badly started spans repaired: 1 (data/raw.conll:2: 'I-PER' at the start of the sentence)",
        "note: comment lines left out: 1 (data/raw.conll:1: # one)",
        "warning: data/raw.conll: one sentence of 151 words is nearly all of it. "
        "Are empty lines between sentences missing?",
    ]


READ: dict[str, Any] = {
    **{"kind": "conll", "separator": "tab", "columns": "token=1,tag=3", "comment": "#", "encoding": "latin-1"},
    **{"skip_lines": 1, "broken": "leave_out"},
}


@pytest.mark.parametrize(
    ("command", "function", "more"),
    [
        ("predict", "tagdistill.prediction.predict.predict_file", {}),
        (
            "evaluate",
            "tagdistill.evaluation.score_file.evaluate_file",
            {"label_map": "A=B,C=D", "names": "O,B-A,I-A"},
        ),
        (
            "evaluate",
            "tagdistill.evaluation.score_file.evaluate_file",
            {"label_map": "A=B", "scheme": "BIOES", "names": "O,B-A"},
        ),
        ("add-language", "tagdistill.experiment.add_language.add_language", {"label_map": "A=B", "scheme": "BIOES"}),
    ],
)
def test_the_reading_options_of_every_command_reach_the_reader(command, function, more, monkeypatch):
    given = []
    monkeypatch.setattr(function, lambda *values, **_: given.extend(values) or "")
    repeated = {"columns", "label_map", "names"} if "," in more.get("label_map", "") else set()
    own = {"predict": ["f", "--model", "m", "--output", "o"], "evaluate": ["f", "--model", "m"]}
    arguments = own.get(command, ["config.yaml", "--id", "fr"])
    for name, value in {**READ, **more}.items():
        for part in value.split(",") if name in repeated else [value]:
            arguments += [f"--{name.replace('kind', 'format').replace('_', '-')}", str(part)]
    done = CliRunner().invoke(cli.app, [command, *arguments])
    assert done.exit_code == 0, done.output
    assert Reading(**READ, **more) in given


def test_an_interrupt_is_no_traceback(main, monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupt)
    assert main() == (130, "", "")


def test_a_defect_of_ours_is_said_to_be_one_in_the_last_line(monkeypatch: pytest.MonkeyPatch, capsys):
    def broken() -> None:
        raise ValueError("shapes differ")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    lines = capsys.readouterr().err.rstrip().splitlines()
    assert ended.value.code == 1
    assert lines[0].startswith("Traceback")
    assert lines[-2] == "error: ValueError: shapes differ" and lines[-1].strip() == cli.DEFECT


@pytest.mark.parametrize("option", ["--threads", "--gpus", "--k"])
@pytest.mark.parametrize("value", ["-1", "0", "two"])
def test_numbers_of_threads_gpus_and_paths_are_checked_before_anything_else(option, value, main):
    having = [
        name
        for name, command in get_command(cli.app).commands.items()
        if any(option in parameter.opts for parameter in command.params)
    ]
    assert having
    for name in having:
        code, _, said = main(name, option, value)
        if (option, value) == ("--gpus", "0"):
            assert "--gpus" not in said
        else:
            assert code == 2 and f"'{option}'" in said and "Traceback" not in said


def test_a_plan_for_no_core_is_refused(main):
    code, _, err = main("plan", "config/tiny.yaml", "--cores", 0)
    assert code != 0 and "--cores" in err and cli.DEFECT not in err
