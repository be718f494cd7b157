"""Commands on a file of the user's own: add a language to a config, label text, score a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagdistill.artifacts.output_path import check_output
from tagdistill.artifacts.streams import STANDARD, given_file
from tagdistill.cli.help import DATA, MODELS
from tagdistill.cli.options import (
    Broken,
    Columns,
    Comment,
    Device,
    Encoder,
    Encoding,
    InputFormat,
    Kind,
    LabelMap,
    Names,
    OutputFormat,
    Scheme,
    Separator,
    SkipLines,
    Splitting,
    Threads,
    together,
)

app = typer.Typer()


ModelFolder = Annotated[
    str, typer.Option("--model", help="folder of an exported or a saved model, or its name on the Hugging Face Hub")
]
Precision = Annotated[
    str | None, typer.Option(help="of an exported model: fp32, fp16, int8, or torch (default: the first that it has)")
]
To = Annotated[OutputFormat, typer.Option(help="format to write; auto: by the output's ending, else conll")]
Split = Annotated[Splitting, typer.Option(help="words of plain text: as the model says, or at blanks only")]
Constrained = Annotated[
    bool | None,
    typer.Option(
        "--constrained/--unconstrained", help="allow well-formed spans only, or any (default: as in its tests)"
    ),
]


@app.command(rich_help_panel=DATA)
def add_language(
    config: Annotated[Path, typer.Argument(help="config file")],
    key: Annotated[str, typer.Option("--id", help="key of the language, such as fr")],
    train: Annotated[Path | None, typer.Option(help="labelled text to train on")] = None,
    dev: Annotated[Path | None, typer.Option(help="labelled text that chooses the best update")] = None,
    test: Annotated[Path | None, typer.Option(help="labelled text to score on")] = None,
    unlabelled: Annotated[Path | None, typer.Option(help="text without labels")] = None,
    kind: Kind = InputFormat.auto,
    unlabelled_format: Annotated[
        InputFormat | None, typer.Option(help="format of --unlabelled (default: text for .txt, else --format)")
    ] = None,
    scheme: Scheme = None,
    separator: Separator = None,
    columns: Columns = None,
    comment: Comment = None,
    skip_lines: SkipLines = None,
    broken: Broken = None,
    encoding: Encoding = None,
    label_map: LabelMap = None,
    names: Names = None,
    zero_shot: Annotated[bool, typer.Option("--zero-shot", help="score on it only")] = False,
) -> None:
    """Check the files of a new language and print the lines that add it to a config."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.experiment.add_language import add_language

    reading = Reading(
        *(kind.value, separator, together(columns), comment, together(label_map), scheme, encoding, skip_lines),
        *(broken, together(names)),
    )
    asked = None if unlabelled_format in (None, InputFormat.auto) else unlabelled_format.value
    splits = {"train": train, "dev": dev, "test": test, "unlabelled": unlabelled}
    files = {split: path for split, path in splits.items() if path is not None}
    typer.echo(add_language(config, key, files, reading, unlabelled_format=asked, zero_shot=zero_shot))


@app.command(rich_help_panel=MODELS)
def predict(
    model: ModelFolder,
    file: Annotated[Path, typer.Argument(help="text, in any format that the workflow reads; -: stdin")] = STANDARD,
    output: Annotated[Path, typer.Option(help="file to write, compressed if it ends in .gz; -: stdout")] = STANDARD,
    to: To = OutputFormat.auto,
    split: Split = Splitting.model,
    kind: Kind = InputFormat.auto,
    separator: Separator = None,
    columns: Columns = None,
    comment: Comment = None,
    skip_lines: SkipLines = None,
    broken: Broken = None,
    encoding: Encoding = None,
    encoder: Encoder = None,
    precision: Precision = None,
    constrained: Constrained = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Label new text with an exported or a saved model. What arrives at stdin is labelled line by line."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.prediction.predict import predict_file

    check_output(output, inputs=[file, Path(model), encoder])
    called = "stdin" if file == STANDARD else None
    reading = Reading(
        *(kind.value, separator, together(columns), comment),
        encoding=encoding,
        skip_lines=skip_lines,
        broken=broken,
        called=called,
    )
    predict_file(
        *(model, file, output, reading),
        to=to.value,
        split=split.value,
        constrained=constrained,
        encoder=encoder,
        precision=precision,
        device=device,
        threads=threads,
    )


@app.command(rich_help_panel=MODELS)
def evaluate(
    file: Annotated[Path, typer.Argument(help="labelled sentences, in any format that the workflow reads; -: stdin")],
    model: ModelFolder,
    kind: Kind = InputFormat.auto,
    scheme: Scheme = None,
    separator: Separator = None,
    columns: Columns = None,
    comment: Comment = None,
    skip_lines: SkipLines = None,
    broken: Broken = None,
    encoding: Encoding = None,
    label_map: LabelMap = None,
    names: Names = None,
    encoder: Encoder = None,
    precision: Precision = None,
    constrained: Constrained = None,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Score an exported or a saved model on a labelled file and print the scores."""
    from tagdistill.data.readers.options import Reading
    from tagdistill.evaluation.score_file import evaluate_file

    called = "stdin" if file == STANDARD else None
    reading = Reading(
        *(kind.value, separator, together(columns), comment, together(label_map), scheme, encoding, skip_lines),
        *(broken, together(names), called),
    )
    with given_file(file) as text:
        scores = evaluate_file(
            *(model, text, reading),
            constrained=constrained,
            encoder=encoder,
            precision=precision,
            device=device,
            threads=threads,
        )
    typer.echo(scores)
