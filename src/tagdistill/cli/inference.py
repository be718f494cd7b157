"""Commands on a file of the user's own: add a language to a config, label text, score a model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagdistill.artifacts.output_path import check_output
from tagdistill.artifacts.streams import given_file
from tagdistill.cli.help import DATA, MODELS
from tagdistill.cli.options import (
    Columns,
    Comment,
    Device,
    Encoder,
    Encoding,
    LabelMap,
    Scheme,
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

Kind = Annotated[InputFormat, typer.Option("--format", help="format of the file; auto: by its ending")]
ModelFolder = Annotated[Path, typer.Option("--model", help="folder of a saved model")]
Constrained = Annotated[bool, typer.Option("--constrained", help="allow well-formed spans only")]


@app.command(rich_help_panel=DATA)
def add_language(
    config: Annotated[Path, typer.Argument(help="config file")],
    key: Annotated[str, typer.Option("--id", help="key of the language, such as fr")],
    train: Annotated[Path | None, typer.Option(help="labelled text to train on")] = None,
    dev: Annotated[Path | None, typer.Option(help="labelled text that chooses the best update")] = None,
    test: Annotated[Path | None, typer.Option(help="labelled text to score on")] = None,
    unlabelled: Annotated[Path | None, typer.Option(help="text without labels")] = None,
    kind: Annotated[str, typer.Option("--format", help="conll, conllu, wikiann or parquet")] = "conll",
    unlabelled_format: Annotated[
        str | None, typer.Option(help="format of --unlabelled (default: text for .txt, else --format)")
    ] = None,
    scheme: Scheme = None,
    separator: Separator = "auto",
    columns: Columns = None,
    comment: Comment = None,
    encoding: Encoding = None,
    label_map: LabelMap = None,
    zero_shot: Annotated[bool, typer.Option("--zero-shot", help="score on it only")] = False,
) -> None:
    """Check the files of a new language and print the lines that add it to a config."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.experiment.add_language import add_language

    reading = Reading(kind, separator, columns, comment, label_map, scheme, encoding)
    splits = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
    files = {split: path for split, path in splits.items() if path is not None}
    typer.echo(add_language(config, key, files, reading, unlabelled_format=unlabelled_format, zero_shot=zero_shot))


@app.command(rich_help_panel=MODELS)
def predict(
    file: Annotated[
        Path,
        typer.Argument(help="sentences: CoNLL (one token per line), CoNLL-U, one sentence per line, ...; -: stdin"),
    ],
    model: ModelFolder,
    output: Annotated[Path, typer.Option(help="file to write: token, _ and label, separated by TABs; -: stdout")],
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
    """Label new text with a saved model. Plain text is split at white space only."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.evaluation.predict import predict_file

    check_output(output, inputs=[file, model, encoder])
    reading = Reading(kind.value, separator, columns, comment, encoding=encoding)
    on = device_of(device)
    with given_file(file) as text:
        predict_file(model, text, output, reading, encoder=encoder, constrained=constrained, device=on, threads=threads)


@app.command(rich_help_panel=MODELS)
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(help="labelled sentences: CoNLL (token first, tag last), CoNLL-U, WikiAnn or Parquet; -: stdin"),
    ],
    model: ModelFolder,
    kind: Kind = InputFormat.auto,
    scheme: Scheme = "IOB2",
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
    with given_file(file) as text:
        scores = evaluate_file(
            model, text, reading, encoder=encoder, constrained=constrained, device=on, threads=threads
        )
    typer.echo(scores)
