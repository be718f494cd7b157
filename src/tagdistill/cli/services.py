"""Commands that bring a model to others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tagdistill.artifacts.output_path import check_output
from tagdistill.cli.help import MODELS
from tagdistill.cli.inference import ModelFolder, Precision
from tagdistill.cli.options import Device, Encoder, Out, Threads

app = typer.Typer()


@app.command(rich_help_panel=MODELS)
def serve(
    model: ModelFolder,
    host: Annotated[str, typer.Option(help="address to listen at; 0.0.0.0: all of this machine's")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 8000,
    encoder: Encoder = None,
    precision: Precision = None,
    device: Device = "auto",
    threads: Threads = 1,
    max_texts: Annotated[int, typer.Option(min=1, help="texts of a request")] = 1000,
    max_characters: Annotated[int, typer.Option(min=1, help="characters of a request")] = 100_000,
    max_text: Annotated[int, typer.Option(min=1, help="characters of a text")] = 20_000,
    max_wait: Annotated[float, typer.Option(min=0, help="seconds in the queue; with more, a request is refused")] = 0.2,
) -> None:
    """Answer requests over HTTP with the labels of their texts, and show a page to try the model."""
    from tagdistill.serving.limits import Limits
    from tagdistill.serving.server import serve
    from tagdistill.tagger.open import open_model

    limits = Limits(texts=max_texts, text_characters=max_text, characters=max_characters, wait=max_wait)
    opened = partial(open_model, model, encoder=encoder, precision=precision, device=device, threads=threads)
    serve(opened, host=host, port=port, limits=limits)


@app.command(rich_help_panel=MODELS)
def to_transformers(
    model: Annotated[Path, typer.Option(help="folder of a fine-tuned student with a linear head")],
    out: Out,
    encoder: Encoder = None,
) -> None:
    """Write a student as a plain model of transformers, without its chain."""
    from tagdistill.artifacts.files import read_json
    from tagdistill.encoders.folder import RECORD
    from tagdistill.export.huggingface import check_plain, write_plain
    from tagdistill.models.load import find_encoder
    from tagdistill.models.model import read_config
    from tagdistill.reporting.card import model_card

    check_output(out, folder=True, inputs=[model, encoder])
    config = read_config(model)
    check_plain(config, str(model))
    record = read_json(find_encoder(model, config, encoder) / RECORD)
    write_plain(model, out, model_card(config, name=out.name, encoder=record, plain_model=True), encoder)


@app.command(rich_help_panel=MODELS)
def push(
    folder: Annotated[Path, typer.Argument(help="folder of an exported student")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub; made if it is not there")],
    private: Annotated[bool, typer.Option("--private", help="for you and your organisation only")] = False,
) -> None:
    """Upload an exported student, with its model card, to the Hugging Face Hub."""
    from tagdistill.export.push import push

    typer.echo(push(folder, repository, private=private))
