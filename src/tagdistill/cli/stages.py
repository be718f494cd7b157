"""The commands of the workflow's rules: one for each stage. Each runs without Snakemake, too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagdistill.artifacts.output_path import check_folder, check_output
from tagdistill.cli.help import STAGES
from tagdistill.cli.job_files import all_of, by_split, corpus_files, gate_files, keys_of, list_of, read_files, store_of
from tagdistill.cli.options import Device, Encoder, Out, Threads, device_of, numbers, use_kernel, use_threads
from tagdistill.errors import TagdistillError

if TYPE_CHECKING:
    from tagdistill.training.run import Machine, Outputs

app = typer.Typer()
log = logging.getLogger(__name__)

Job = Annotated[str, typer.Option("--job", help="settings of the job, as JSON or @FILE")]
Files = Annotated[str, typer.Option("--files", help="input files, as JSON or @FILE: lists in the order of languages")]
Source = Annotated[Path | None, typer.Option(help="local file or folder to read instead of a download")]
Downloads = Annotated[Path, typer.Option("--data", help="folder of downloads, with their lock file")]
ConvertedEncoder = Annotated[Path, typer.Option("--encoder", help="folder of the converted encoder")]
Gpus = Annotated[int, typer.Option(min=0, help="GPUs that share each batch, one process each; 0 or 1: one process")]
ModelOut = Annotated[Path, typer.Option("--model", help="folder to write the model to")]
LogOut = Annotated[Path, typer.Option("--log", help="training log to write (JSON lines)")]
SummaryOut = Annotated[Path, typer.Option("--summary", help="summary of the training to write (JSON)")]
Checkpoints = Annotated[Path, typer.Option(help="folder of checkpoints, to resume an interrupted training")]


@app.command(rich_help_panel=STAGES)
def fetch(
    job: Job,
    data: Downloads,
    root: Annotated[Path, typer.Option(help="where relative paths start")] = Path(),
) -> None:
    """Download one split of one language, unless it is there, and print its path."""
    from tagdistill.data.sources.fetch import fetch
    from tagdistill.experiment.jobs import PrepareJob, read_job

    spec = read_job(PrepareJob, job)
    check_folder(data)
    path = fetch(spec.settings, spec.split, data, language=spec.language, root=root)
    typer.echo(path or "the demo needs no file")


@app.command(rich_help_panel=STAGES)
def prepare(
    job: Job,
    out: Out,
    source: Source = None,
    path: Annotated[str | None, typer.Option(help="path of the local file in the config, for messages")] = None,
    files: Annotated[
        str, typer.Option(help='test corpora whose sentences are left out, as JSON or @FILE: {"tests": [...]}')
    ] = "{}",
    sha256: Annotated[str | None, typer.Option(help="checksum of the file that was planned with")] = None,
) -> None:
    """Convert a raw file into a corpus: one Parquet layout for every format."""
    from tagdistill.data.prepare import prepare
    from tagdistill.experiment.jobs import PrepareJob, read_job

    spec, tests = read_job(PrepareJob, job), read_files(files).get("tests", [])
    check_output(out, inputs=[source, *tests])
    found = prepare(
        source,
        out,
        language=spec.language,
        split=spec.split,
        settings=spec.reading(path),
        task=spec.task,
        labels=spec.labels,
        limit=spec.limit,
        tests=tests,
        sha256=sha256,
    )
    name = path or str(source or spec.language)
    for line in found.lines(name):
        log.warning("%s", line)


@app.command(rich_help_panel=STAGES)
def data_report(
    corpora: Annotated[list[Path], typer.Argument(help="the corpora of one language")],
    out: Out,
) -> None:
    """Count what the corpora of one language hold, and which sentences they share."""
    from tagdistill.data.report import report

    check_output(out, inputs=corpora)
    report(by_split(corpora, "corpora"), out)


@app.command(rich_help_panel=STAGES)
def repeats(files: Files, out: Out) -> None:
    """Find the test sentences that students saw in training, in text of any language."""
    from tagdistill.data.repeats import find_repeats

    inputs = read_files(files)
    check_output(out, inputs=all_of(inputs))
    find_repeats(list_of(inputs, "seen"), list_of(inputs, "tests"), out)


@app.command(rich_help_panel=STAGES)
def convert_encoder(job: Job, out: Out, source: Source = None) -> None:
    """Fetch an encoder and write it as an ordinary folder of a pre-trained model."""
    from tagdistill.encoders.convert import convert
    from tagdistill.experiment.jobs import EncodeJob, read_job

    check_output(out, folder=True, inputs=[source])
    convert(read_job(EncodeJob, job).encoder, out, source)


@app.command(rich_help_panel=STAGES)
def convert_vectors(job: Job, out: Out, data: Downloads, source: Source = None) -> None:
    """Fetch word vectors, or read a file of them in fastText's text format, and convert them for teachers."""
    from tagdistill.encoders.convert_vectors import convert_vectors, fetch_vectors
    from tagdistill.experiment.jobs import VectorsJob, read_job

    check_output(out, folder=True, inputs=[source])
    vectors = read_job(VectorsJob, job).vectors
    if source is None:
        if vectors.name is None:
            raise TagdistillError("the file of these vectors is missing", where="--source")
        source = fetch_vectors(vectors.name, data)
    convert_vectors(vectors, out, source)


@app.command(rich_help_panel=STAGES)
def encode(
    job: Job,
    files: Files,
    encoder: ConvertedEncoder,
    out: Out,
    keys: Annotated[
        str, typer.Option(help="what each store is known by, separated by commas: those in folders beside are linked")
    ] = "",
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compute what an encoder's frozen layers give for one language: a folder with a store for each corpus."""
    from tagdistill.encoders.features import encode
    from tagdistill.experiment.jobs import EncodeJob, read_job

    use_threads(threads)
    settings = read_job(EncodeJob, job).encoder
    corpora = by_split(list_of(read_files(files), "corpora"), "--files")
    stores = {split: out / f"{split}.safetensors" for split in corpora}
    check_folder(out)
    known = keys_of(keys, corpora)
    for store in stores.values():
        check_output(store, inputs=[*corpora.values(), encoder])
    encode(corpora, encoder, settings, stores, device_of(device), known)


@app.command(rich_help_panel=STAGES)
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
    """Train the teacher of one language, or of several."""
    from tagdistill.experiment.jobs import TeacherJob, read_job
    from tagdistill.training.run import Run
    from tagdistill.training.run_training import run_training

    spec, inputs = read_job(TeacherJob, job), read_files(files)
    outputs = _outputs(all_of(inputs), model, log, summary, checkpoints)
    machine = _machine(device, gpus, threads)
    run = Run.for_teacher(
        spec.settings,
        corpus_files(spec.languages, inputs, "train"),
        corpus_files(spec.dev_languages, inputs, "dev"),
        task=spec.task,
        labels=spec.labels,
        decoder=spec.decoder,
        encoder=spec.encoder,
        seed=spec.seed,
        outputs=outputs,
        encoder_folder=encoder,
        machine=machine,
        decode=spec.decode,
        fold=None if spec.fold is None else (spec.fold, spec.settings.folds),
    )
    with use_kernel(spec.kernel, machine.device):
        run_training(run)


@app.command(rich_help_panel=STAGES)
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
    from tagdistill.training.run import Run
    from tagdistill.training.run_training import run_training

    spec, inputs = read_job(StudentJob, job), read_files(files)
    outputs = _outputs(all_of(inputs), model, log, summary, checkpoints)
    machine = _machine(device, gpus, threads)
    gate: dict[str, float] | None = None
    if spec.distill.resolve(spec.objective).gate == "soft":
        from tagdistill.training.gate import read_gate

        gate = read_gate(spec.gated, spec.dev_languages, *gate_files(spec.gated, inputs))
    run = Run.for_student(
        spec.settings,
        corpus_files(spec.languages, inputs, "train", spec.shares),
        corpus_files(spec.dev_languages, inputs, "dev"),
        corpus_files(spec.unlabelled_languages, inputs, "unlabelled", spec.shares),
        objective=spec.objective,
        distill=spec.distill,
        updates_per_batch=spec.updates_per_batch,
        task=spec.task,
        labels=spec.labels,
        decoder=spec.decoder,
        encoder=spec.encoder,
        seed=spec.seed,
        outputs=outputs,
        encoder_folder=encoder,
        machine=machine,
        decode=spec.decode,
        gate=gate,
    )
    with use_kernel(spec.kernel, machine.device):
        run_training(run)


def _outputs(inputs: Sequence[Path], model: Path, log: Path, summary: Path, checkpoints: Path) -> Outputs:
    """Return where a training writes, after checking that it may."""
    from tagdistill.training.run import Outputs

    for path in (model, log, summary):
        check_output(path, folder=path is model, inputs=inputs)
    check_folder(checkpoints)
    return Outputs(model, log, summary, checkpoints)


def _machine(device: str, gpus: int, threads: int) -> Machine:
    """Return what a training computes on; with several GPUs, start one process for each in the place of this one."""
    from tagdistill.training.processes import Processes, launch
    from tagdistill.training.run import Machine

    processes = Processes.started()
    if gpus > 1 and processes.number == 1:
        launch(gpus, device)
    if not processes.first:
        logging.getLogger("tagdistill").setLevel(logging.WARNING)
    return Machine(device_of(device), threads, processes)


@app.command(rich_help_panel=STAGES)
def score(
    model: Annotated[Path, typer.Option(help="folder of the teacher")],
    corpus: Annotated[Path, typer.Option(help="corpus to score")],
    out: Out,
    features: Annotated[
        Path | None, typer.Option(help="features of the corpus, or their folder (frozen encoder)")
    ] = None,
    states: Annotated[
        Path | None, typer.Option(help="states of the corpus, or their folder (fine-tuned encoder)")
    ] = None,
    vectors: Annotated[Path | None, typer.Option(help="converted word vectors of the teacher")] = None,
    fold: Annotated[
        list[Path] | None, typer.Option(help="folder of the teacher that was trained without fold 0, 1, ...: each once")
    ] = None,
    encoder: Encoder = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Write a teacher's scores of one corpus, or those of the teachers that were trained without a fold of it."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.distill.dataset import CorpusFiles

    check_output(out, inputs=[model, corpus, features, states, vectors, encoder, *(fold or [])])
    stores = [store_of(stored, corpus.stem) for stored in (features, states)]
    files = CorpusFiles(read_corpus(corpus).language, corpus, stores[0], vectors=vectors, states=stores[1])
    where = device_of(device)
    if fold:
        from tagdistill.distill.score_folds import score_out_of_fold

        score_out_of_fold(model, fold, files, out, encoder=encoder, device=where, threads=threads)
    else:
        from tagdistill.distill.score_corpus import score_corpus

        score_corpus(model, files, out, encoder=encoder, device=where, threads=threads)


@app.command(rich_help_panel=STAGES)
def targets(
    scores: Annotated[list[Path], typer.Option(help="scores.parquet of a teacher, or of each of several")],
    out: Out,
    weights: Annotated[str | None, typer.Option(help="of several teachers: numbers, with commas between")] = None,
    k: Annotated[int, typer.Option(min=1, help="number of best label sequences to keep")] = 10,
    kernel: Annotated[str, typer.Option(help="kernel of the CRFs: torch or compiled")] = "torch",
    threads: Threads = 1,
) -> None:
    """Convert a teacher's scores, or those of several, into posteriors and the k best label sequences."""
    check_output(out, inputs=scores)
    use_threads(threads)
    with use_kernel(kernel, "cpu"):
        if len(scores) == 1:
            from tagdistill.distill.export_targets import export_targets

            export_targets(scores[0], out, k)
        else:
            from tagdistill.distill.average_targets import average_targets

            average_targets(scores, numbers(weights, "--weights") if weights else [1.0] * len(scores), out, k)


@app.command(rich_help_panel=STAGES)
def evaluate_model(
    job: Job,
    files: Files,
    model: Annotated[Path, typer.Option(help="folder of the model")],
    predictions: Annotated[Path, typer.Option(help="folder to write the predictions to")],
    metrics: Annotated[Path, typer.Option(help="folder to write the metrics to")],
    encoder: Encoder = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Score one model on the test sets of all its languages."""
    from tagdistill.evaluation.evaluate import evaluate_model
    from tagdistill.experiment.jobs import EvaluateJob, read_job

    check_folder(predictions)
    check_folder(metrics)
    spec, inputs = read_job(EvaluateJob, job), read_files(files)
    own: Sequence[str] = [spec.own] if spec.own else []
    where = device_of(device)
    with use_kernel(spec.kernel, where):
        evaluate_model(
            model,
            spec.model,
            corpus_files(spec.languages, inputs, "test"),
            spec.roles,
            predictions=predictions,
            metrics=metrics,
            own=next(iter(corpus_files(own, inputs, "own")), None),
            encoder=encoder,
            decode=spec.decode,
            device=where,
            threads=threads,
        )


@app.command(rich_help_panel=STAGES)
def links(
    record: Annotated[Path, typer.Option(help="results/NAME/made_of.jsonl: the links are written beside it")],
    results: Annotated[str | None, typer.Option(help="its new content, a line of JSON each, as text or @FILE")] = None,
) -> None:
    """Write the links of results/NAME to the results that experiments share."""
    _show(record, results)


def _show(record: Path, results: str | None = None, made_of: str | None = None) -> None:
    """Write the links beside a record, and the record itself where its content is given as text or @FILE."""
    from tagdistill.artifacts.files import sha256_json
    from tagdistill.experiment.jobs import read_argument
    from tagdistill.workflow.shown import Shown, read_record

    if len(record.parts) < 3 or record.parts[-3] != "results":
        raise TagdistillError(
            "not the record of an experiment", where=str(record), hint="Give results/NAME/made_of.jsonl."
        )
    text = read_argument(f"@{record}" if results is None else results)
    if made_of and sha256_json(text) != made_of:
        hint = "Give the changed experiment another name, or remove this file and run again."
        raise TagdistillError("this is of other settings, data or code", where=str(record), hint=hint)
    try:
        found = read_record(text)
    except (ValueError, TypeError, KeyError) as error:
        where = str(record) if results is None else "--results"
        raise TagdistillError(f"not results, a line of JSON each: {error}", where=where) from error
    Shown(record.parent.name, found, record.parents[2]).write()


@app.command(rich_help_panel=STAGES)
def report(
    config: Annotated[str, typer.Option(help="settings of the experiment, as JSON or @FILE")],
    results: Annotated[Path, typer.Option(help="folder results/NAME of the experiment")],
    benchmarks: Annotated[Path | None, typer.Option(help="folder of the rules' benchmarks")] = None,
    encoder: Encoder = None,
    record: Annotated[Path | None, typer.Option(help="record of the results: their links are written first")] = None,
    made_of: Annotated[str | None, typer.Option(help="checksum that the record must have")] = None,
) -> None:
    """Write tables, figures, the HTML report and the model cards."""
    from tagdistill.experiment.jobs import read_job
    from tagdistill.reporting.report import build_report
    from tagdistill.settings.experiment import Experiment

    check_folder(results)
    if record:
        _show(record, made_of=made_of)
    build_report(results, read_job(Experiment, config), benchmarks=benchmarks, encoder=encoder)


@app.command(rich_help_panel=STAGES)
def export(
    model: Annotated[Path, typer.Option(help="folder of the student")],
    encoder: ConvertedEncoder,
    card: Annotated[Path, typer.Option(help="its model card, from the report")],
    out: Out,
    job: Annotated[
        str, typer.Option(help="what to export, as JSON or @FILE: the section `export` of a config")
    ] = '{"formats": ["torch"]}',
    files: Annotated[
        str, typer.Option(help='text for graphs, as JSON or @FILE: {"training": [...], "tests": [...]}')
    ] = "{}",
) -> None:
    """Write a student and the parts of its encoder that it needs into one self-contained folder."""
    from tagdistill.experiment.jobs import read_job
    from tagdistill.export.bundle import Corpora, export_student
    from tagdistill.settings.export import Export

    inputs = read_files(files)
    corpora = Corpora(inputs.get("training", ()), inputs.get("tests", ()))
    check_output(out, folder=True, inputs=[model, encoder, card, *corpora.training, *corpora.tests])
    export_student(model, encoder, card, out, read_job(Export, job), corpora)
