"""The commands that people call around a run: check a config, list its keys, plan, clean, compare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from tagdistill.cli.options import OptionalPath, OptionalText

Paths = Optional[list[Path]]  # noqa: UP045 (typer reads these when it starts)
Texts = Optional[list[str]]  # noqa: UP045

app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="Check a config file, or list every key.")
app.add_typer(config_app, name="config")
kernel_app = typer.Typer(no_args_is_help=True, help="The compiled kernel of CRFs (`kernel: compiled`).")
app.add_typer(kernel_app, name="kernel")


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(help="config file")],
    root: Annotated[OptionalText, typer.Option(help="where relative paths start, instead of `root:`")] = None,
    data: Annotated[bool, typer.Option(help="read the data too, as far as it is here")] = True,
) -> None:
    """Check a config file and the data it names, and say what it would train. Run it where the Snakefile is."""
    from tagdistill.experiment.config import describe_experiment, read_experiment
    from tagdistill.experiment.plan import Plan

    experiment = read_experiment(file, **({"root": root} if root else {}))
    plan = Plan(experiment, Path.cwd())
    plan.check_files(str(file))
    told = []
    if data:
        from tagdistill.experiment.check_data import check_data

        told = check_data(plan, str(file))
    typer.echo("\n".join([describe_experiment(experiment, str(file)), *told]))


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
    """Build the compiled kernel with this machine's C++ compiler, unless it is there; print where it is."""
    from tagdistill.crf.kernels.cpp.build import build

    typer.echo(build())


@app.command()
def plan(
    config: Annotated[OptionalPath, typer.Argument(help="config file; none: the demo")] = None,
    targets: Annotated[list[str] | None, typer.Argument(help="targets or files, such as teachers; none: all")] = None,
    cores: Annotated[int, typer.Option(min=1, help="cores that the run would have")] = os.cpu_count() or 1,
    root: Annotated[OptionalText, typer.Option(help="where relative paths start, instead of `root:`")] = None,
) -> None:
    """Say what a run would do, why, how long it may take and how much disk. Run it where the Snakefile is."""
    from tagdistill.experiment.config import read_experiment
    from tagdistill.experiment.plan import Plan
    from tagdistill.workflow.forecast import dry_run, forecast

    arguments = list(targets or [])
    if config:
        experiment = read_experiment(config, **({"root": root} if root else {}))
        Plan(experiment, Path.cwd()).check_files(str(config))
        arguments += ["--configfile", str(config)]
    arguments += ["--config", f"root={root}"] if root else []
    typer.echo(forecast(dry_run(arguments), cores))


@app.command()
def clean(
    configs: Annotated[
        Paths, typer.Argument(help="configs in use that lie elsewhere than config/ and ./*.yaml")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove it; without this it is only listed")] = False,
    root: Annotated[OptionalText, typer.Option(help="where relative paths start, instead of `root:`")] = None,
) -> None:
    """List caches that no config uses: encoders, downloads, feature stores. Run it where the Snakefile is.

    Looked at are all configs below config/ and beside the Snakefile, and those that are named.
    """
    from tagdistill.formatting import disk
    from tagdistill.workflow.cleanup import configs_in_use, remove, unused

    here = Path.cwd()
    in_use, told = configs_in_use(configs or (), here)
    found = unused(in_use, here, root)
    typer.echo(told)
    for item in found:
        typer.echo(f"{disk(item.size):>9}  {item.path.relative_to(here)}  ({item.why})")
    total = disk(sum(item.size for item in found))
    if not found:
        typer.echo("Nothing: every encoder, download and feature store is used by a config.")
    elif yes:
        remove(found, here)
        typer.echo(f"removed: {total}")
    else:
        typer.echo(f"{total} may go, and is made again when a run needs it. Remove it: tagdistill clean --yes")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="folder results/NAME of a finished experiment")],
    second: Annotated[Path, typer.Argument(help="that of another")],
    out: Annotated[Path, typer.Option("--out", help="folder for index.html and differences.tsv")],
) -> None:
    """Set two experiments side by side on the languages whose test sets they share, as one HTML page."""
    from tagdistill.reporting.compare import compare

    compare(first, second, out)
    typer.echo(out / "index.html")
