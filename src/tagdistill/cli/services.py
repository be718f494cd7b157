"""Commands that bring a model to others."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from tagdistill.cli.help import MODELS
from tagdistill.cli.inference import ModelFolder, Precision
from tagdistill.cli.options import Device, Encoder, Threads

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
    max_wait: Annotated[float, typer.Option(min=0, help="seconds in the queue; with more, a request is refused")] = 0.5,
) -> None:
    """Answer requests over HTTP with the labels of their texts, and show a page to try the model."""
    from tagdistill.serving.limits import Limits
    from tagdistill.serving.server import serve
    from tagdistill.tagger.open import open_model

    limits = Limits(texts=max_texts, text_characters=max_text, characters=max_characters, wait=max_wait)
    opened = partial(open_model, model, encoder=encoder, precision=precision, device=device, threads=threads)
    serve(opened, host=host, port=port, limits=limits)
