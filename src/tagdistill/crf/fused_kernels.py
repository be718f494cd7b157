"""Triton kernels of `fused`: one program runs through all tokens of a sentence in one direction.

Scan position u counts from the start of the sentence in direction 0 and from its end in direction 1, so both run the
same code, with [from, to] turned around in the second. All arrays are contiguous float64 with the shapes named; rows
past a sentence's end are neither read nor written. BLOCK is a power of two, at least `labels`; what it has more is
-inf. Integers that change from batch to batch are not specialised, else every new length would be compiled anew.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _matrix(labels, direction, BLOCK: tl.constexpr):
    """Offsets (near, far) into the transitions, and where they are valid: a step goes from near to far."""
    near, far = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    offsets = tl.where(direction == 0, near * labels + far, far * labels + near)
    return offsets, (near < labels) & (far < labels)


@triton.jit(do_not_specialize=["batch", "time"])
def scan(
    scores, edges, lengths, raw, log_z, batch, time, labels, KEEP: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Log sums over all that comes before a token -> raw (2, batch, time, label), if KEEP, and log Z (batch,)."""
    sentence, direction = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    offsets, valid = _matrix(labels, direction, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf"))
    length = tl.load(lengths + sentence)
    inside = label < labels
    row = tl.where(direction == 0, 0, length - 1)
    step = tl.where(direction == 0, 1, -1)
    state = tl.load(scores + (sentence * time + row) * labels + label, mask=inside, other=-float("inf"))
    for _ in range(1, length):
        row += step
        own = tl.load(scores + (sentence * time + row) * labels + label, mask=inside, other=-float("inf"))
        joint = state[:, None] + matrix
        top = tl.where(inside, tl.max(joint, 0), 0.0)
        before = top + tl.log(tl.sum(tl.exp(joint - top[None, :]), 0))
        if KEEP:
            at = ((direction * batch + sentence) * time + row) * labels + label
            tl.store(raw + at, before, mask=inside)
        state = before + own
    if direction == 0:
        top_state = tl.max(state, 0)
        tl.store(log_z + sentence, top_state + tl.log(tl.sum(tl.exp(state - top_state), 0)))


@triton.jit(do_not_specialize=["batch", "time", "chunk"])
def pair_sums(
    scores, edges, lengths, raw, log_z, weight, out, batch, time, labels, chunk, BLOCK: tl.constexpr
):  # fmt: skip
    """Expected transition counts of `chunk` token pairs, times weight (batch,) -> out (batch, chunks, from, to)."""
    sentence, part = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    offsets, valid = _matrix(labels, 0, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf")) - tl.load(log_z + sentence)
    last = tl.load(lengths + sentence) - 1
    other_way = raw + batch * time * labels
    total = tl.zeros([BLOCK, BLOCK], tl.float64)
    for t in range(part * chunk, tl.minimum((part + 1) * chunk, last)):
        at = (sentence * time + t) * labels + label
        before = tl.load(scores + at, mask=inside, other=-float("inf")) + tl.load(raw + at, mask=inside, other=0.0)
        at += labels
        after = tl.load(scores + at, mask=inside, other=-float("inf"))
        after += tl.load(other_way + at, mask=inside, other=0.0)
        total += tl.exp(before[:, None] + matrix + after[None, :])
    place = (sentence * tl.num_programs(1) + part) * labels * labels
    tl.store(out + place + offsets, total * tl.load(weight + sentence), mask=valid)


@triton.jit(do_not_specialize=["batch", "time"])
def adjoint(
    scores, edges, lengths, raw, given, flow, pairs, batch, time, labels, BLOCK: tl.constexpr
):  # fmt: skip
    """Gradients of `sum given * log state` (2, batch, time, label) -> flow, and -> pairs (2, batch, from, to)."""
    sentence, direction = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    offsets, valid = _matrix(labels, direction, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf"))
    length = tl.load(lengths + sentence)
    plane = (direction * batch + sentence) * time
    row = tl.where(direction == 0, length - 1, 0)
    step = tl.where(direction == 0, -1, 1)
    far = tl.load(given + (plane + row) * labels + label, mask=inside, other=0.0)
    tl.store(flow + (plane + row) * labels + label, far, mask=inside)
    total = tl.zeros([BLOCK, BLOCK], tl.float64)
    for _ in range(1, length):
        sums = tl.load(raw + (plane + row) * labels + label, mask=inside, other=0.0)
        row += step
        at = (plane + row) * labels + label
        state = tl.load(scores + (sentence * time + row) * labels + label, mask=inside, other=-float("inf"))
        state += tl.load(raw + at, mask=inside, other=0.0)
        share = tl.exp(state[:, None] + matrix - sums[None, :]) * far[None, :]
        total += share
        near = tl.load(given + at, mask=inside, other=0.0) + tl.sum(share, 1)
        tl.store(flow + at, near, mask=inside)
        # The next step needs these along the other axis of the matrix.
        far = near
    tl.store(pairs + (direction * batch + sentence) * labels * labels + offsets, total, mask=valid)


@triton.jit(do_not_specialize=["batch", "time"])
def best_prefixes(scores, edges, lengths, best, batch, time, labels, BLOCK: tl.constexpr):
    """Score of the best beginning that ends in each label -> best (time, batch, label)."""
    sentence = tl.program_id(0).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    offsets, valid = _matrix(labels, 0, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf"))
    length = tl.load(lengths + sentence)
    state = tl.load(scores + sentence * time * labels + label, mask=inside, other=-float("inf"))
    tl.store(best + sentence * labels + label, state, mask=inside)
    for t in range(1, length):
        own = tl.load(scores + (sentence * time + t) * labels + label, mask=inside, other=-float("inf"))
        state = tl.max(state[:, None] + matrix, 0) + own
        tl.store(best + (t * batch + sentence) * labels + label, state, mask=inside)


@triton.jit(do_not_specialize=["batch", "time", "paths"])
def backtrace(best, following, forced, out, batch, time, paths, labels, BLOCK: tl.constexpr):
    """`viterbi.backtrace`: best (time, batch, label), following (label + 1, label), forced and out (time, batch, k)."""
    sentence, path = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    after = tl.full([], labels, tl.int64)
    for back in range(time):
        t = time - 1 - back
        at = (t * batch + sentence) * paths + path
        known = tl.load(forced + at)
        options = tl.load(best + (t * batch + sentence) * labels + label, mask=inside, other=-float("inf"))
        options += tl.load(following + after * labels + label, mask=inside, other=0.0)
        free = tl.argmax(options, 0).to(tl.int64)  # the lowest of equal ones
        after = tl.where(known < 0, free, known)
        tl.store(out + at, after)
