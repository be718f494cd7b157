"""People's commands around a run: check a config, plan, clean, compare experiments, write pages of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagdistill.artifacts.output_path import check_folder, check_output, check_page
from tagdistill.cli.help import DATA, RESULTS, RUN
from tagdistill.cli.options import Experiments, Out, Root

if TYPE_CHECKING:
    from tagdistill.experiment.plan import Plan

DEMO = Path("config/config.yaml")  # what a run without a config runs

app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="Check a config file, or list every key.")
app.add_typer(config_app, name="config", rich_help_panel=DATA)
kernel_app = typer.Typer(no_args_is_help=True, help="Build the compiled CRF kernel (`kernel: compiled`).")
app.add_typer(kernel_app, name="kernel", rich_help_panel=RUN)


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(help="config file")],
    root: Root = None,
    data: Annotated[bool, typer.Option(help="read the data too, except what is not yet downloaded")] = True,
) -> None:
    """Check a config file and its data, and describe what it would train. Run it where Snakemake will run."""
    from tagdistill.experiment.config import describe_experiment, read_experiment
    from tagdistill.experiment.no_effect import no_effect
    from tagdistill.experiment.plan import Plan

    experiment = read_experiment(file, **({"root": root} if root else {}))
    plan = Plan(experiment, Path.cwd())
    plan.check_files(str(file))
    lines = [describe_experiment(experiment, str(file)), *plan.local.warnings(plan.runs, str(file))]
    lines += no_effect(plan.runs)
    if data:
        from tagdistill.experiment.check_data import check_data

        lines += check_data(plan, str(file))
    else:
        from tagdistill.experiment.few_updates import few_updates

        lines += few_updates(plan, {})
    typer.echo("\n".join(lines))


@config_app.command("default")
def config_default() -> None:
    """Print a config with every key, its meaning and its default (config/default.yaml)."""
    from tagdistill.settings.example import default_config

    typer.echo(default_config(), nl=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of config files, for editors (config/schema.json)."""
    from tagdistill.settings.schema import config_schema

    typer.echo(config_schema(), nl=False)


@config_app.command("reference")
def config_reference() -> None:
    """Print the page of every config key (config/README.md)."""
    from tagdistill.settings.reference import config_reference

    typer.echo(config_reference(), nl=False)


@kernel_app.command("build")
def kernel_build() -> None:
    """Build the compiled kernel with this machine's C++ compiler, unless it is there, and print its path."""
    from tagdistill.crf.kernels.cpp.build import build

    typer.echo(build())


@app.command(rich_help_panel=RUN)
def plan(
    config: Annotated[Path | None, typer.Argument(help="config file (default: the demo)")] = None,
    targets: Annotated[
        list[str] | None, typer.Argument(help="targets or files, such as teachers (default: all)")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="cores that the run would have")] = os.cpu_count() or 1,
    root: Root = None,
) -> None:
    """List the jobs of a run, their reasons, and the time and disk space they may need.

    Run it in the folder of the Snakefile.
    """
    from tagdistill.experiment.few_updates import few_updates
    from tagdistill.experiment.known_words import known_words
    from tagdistill.experiment.little_text import little_text
    from tagdistill.experiment.no_effect import no_effect
    from tagdistill.workflow.dry_run import dry_run
    from tagdistill.workflow.forecast import forecast
    from tagdistill.workflow.shown import Shown

    planned = _planned(config, root)
    arguments = [*(targets or []), *(["--configfile", str(config)] if config else [])]
    arguments += ["--config", f"root={root}"] if root else []
    jobs = dry_run(arguments)
    trains = any(job.rule in ("train_teacher", "train_student") for job in jobs)
    warnings = []
    if planned and config and trains:
        runs = planned.runs
        labelled = known_words(planned, "train", runs.trained)
        text = known_words(planned, "unlabelled", (*runs.with_split("unlabelled"), *runs.zero_shot_text))
        warnings = [*few_updates(planned, labelled), *little_text(planned, labelled, text)]
    shown = Shown(planned.name, list(planned.files.results())) if planned else None
    notes = [*planned.notes(), *no_effect(planned.runs)] if planned else []
    typer.echo("\n".join([forecast(jobs, cores, shown), *notes, *warnings]))


def _planned(config: Path | None, root: str | None) -> Plan | None:
    """Return the plan of a config; without one that of the demo, or none in the folder of another workflow."""
    from tagdistill.errors import ConfigError
    from tagdistill.experiment.config import read_experiment
    from tagdistill.experiment.plan import Plan

    file = config or DEMO
    try:
        planned = Plan(read_experiment(file, **({"root": root} if root else {})), Path.cwd())
        planned.check_files(str(file))
    except ConfigError:
        if config:
            raise
        return None  # a mistake in the demo's config is told by the dry run
    return planned


@app.command(rich_help_panel=RUN)
def clean(
    configs: Annotated[
        list[Path] | None, typer.Argument(help="configs in use outside config/ and the folder of the Snakefile")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove what is listed")] = False,
    models: Annotated[bool, typer.Option("--models", help="remove models that no config makes, too")] = False,
    root: Root = None,
) -> None:
    """List, or remove, what no config uses: encoders, downloads, and results that experiments share.

    Run it in the folder of the Snakefile. All configs in config/ and beside the Snakefile count as in use, and those
    given. Models that none of them makes are listed with what was made of them; only --models removes them, since they
    would be trained again.
    """
    from tagdistill.formatting import disk
    from tagdistill.workflow.cleanup import configs_in_use, remove, unknown_results, unused, unused_models
    from tagdistill.workflow.cleanup_text import describe

    here = Path.cwd()
    in_use, looked_at = configs_in_use(configs or (), here)
    found, old = unused(in_use, here, root), unused_models(in_use, here, root)
    notes = unknown_results(in_use, here, root) if found or old else []
    typer.echo("\n".join([looked_at, *describe([*found, *old], here), *notes]))
    if old and not models:
        size = disk(sum(item.size for item in old))
        typer.echo(f"{size} of them are models and what was made of them: they stay without --models")
    found += old if models else []
    total = disk(sum(item.size for item in found))
    if not found:
        typer.echo("Nothing: every encoder, download and result is used by a config." if not old else "Nothing else.")
    elif yes:
        remove(found, here)
        typer.echo(f"removed: {total}")
    else:
        typer.echo(f"{total} may go. Remove it: tagdistill clean --yes{' --models' if models else ''}")


@app.command(rich_help_panel=RESULTS)
def compare(
    first: Annotated[Path, typer.Argument(help="folder results/NAME of a finished experiment")],
    second: Annotated[Path, typer.Argument(help="folder of the other experiment")],
    out: Annotated[Path, typer.Option("--out", help="folder for index.html and differences.tsv")],
) -> None:
    """Compare two experiments on the languages whose test sets they share, as one HTML page."""
    from tagdistill.reporting.compare import compare

    check_page(out, ["index.html", "differences.tsv"])
    compare(first, second, out)
    typer.echo(out / "index.html")


@app.command(rich_help_panel=RESULTS)
def results(
    experiments: Experiments,
    out: Annotated[Path, typer.Option(help="folder to write into; other files in it stay")],
    benchmarks: Annotated[Path, typer.Option(help="folder of all benchmarks")] = Path("benchmarks"),
    objective: Annotated[
        str | None, typer.Option(help="compare all students with this objective's, beside their reference")
    ] = None,
) -> None:
    """Write a Markdown page, a table and figures of each finished experiment.

    An experiment whose name begins with another's that is given, such as `pos-tuned` and `pos`, is compared with it.
    What experiments share, in results/shared, is passed over.
    """
    from tagdistill.experiment.layout import SHARED
    from tagdistill.reporting.results import write_results

    check_folder(out)
    named = [folder for folder in experiments if folder.name != SHARED]
    write_results(named, benchmarks, out, objective=objective)


@app.command(rich_help_panel=RESULTS)
def paper(
    out: Out,
    experiments: Annotated[
        list[Path] | None, typer.Argument(help="folders results/NAME of finished experiments")
    ] = None,
) -> None:
    """Write the page that compares the paper's tables with ours (docs/paper.md)."""
    from tagdistill.reporting.paper import write_paper

    check_output(out, inputs=experiments or [])
    write_paper(experiments or [], out)
