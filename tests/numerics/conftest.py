"""Fixtures of the numeric tests: a GPU where there is one, and each forward-backward kernel."""

from __future__ import annotations

import pytest
import torch

from tagdistill.crf import scaled

torch.set_num_threads(1)  # thousands of small calls: threads only get in each other's way


@pytest.fixture
def cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here: the same checks ran on the CPU alone")
    return "cuda"


@pytest.fixture(params=["scaled", "wide"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the probability-space kernel and again with the log-space one."""
    if request.param == "wide":
        monkeypatch.setattr(scaled, "rescale_interval", lambda potentials: 0)
    return request.param
