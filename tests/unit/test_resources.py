"""What a job asks of a cluster grows with each attempt."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tagdistill.workflow.resources import DAY, gpus, memory, minutes


def test_memory_grows_with_the_input_and_doubles_with_each_attempt(tmp_path: Path):
    for name, size in (("a", 3), ("b", 1)):
        (tmp_path / name).write_bytes(b"x" * size * 2**20)
    files = [str(tmp_path / name) for name in "ab"]
    asked = [memory(1000, lambda _: 0.4)({}, input=files, attempt=attempt) for attempt in (1, 2, 3)]
    assert asked == [1009, 2018, 4036]


def test_a_megabyte_is_a_million_bytes_as_in_the_plan(tmp_path: Path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(100_000_000)
    assert memory(1000)({}, input=[str(tmp_path / "large")], attempt=1) == 1200


def test_the_size_of_an_input_that_is_to_be_made_is_not_known_yet(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        memory(1000)({}, input=[str(tmp_path / "new")], attempt=1)
    assert caught.value.filename == str(tmp_path / "new")  # by which Snakemake knows that it is an input


def test_a_remote_store_is_asked_for_the_size_of_its_files():
    class Files(list[Any]):
        size_mb = 250.4

    files = Files([SimpleNamespace(is_storage=True)])
    assert memory(1000)({}, input=files, attempt=1) == 1501


def test_time_doubles_with_each_attempt_up_to_a_day():
    asked = [minutes(480)({}, attempt=attempt) for attempt in (1, 2, 3)]
    assert asked == [480, 960, DAY]


@pytest.mark.parametrize(("device", "number"), [("cuda", 1), ("auto", 0), ("cpu", 0)])
def test_a_gpu_is_asked_for_where_the_settings_say_so(device: str, number: int):
    assert gpus(device) == number
