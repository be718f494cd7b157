"""The commands that people call around a run: check a config, list its keys, add a language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer()
config_app = typer.Typer(no_args_is_help=True, help="Check a config file, or list every key.")
app.add_typer(config_app, name="config")


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(help="config file")],
    root: Annotated[Optional[str], typer.Option(help="where relative paths start, instead of `root:`")] = None,  # noqa: UP045
) -> None:
    """Check a config file and the files it names, and say what it would train. Run it where the Snakefile is."""
    from tagdistill.config import describe_experiment, read_experiment
    from tagdistill.plan import Plan

    experiment = read_experiment(file, **({"root": root} if root else {}))
    Plan(experiment, Path.cwd()).check_files(str(file))
    typer.echo(describe_experiment(experiment, str(file)))


@config_app.command("default")
def config_default() -> None:
    """Print a config with every key, its meaning and its default (config/default.yaml)."""
    from tagdistill.default_config import default_config

    typer.echo(default_config(), nl=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of config files, for editors (config/schema.json)."""
    from tagdistill.schema import config_schema

    typer.echo(config_schema(), nl=False)


@config_app.command("reference")
def config_reference() -> None:
    """Print the page of every config key (config/README.md)."""
    from tagdistill.reference import config_reference

    typer.echo(config_reference(), nl=False)


@app.command()
def add_language(
    config: Annotated[Path, typer.Argument(help="config file")],
    key: Annotated[str, typer.Option("--id", help="the language's key, such as fr")],
    train: Annotated[Optional[Path], typer.Option(help="labelled text to train on")] = None,  # noqa: UP045
    dev: Annotated[Optional[Path], typer.Option(help="labelled text that chooses the best update")] = None,  # noqa: UP045
    test: Annotated[Optional[Path], typer.Option(help="labelled text to score on")] = None,  # noqa: UP045
    unlabelled: Annotated[Optional[Path], typer.Option(help="text without labels, in the same format")] = None,  # noqa: UP045
    kind: Annotated[str, typer.Option("--format", help="conll, conllu, wikiann or parquet")] = "conll",
    scheme: Annotated[Optional[str], typer.Option(help="IOB1, IOB2 or BIOES")] = None,  # noqa: UP045
    separator: Annotated[Optional[str], typer.Option(help="tab or space")] = None,  # noqa: UP045
    zero_shot: Annotated[bool, typer.Option("--zero-shot", help="score on it only")] = False,
) -> None:
    """Read the files of a new language as the workflow will, and print the lines that add it to the config."""
    from tagdistill.add_language import add_language

    given: dict[str, Any] = {"format": kind, "separator": separator, "scheme": scheme}
    given |= {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
    settings = {name: value if name == "format" else str(value) for name, value in given.items() if value is not None}
    typer.echo(add_language(config, key, settings, zero_shot=zero_shot))
