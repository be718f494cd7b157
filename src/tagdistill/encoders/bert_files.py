"""Write a BERT encoder as an ordinary `save_pretrained` folder: weights, configuration and tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

SPECIALS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def bert_config(**shape: Any) -> dict[str, Any]:
    """Return the `config.json` of a BERT encoder whose tokenizer starts with <s> <pad> </s> <unk>."""
    fixed = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "dtype": "float16",
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "model_type": "bert",
        "pad_token_id": 1,
    }
    return fixed | shape


def write_bert(folder: Path, config: dict[str, Any], tensors: dict[str, NDArray[Any]], tokenizer: Tokenizer) -> None:
    """Write weights (stored as float16), configuration and tokenizer: the same inputs give the same bytes."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: np.ascontiguousarray(tensor, dtype=np.float16) for name, tensor in tensors.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"))
    positions = config["max_position_embeddings"]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions, **SPECIALS}
    write_json(folder / "tokenizer_config.json", settings)


# (name in the file, name in transformers' BertModel) of one layer's weight and bias pairs.
BERT_LAYER = (
    ("q", "attention.self.query"),
    ("k", "attention.self.key"),
    ("v", "attention.self.value"),
    ("ao", "attention.output.dense"),
    ("aln", "attention.output.LayerNorm"),
    ("fi", "intermediate.dense"),
    ("fo", "output.dense"),
    ("oln", "output.LayerNorm"),
)


def bert_names(layers: int) -> dict[str, str]:
    """Return short tensor names (`emb.word`, `l0.q.w`) and the names BertModel gives them, in model order."""
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
    }
    for layer in range(layers):
        for short, long in BERT_LAYER:
            names[f"l{layer}.{short}.w"] = f"encoder.layer.{layer}.{long}.weight"
            names[f"l{layer}.{short}.b"] = f"encoder.layer.{layer}.{long}.bias"
    return names


def bert_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of `bert_names`; linear weights are (out, in)."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    rows = {
        "emb.word": config["vocab_size"],
        "emb.pos": config["max_position_embeddings"],
        "emb.type": config["type_vocab_size"],
    }
    linear = {"q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden), "ao": (hidden, hidden)}
    linear |= {"fi": (inner, hidden), "fo": (hidden, inner)}
    shapes: dict[str, tuple[int, ...]] = {}
    for name in bert_names(config["num_hidden_layers"]):
        block, kind = name.split(".")[-2:]
        if name in rows:
            shapes[name] = (rows[name], hidden)
        elif block in linear:
            shapes[name] = linear[block] if kind == "w" else linear[block][:1]
        else:
            shapes[name] = (hidden,)
    return shapes
