"""Read and write `save_pretrained` folders with transformers: safetensors only, no remote code, no missing weight."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import read_json
from tagdistill.artifacts.stored_file import COPY, check_stored, whole_folder
from tagdistill.errors import ConfigError, DataError, MismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL = {"local_files_only": True, "trust_remote_code": False}


def load_model(folder: Path, *, layers: int | None = None, dtype: Any = "auto") -> Any:
    """Return the model in a folder, in eval mode, with its first `layers` layers (None: all) and no pooling layer.

    `dtype` is a torch type, or "auto" for that of the file. Raises DataError or MismatchError where it cannot be loaded
    or weights are missing (transformers would continue with random numbers).
    """
    with quiet_transformers():
        from transformers import AutoConfig, AutoModel
        from transformers.models.auto.modeling_auto import MODEL_MAPPING

        for file in sorted(path for path in folder.glob("*") if path.suffix in (".json", ".safetensors")):
            check_stored(file)
        read_json(folder / "config.json")
        try:
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            if layers is not None:
                _truncate(config, layers)
            poolable = "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)]).parameters  # type: ignore[arg-type]
            options = {"add_pooling_layer": False} if poolable else {}
            model, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                **LOCAL,
                **options,
            )
        except Exception as error:  # its configuration and its weights are read with many kinds of errors
            what = f"transformers cannot load it: {first_line(error)}"
            raise DataError(what, where=str(folder), hint=whole_folder(folder / "config.json") or COPY) from error
    if missing := sorted(report["missing_keys"]):
        raise MismatchError(f"weights are missing: {', '.join(missing[:3])} ({len(missing)} in all)", where=str(folder))
    return model.eval()


def _truncate(config: Any, layers: int) -> None:
    config.num_hidden_layers = layers
    if isinstance(kinds := getattr(config, "layer_types", None), list):
        config.layer_types = kinds[:layers]


def copy_pretrained(source: Path, folder: Path) -> None:
    """Load a model and its tokenizer from one folder and save them in another, without heads, code or pickles."""
    check_pretrained(source)
    model = load_model(source)
    with quiet_transformers():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **LOCAL)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise DataError(f"its tokenizer cannot be loaded: {first_line(error)}", where=str(source)) from error
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if not (folder / "tokenizer.json").is_file():
        raise DataError("its tokenizer has no fast form (tokenizer.json)", where=str(source))


def check_pretrained(source: Path) -> None:
    """Refuse a folder without configuration or safetensors, before anything heavy is imported."""
    if not (source / "config.json").is_file():
        raise ConfigError("no folder of a model: it has no config.json", where=f"encoder.id: {source}")
    if not list(source.glob("*.safetensors")):
        raise DataError(
            "the model has no safetensors weights (pickled ones are not read)",
            where=str(source),
            hint="Take a revision with model.safetensors, or save the model again with transformers.",
        )


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message: the rest is advice to its programmers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep load reports and progress bars off stderr: what matters in them is checked and raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers has no types here
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
