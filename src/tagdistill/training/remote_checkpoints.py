"""A copy of a run's checkpoints in an S3 bucket, for nodes that share no file system.

A training that goes on elsewhere has the same fingerprint: its copies are found by it, whatever folder it runs in.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tagdistill.errors import ConfigError, missing_package
from tagdistill.training.checkpoints import COMPLETE, NAME, update_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
VARIABLE = "TAGDISTILL_CHECKPOINTS"
URL = re.compile(r"s3://(?P<bucket>[^/]+)(?:/(?P<prefix>.*?))?/?\Z")
ONE_REQUEST = 1000  # objects that one request removes, at most


class RemoteCheckpoints:
    """The copies of one run's checkpoints. A store that cannot be reached costs the copy, not the training."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix

    @classmethod
    def of(cls, fingerprint: str) -> RemoteCheckpoints | None:
        """Return the store that the environment names, or None. Raises ConfigError for what names none."""
        if not (url := os.environ.get(VARIABLE)):
            return None
        if not (match := URL.match(url)):
            hint = "Give it as s3://BUCKET/PREFIX, or unset it."
            raise ConfigError(f"{url!r} is no address of a bucket", where=VARIABLE, hint=hint)
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ModuleNotFoundError as error:
            raise missing_package(error, where=VARIABLE) from error
        # It takes AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like from the environment.
        config = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3})
        try:
            client = boto3.client("s3", config=config)
        except (BotoCoreError, ValueError) as error:  # an endpoint that is no address, half of the keys
            raise ConfigError(str(error), where=VARIABLE, hint="Correct the AWS_ variables, or unset it.") from error
        return cls(client, match["bucket"], "/".join(filter(None, (match["prefix"], fingerprint))))

    def fetch(self, folder: Path) -> None:
        """Copy the newest complete checkpoint into the folder, unless it holds one of as many updates."""
        with self._tolerant("no checkpoint is taken from it"):
            there = self._checkpoints()
            complete = [name for name, files in there.items() if COMPLETE in files]
            here = [update_of(path) for path in folder.iterdir() if NAME.match(path.name)]
            if not complete or _update(newest := max(complete, key=_update)) <= max(here, default=0):
                return
            log.info("taking %s from %s", newest, self.bucket)
            new = folder / newest
            new.mkdir()
            try:
                for file in sorted(there[newest], key=lambda name: name == COMPLETE):  # it comes last
                    self.client.download_file(self.bucket, f"{self.prefix}/{newest}/{file}", str(new / file))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise

    def put(self, checkpoint: Path) -> None:
        """Copy a complete checkpoint, and then remove the older copies."""
        with self._tolerant("this checkpoint is on this machine alone"):
            for file in sorted(checkpoint.iterdir(), key=lambda path: path.name == COMPLETE):
                self.client.upload_file(str(file), self.bucket, f"{self.prefix}/{checkpoint.name}/{file.name}")
            old = [name for name in self._checkpoints() if _update(name) < update_of(checkpoint)]
            self._remove(old)

    def remove(self) -> None:
        """Remove all copies: the training has ended."""
        with self._tolerant("its copies of the checkpoints stay"):
            self._remove(list(self._checkpoints()))

    def _checkpoints(self) -> dict[str, set[str]]:
        """Return the names of the files of each copy, by the name of the checkpoint."""
        found: dict[str, set[str]] = {}
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        for page in pages:
            for each in page.get("Contents", ()):
                name, _, file = each["Key"].removeprefix(f"{self.prefix}/").partition("/")
                if NAME.match(name) and file == PurePosixPath(file).name:
                    found.setdefault(name, set()).add(file)
        return found

    def _remove(self, names: list[str]) -> None:
        there = self._checkpoints()
        keys = [f"{self.prefix}/{name}/{file}" for name in names for file in there.get(name, ())]
        # What marks a copy as complete goes first: what is half removed is not taken for whole.
        keys.sort(key=lambda key: not key.endswith(f"/{COMPLETE}"))
        for begin in range(0, len(keys), ONE_REQUEST):
            objects = [{"Key": key} for key in keys[begin : begin + ONE_REQUEST]]
            self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    @contextmanager
    def _tolerant(self, consequence: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            log.warning("warning: %s, s3://%s: %s: %s", VARIABLE, self.bucket, str(error).splitlines()[0], consequence)


def _update(name: str) -> int:
    return int(name.rpartition("-")[2])
