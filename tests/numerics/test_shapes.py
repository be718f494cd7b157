"""The shapes and dtypes in the annotations of `tagdistill.crf` are those of its arguments and results."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CALLS = """
import sys
from jaxtyping import TypeCheckError, install_import_hook

with install_import_hook("tagdistill.crf", "beartype.beartype"):
    from tagdistill.crf import LinearChain, count
import torch

for dtype in (torch.float32, torch.float64):
    emissions, edges, ends = (torch.randn(shape, dtype=dtype) for shape in ((3, 6, 4), (4, 4), (2, 4)))
    lengths = torch.tensor([5, 1, 3])  # shorter than the six time steps
    c = LinearChain(emissions.requires_grad_(), edges, lengths, *ends)
    paths = c.top_k(3)
    values = [c.log_partition, c.marginals, c.log_marginals, c.transition_marginals, c.entropy(), c.argmax, c.mask]
    values += [c.lengths, c.emissions, c.transitions, c.start, c.end, c.tempered(2.0).log_partition, paths.weights]
    values += [c.log_prob(c.argmax), c.log_prob_of_paths(paths.labels), c.cross_entropy(c), c.kl(c)]
    values += [c.posterior_cross_entropy(torch.randn(3, 6, 4), 2.0)]
    values += [c.expected_log_prob(count(paths.labels, paths.weights, lengths, 4)), c.expected_log_prob(c.counts)]
    sum(v.sum() for v in values if v.is_floating_point()).backward()
    assert {v.dtype for v in values if v.is_floating_point()} == {dtype}
try:
    c.log_prob(paths.labels)  # one axis too many
except TypeCheckError:
    print("checked")
"""


@pytest.mark.slow
def test_annotations_are_what_callers_give_and_get(cpu_kernel: str) -> None:
    environment = {**os.environ, "TAGDISTILL_KERNEL": cpu_kernel}
    found = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "checked\n"  # the annotations were looked at
