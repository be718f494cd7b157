"""The commands that read a file as their options say: add a language, label new text, score a model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagdistill.cli.options import (
    Columns,
    Comment,
    Device,
    Encoder,
    Encoding,
    LabelMap,
    OptionalPath,
    OptionalText,
    Separator,
    Threads,
    device_of,
)
from tagdistill.settings.names import FORMATS, names_in

app = typer.Typer()


if TYPE_CHECKING:

    class InputFormat(StrEnum):
        """The formats that the package has, or `auto`."""

        auto = "auto"

else:  # type checkers know no enumeration of names that are looked up
    InputFormat = StrEnum("InputFormat", {name: name for name in ("auto", *names_in(FORMATS))})

Kind = Annotated[InputFormat, typer.Option("--format", help="auto: by the file's ending")]
ModelFolder = Annotated[Path, typer.Option("--model", help="a saved model's folder")]
Constrained = Annotated[bool, typer.Option("--constrained", help="allow well-formed spans only")]


@app.command()
def add_language(
    config: Annotated[Path, typer.Argument(help="config file")],
    key: Annotated[str, typer.Option("--id", help="the language's key, such as fr")],
    train: Annotated[OptionalPath, typer.Option(help="labelled text to train on")] = None,
    dev: Annotated[OptionalPath, typer.Option(help="labelled text that chooses the best update")] = None,
    test: Annotated[OptionalPath, typer.Option(help="labelled text to score on")] = None,
    unlabelled: Annotated[OptionalPath, typer.Option(help="text without labels")] = None,
    kind: Annotated[str, typer.Option("--format", help="conll, conllu, wikiann or parquet")] = "conll",
    unlabelled_format: Annotated[
        OptionalText, typer.Option(help="format of --unlabelled: text for .txt, else that of the others")
    ] = None,
    scheme: Annotated[OptionalText, typer.Option(help="IOB1, IOB2 or BIOES")] = None,
    separator: Separator = "auto",
    columns: Columns = None,
    comment: Comment = None,
    encoding: Encoding = None,
    label_map: LabelMap = None,
    zero_shot: Annotated[bool, typer.Option("--zero-shot", help="score on it only")] = False,
) -> None:
    """Read the files of a new language as the workflow will, and print the lines that add it to the config."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.experiment.add_language import add_language

    reading = Reading(kind, separator, columns, comment, label_map, scheme, encoding)
    given = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
    files = {split: path for split, path in given.items() if path is not None}
    typer.echo(add_language(config, key, files, reading, unlabelled_format=unlabelled_format, zero_shot=zero_shot))


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="sentences: CoNLL (a token a line), CoNLL-U, one sentence a line, ...")],
    model: ModelFolder,
    output: Annotated[Path, typer.Option(help="file to write: TAB-separated token, _ and label")],
    kind: Kind = InputFormat.auto,
    separator: Separator = "auto",
    columns: Columns = None,
    comment: Comment = None,
    encoding: Encoding = None,
    encoder: Encoder = None,
    constrained: Constrained = False,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Label new text with a saved model. Plain text is split on white space only."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.evaluation.predict import predict_file

    reading = Reading(kind.value, separator, columns, comment, encoding=encoding)
    on = device_of(device)
    predict_file(model, file, output, reading, encoder=encoder, constrained=constrained, device=on, threads=threads)


@app.command()
def evaluate(
    file: Annotated[
        Path, typer.Argument(help="labelled sentences: CoNLL (token first, tag last), CoNLL-U, WikiAnn or Parquet")
    ],
    model: ModelFolder,
    kind: Kind = InputFormat.auto,
    scheme: Annotated[str, typer.Option(help="how spans are written: IOB1, IOB2 or BIOES")] = "IOB2",
    separator: Separator = "auto",
    columns: Columns = None,
    comment: Comment = None,
    encoding: Encoding = None,
    label_map: LabelMap = None,
    encoder: Encoder = None,
    constrained: Constrained = False,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Score a saved model on a labelled file and print the scores."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.evaluation.predict import evaluate_file

    reading = Reading(kind.value, separator, columns, comment, label_map, scheme, encoding)
    on = device_of(device)
    told = evaluate_file(model, file, reading, encoder=encoder, constrained=constrained, device=on, threads=threads)
    typer.echo(told)
