"""The workflow on nodes that share nothing but a bucket: results and checkpoints lie there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from projects import ROOT, Project, new_project

BUCKET = "results-of-all"


class Store:
    """A bucket of a server of our own, and what tells the workflow of it."""

    def __init__(self, url: str) -> None:
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        self.environment = {**keys, "AWS_ENDPOINT_URL": url, "TAGDISTILL_CHECKPOINTS": f"s3://{BUCKET}/checkpoints"}
        self.options = (
            *("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/run"),
            *("--storage-s3-endpoint-url", url, "--storage-s3-access-key", "a", "--storage-s3-secret-key", "b"),
        )
        self.client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
        )
        self.client.create_bucket(Bucket=BUCKET)

    def names(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"].removeprefix(prefix) for page in pages for each in page.get("Contents", ())]

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()


@pytest.fixture
def store():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield Store("http://{}:{}".format(*server.get_host_and_port()))
    server.stop()


@pytest.fixture
def config(tmp_path) -> Path:
    """One student of one language, who trains for some seconds."""
    values = yaml.safe_load((ROOT / "config/tiny.yaml").read_text(encoding="utf-8"))
    values["languages"] = {"es": values["languages"]["es"]}
    values["distill"]["objectives"] = ["baseline"]
    values["student"] |= {"updates": 400, "evaluations": 4}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def kill_in_a_training(project: Project, config: Path, store: Store) -> None:
    """Start a run, and kill all of it as soon as a whole checkpoint is in the bucket."""
    process = subprocess.Popen(
        project.command(config, "students", "--cores", "2", *store.options),
        cwd=project.path,
        env=project.environment() | store.environment | {"TAGDISTILL_CHECKPOINT_SECONDS": "0.2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 240
        while not any(name.endswith("/complete.json") for name in store.names("checkpoints/")):
            assert time.monotonic() < end and process.poll() is None, "no checkpoint came"
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_run_that_is_killed_on_one_node_goes_on_on_another(store, config, tmp_path):
    first, second, third = (new_project(tmp_path / name) for name in ("first", "second", "third"))
    kill_in_a_training(first, config, store)
    assert not any("/model/" in name for name in store.names("run/results/"))
    done = second.snakemake(config, "students", "--cores", "2", *store.options, **store.environment)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Compute the word vectors" not in done.stdout  # they are in the bucket
    logs = "run/logs/tiny/train_student/"
    log = store.read(logs + store.names(logs)[0]).decode()
    assert "taking checkpoint-" in log and "resuming from checkpoint-" in log
    assert store.names("checkpoints/") == []
    again = third.snakemake(config, "students", "--dry-run", *store.options, **store.environment)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout, again.stdout[-4000:]

    alone = new_project(tmp_path / "alone")
    done = alone.snakemake(config, "--cores", "2", "students")
    assert done.returncode == 0, done.stdout[-4000:]
    weights = alone.real("students/baseline/seed-0/model") / "model.safetensors"
    assert store.read(f"run/{weights.relative_to(alone.path)}") == weights.read_bytes()
