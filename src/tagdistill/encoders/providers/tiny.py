"""A random encoder of a few kilobytes, for tests: any script, no files, the same weights everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.encoders.bert_files import SPECIALS, bert_config, bert_names, bert_shapes, write_bert
from tagdistill.encoders.provider import Origin, Provider

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from tagdistill.settings.encoder import EncoderSettings

LAYERS, HIDDEN, POSITIONS, SEED = 4, 32, 256, 0


class Tiny(Provider):
    """One encoder of fixed random weights."""

    layers = LAYERS

    def identity(self, settings: EncoderSettings) -> tuple[str, str]:
        """Return a name and a version: the weights are the same everywhere."""
        return "random", "0"

    def convert(self, settings: EncoderSettings, folder: Path, source: Path | None) -> Origin:
        """Write the encoder into `folder`."""
        convert_tiny(folder)
        return Origin("MIT", "random weights, made by tagdistill for tests")


def convert_tiny(folder: Path) -> None:
    """Write the tiny encoder: a BERT of 4 layers and 32 dimensions over characters and bytes."""
    tokenizer = tiny_tokenizer()
    config = bert_config(
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        layer_norm_eps=1e-12,
        max_position_embeddings=POSITIONS,
        num_attention_heads=4,
        num_hidden_layers=LAYERS,
        type_vocab_size=1,
        vocab_size=tokenizer.get_vocab_size(),
    )
    write_bert(folder, config, _weights(config), tokenizer)


def tiny_tokenizer() -> Tokenizer:
    """Return a tokenizer of printable ASCII characters, and of bytes for everything else, with a '▁' before a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ascii_characters = [chr(code) for code in range(0x21, 0x7F)]
    pieces = [*SPECIALS.values(), "▁", *ascii_characters, *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    specials = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=specials)
    tokenizer.add_special_tokens(list(SPECIALS.values()))
    return tokenizer


def _weights(config: dict[str, Any]) -> dict[str, NDArray[Any]]:
    import numpy as np

    generator = np.random.default_rng(SEED)
    names = bert_names(LAYERS)
    tensors: dict[str, NDArray[Any]] = {}
    for name, shape in bert_shapes(config).items():
        if len(shape) == 2:
            # wider than BERT's 0.02: with few dimensions, layers of that size would hardly change their input
            tensors[names[name]] = generator.normal(0, HIDDEN**-0.5, shape)
        else:
            tensors[names[name]] = np.ones(shape) if name.endswith("ln.w") else np.zeros(shape)
    return tensors


PROVIDER = Tiny()
