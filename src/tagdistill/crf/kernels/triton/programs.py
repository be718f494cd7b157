"""The programs of the Triton kernel: one runs through all tokens of a sentence in one direction.

Scan position u counts from the start of the sentence in direction 0 and from its end in direction 1, so both run the
same code, with [from, to] turned around in the second. All arrays are contiguous float64 with the shapes named; rows
past a sentence's end are neither read nor written. BLOCK is a power of two, at least `labels`; what it has more is
-inf. Integers that change from batch to batch are not specialised, else every new length would be compiled again.
"""

# Triton has no types for what a program computes with: parameters are pointers and numbers as the launch passes them.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

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


@triton.jit(do_not_specialize=["time", "chunk"])
def pair_sums(
    scores, edges, lengths, raw, log_z, weight, out, time, labels, chunk, BLOCK: tl.constexpr
):  # fmt: skip
    """Expected transition counts of `chunk` token pairs, times weight (batch,) -> out (batch, chunks, from, to)."""
    sentence, part = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    offsets, valid = _matrix(labels, 0, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf")) - tl.load(log_z + sentence)
    last = tl.load(lengths + sentence) - 1
    other_way = raw + tl.num_programs(0).to(tl.int64) * time * labels  # as many programs as sentences
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
    scores, edges, lengths, raw, gradients, flow, pairs, batch, time, labels, BLOCK: tl.constexpr
):  # fmt: skip
    """Gradients of `sum gradients * log state` (2, batch, time, label) -> flow, and -> pairs (2, batch, from, to)."""
    sentence, direction = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    offsets, valid = _matrix(labels, direction, BLOCK)
    matrix = tl.load(edges + offsets, mask=valid, other=-float("inf"))
    length = tl.load(lengths + sentence)
    plane = (direction * batch + sentence) * time
    row = tl.where(direction == 0, length - 1, 0)
    step = tl.where(direction == 0, -1, 1)
    far = tl.load(gradients + (plane + row) * labels + label, mask=inside, other=0.0)
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
        near = tl.load(gradients + at, mask=inside, other=0.0) + tl.sum(share, 1)
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


@triton.jit(do_not_specialize=["batch", "time"])
def backtrace(best, following, lengths, out, batch, time, labels, BLOCK: tl.constexpr):
    """Best (time, batch, label) from `best_prefixes`, following (label + 1, label) -> labels out (batch, time)."""
    sentence = tl.program_id(0).to(tl.int64)
    label = tl.arange(0, BLOCK)
    inside = label < labels
    length = tl.load(lengths + sentence)
    after = tl.full([], labels, tl.int64)  # nothing follows the last token
    for back in range(1, length + 1):
        t = length - back
        options = tl.load(best + (t * batch + sentence) * labels + label, mask=inside, other=-float("inf"))
        options += tl.load(following + after * labels + label, mask=inside, other=0.0)
        after = tl.argmax(options, 0).to(tl.int64)  # the lowest of equal ones
        tl.store(out + sentence * time + t, after)


@triton.jit
def _next_child(
    best, following, path, score, turn, length, below, beyond, stride, labels, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Score and cell (t * labels + label) of a path's best deviation after the one with score `below`, cell `beyond`.

    `best` starts at the sentence's first token; its rows are `stride` apart. (-inf, 0) where there is none left.
    """
    label = tl.arange(0, BLOCK)[None, :]
    top, cell = tl.full([], -float("inf"), tl.float64), tl.full([], 0, tl.int64)
    for block in range(0, tl.cdiv(turn, ROWS)):
        t = block * ROWS + tl.arange(0, ROWS)
        open_ = t < turn
        own = tl.load(path + t, mask=open_, other=0)
        after = tl.load(path + t + 1, mask=open_ & (t + 1 < length), other=labels)
        valid = open_[:, None] & (label < labels)
        rows = best + t[:, None] * stride
        gain = tl.load(rows + label, mask=valid, other=-float("inf"))
        gain += tl.load(following + after[:, None] * labels + label, mask=valid, other=0.0)
        kept = tl.load(best + t * stride + own, mask=open_, other=0.0)
        kept += tl.load(following + after * labels + own, mask=open_, other=0.0)
        gain = score + (gain - kept[:, None])
        cells = t[:, None].to(tl.int64) * labels + label
        later = (gain < below) | ((gain == below) & (cells > beyond))
        gain = tl.where(valid & later & (label != own[:, None]), gain, -float("inf"))
        most = tl.max(gain)
        first = tl.min(tl.where(gain == most, cells, 1 << 62))
        cell = tl.where(most > top, first, cell)
        top = tl.maximum(most, top)
    return top, cell


@triton.jit
def _deviate(
    best, following, old, new, length, turn, after, stride, labels, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Write the best path that has label `after` at token `turn` and the labels of path `old` past it -> new.

    `best` as in `_next_child`.
    """
    for block in range(turn // ROWS, tl.cdiv(length, ROWS)):
        t = block * ROWS + tl.arange(0, ROWS)
        tl.store(new + t, tl.load(old + t, mask=t < length, other=0), mask=(t > turn) & (t < length))
    tl.store(new + turn, after)
    label = tl.arange(0, BLOCK)
    for back in range(1, turn + 1):
        options = tl.load(best + (turn - back) * stride + label, mask=label < labels, other=-float("inf"))
        options += tl.load(following + after * labels + label, mask=label < labels, other=0.0)
        after = tl.argmax(options, 0).to(tl.int64)
        tl.store(new + turn - back, after)


@triton.jit(do_not_specialize=["batch", "time"])
def k_best(
    best, following, lengths, paths, scores, turns, heads, cells, batch, time, labels,
    K: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """The search of `k_best` one path at a time: the best open deviation of all paths found is the next path.

    paths (batch, K, time), scores and turns (batch, K) hold the best path in slot 0 and elsewhere 0, -inf and 0;
    heads and cells (batch, K): score and place of each path's next deviation.
    """
    sentence = tl.program_id(0).to(tl.int64)
    stride = (batch * labels).to(tl.int64)
    best += sentence * labels
    paths += sentence * K * time
    slot = tl.arange(0, SLOTS)
    scores += sentence * K
    turns += sentence * K
    heads += sentence * K
    cells += sentence * K
    length = tl.load(lengths + sentence)
    head, cell = _next_child(
        best, following, paths, tl.load(scores), length, length, float("inf"), 0, stride, labels, ROWS, BLOCK
    )
    tl.store(heads, head)
    tl.store(cells, cell)
    for n in range(1, K):
        tl.debug_barrier()  # what other threads of this program stored
        open_ = tl.load(heads + slot, mask=slot < n, other=-float("inf"))
        parent = tl.argmax(open_, 0)
        score = tl.max(open_, 0)
        if score > -float("inf"):
            cell = tl.load(cells + parent)
            turn = cell // labels
            old, new = paths + parent * time, paths + n * time
            _deviate(best, following, old, new, length, turn, cell % labels, stride, labels, ROWS, BLOCK)
            tl.store(scores + n, score)
            tl.store(turns + n, turn)
            tl.debug_barrier()
            head, place = _next_child(
                best, following, new, score, turn, length, float("inf"), 0, stride, labels, ROWS, BLOCK
            )
            tl.store(heads + n, head)
            tl.store(cells + n, place)
            head, place = _next_child(
                best, following, old, tl.load(scores + parent), tl.load(turns + parent), length, score, cell, stride,
                labels, ROWS, BLOCK,
            )  # fmt: skip
            tl.store(heads + parent, head)
            tl.store(cells + parent, place)
