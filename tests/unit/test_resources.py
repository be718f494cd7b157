"""What a job asks of a cluster grows with each attempt."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tagdistill.workflow.resources import DAY, gpus, memory, minutes


def test_memory_grows_with_the_input_and_doubles_with_each_attempt():
    files = SimpleNamespace(size_mb=250.4)
    asked = [memory(1000)({}, input=files, attempt=attempt) for attempt in (1, 2, 3)]
    assert asked == [1501, 3002, 6004]


def test_time_doubles_with_each_attempt_up_to_a_day():
    asked = [minutes(480)({}, attempt=attempt) for attempt in (1, 2, 3)]
    assert asked == [480, 960, DAY]


@pytest.mark.parametrize(("device", "number"), [("cuda", 1), ("auto", 0), ("cpu", 0)])
def test_a_gpu_is_asked_for_where_the_settings_say_so(device: str, number: int):
    assert gpus(device) == number
