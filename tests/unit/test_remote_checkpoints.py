"""Copies of checkpoints in a bucket, on an S3 server of our own: a training goes on where none of its files are."""

from __future__ import annotations

import logging
from dataclasses import replace

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.server import ThreadedMotoServer
from tiny_runs import files_of, interrupted, make_corpus, outputs_in, teacher_run

from tagdistill.artifacts.files import sha256_file
from tagdistill.errors import ConfigError
from tagdistill.training import trainer
from tagdistill.training.checkpoints import COMPLETE
from tagdistill.training.remote_checkpoints import RemoteCheckpoints
from tagdistill.training.resume import fingerprint_of
from tagdistill.training.run_training import run_training


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("TAGDISTILL_CHECKPOINTS", "s3://checkpoints/of/runs/")
    client = boto3.client("s3")
    client.create_bucket(Bucket="checkpoints")
    yield Bucket(client)
    for key in Bucket(client).names():
        client.delete_object(Bucket="checkpoints", Key=key)
    client.delete_bucket(Bucket="checkpoints")


class Bucket:
    def __init__(self, client):
        self.client = client

    def names(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket="checkpoints").get("Contents", ())]

    def checkpoints(self) -> set[str]:
        return {key.split("/")[-2] for key in self.names()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    corpora = [files_of(make_corpus(folder, "aa", split, count)) for split, count in (("train", 60), ("dev", 25))]
    return teacher_run(folder / "whole", *corpora)


@pytest.mark.slow
def test_a_training_goes_on_on_another_machine(run, bucket, tmp_path, monkeypatch, caplog):
    whole, here, there = (replace(run, outputs=outputs_in(tmp_path / name)) for name in ("whole", "here", "there"))
    run_training(whole)
    assert bucket.names() == []
    with interrupted(monkeypatch, saves={2, 5, 7}, at=9):  # dev was scored at 6: the best weights go along
        run_training(here)
    assert bucket.checkpoints() == {"checkpoint-7"}
    assert all(key.startswith(f"of/runs/{fingerprint_of(run)}/") for key in bucket.names())
    with caplog.at_level(logging.INFO):
        run_training(there)
    assert "taking checkpoint-7" in caplog.text and "resuming from checkpoint-7" in caplog.text
    for name in ("model.safetensors", "config.json"):
        assert sha256_file(there.outputs.model / name) == sha256_file(whole.outputs.model / name)
    assert bucket.names() == []
    assert not there.outputs.checkpoints.exists()


def test_what_is_half_copied_is_not_taken_and_what_is_newer_here_stays(bucket, tmp_path):
    remote = RemoteCheckpoints.of("f00")
    for update in (3, 5):
        checkpoint = tmp_path / "here" / f"checkpoint-{update}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "weights").write_text(str(update))
        (checkpoint / COMPLETE).write_text("{}")
    remote.put(tmp_path / "here" / "checkpoint-3")
    bucket.client.put_object(Bucket="checkpoints", Key="of/runs/f00/checkpoint-5/weights", Body=b"5")
    (tmp_path / "there").mkdir()
    remote.fetch(tmp_path / "there")
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["checkpoint-3"]
    assert (tmp_path / "there" / "checkpoint-3" / "weights").read_text() == "3"
    (tmp_path / "here" / "checkpoint-3" / "weights").write_text("mine")
    remote.fetch(tmp_path / "here")
    assert (tmp_path / "here" / "checkpoint-3" / "weights").read_text() == "mine"
    remote.put(tmp_path / "here" / "checkpoint-5")
    assert bucket.checkpoints() == {"checkpoint-5"}
    RemoteCheckpoints.of("f0").remove()  # another run's, although its name begins like ours
    assert bucket.checkpoints() == {"checkpoint-5"}
    remote.remove()
    assert bucket.names() == []


def test_a_copy_that_breaks_off_leaves_nothing(bucket, tmp_path, monkeypatch, caplog):
    for name, body in (("weights", b"3"), (COMPLETE, b"{}")):
        bucket.client.put_object(Bucket="checkpoints", Key=f"of/runs/f00/checkpoint-3/{name}", Body=body)
    remote = RemoteCheckpoints.of("f00")
    download = remote.client.download_file

    def broken(place: str, key: str, file: str) -> None:
        if key.endswith(COMPLETE):
            raise EndpointConnectionError(endpoint_url=place)
        download(place, key, file)

    monkeypatch.setattr(remote.client, "download_file", broken)
    remote.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == [] and "no checkpoint is taken from it" in caplog.text


def test_a_name_in_the_bucket_does_not_leave_the_folder(bucket, tmp_path):
    for name in ("checkpoint-4/../../evil", "checkpoint-4/a/b", "checkpoint-x/evil"):
        bucket.client.put_object(Bucket="checkpoints", Key=f"of/runs/f00/{name}", Body=b"")
    bucket.client.put_object(Bucket="checkpoints", Key=f"of/runs/f00/checkpoint-4/{COMPLETE}", Body=b"{}")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    RemoteCheckpoints.of("f00").fetch(folder)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        f"a/b/checkpoint-4/{COMPLETE}"
    ]


def test_a_bucket_that_is_not_there_costs_the_copy_alone(run, bucket, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("TAGDISTILL_CHECKPOINTS", "s3://nowhere")
    monkeypatch.setattr(trainer.Checkpoints, "due", lambda self, update, updates: update == 2)
    own = replace(run, outputs=outputs_in(tmp_path / "own"))
    run_training(own)
    assert own.outputs.model.exists()
    assert "TAGDISTILL_CHECKPOINTS, s3://nowhere" in caplog.text
    assert "this checkpoint is on this machine alone" in caplog.text


@pytest.mark.parametrize("url", ["/mnt/x", "http://a/b", "s3://", "s3:///x"])
def test_what_is_no_address_of_a_bucket_is_refused(url, monkeypatch):
    monkeypatch.setenv("TAGDISTILL_CHECKPOINTS", url)
    with pytest.raises(ConfigError, match="no address of a bucket"):
        RemoteCheckpoints.of("f00")


def test_an_endpoint_that_is_no_address_is_named(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    with pytest.raises(ConfigError, match=r"TAGDISTILL_CHECKPOINTS: .*no address"):
        RemoteCheckpoints.of("f00")
