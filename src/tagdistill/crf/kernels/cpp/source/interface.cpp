// The linear chain on a CPU: log Z, forward-backward, gradients, best paths. Double precision, plain C interface; every
// function returns 0, or 1 where memory ran out. Tensors are contiguous.
//
// A sentence is scanned from both ends. With factor_t(j) what token t alone gives label j, either direction has
//   raw_t(j)   = sum_i state_(t-1)(i) edge(i, j)       (1 at its first token)
//   state_t(j) = raw_t(j) factor_t(j)
// and the probability of label j at t is proportional to raw0_t(j) factor_t(j) raw1_t(j). Each sentence is done in
// probability space where the range of double allows it (scaled.h), else in log space (logarithmic.h). Threads share
// the sentences out, and sums over sentences have a fixed order: no result depends on the number of threads.

#include "best_paths.h"
#include "inputs.h"
#include "paths.h"
#include "scans.h"

using namespace tagdistill;

namespace {

template <class Work>
int guarded(Work work) {
    try {
        work();
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

// Write a row of each token to out (batch, time, labels), 0 in padding; fill(space, s, b, t, row) makes it.
template <class Real, class Fill>
void put_rows(const Chain& chain, double* state, Real* out, Fill fill) {
    const Spaces spaces(chain);
    const Pass pass(chain, state);
    const Rows rows(chain);
    each_sentence(chain, [&](int64_t b) {
        const Sentence s = pass.of(b);
        Table row(1, s.width);
        spaces.with(s, [&](const auto& space) {
            for (int64_t t = 0; t < s.n; ++t) {
                fill(space, s, b, t, row[0]);
                rows.put(row[0], (s.n - t) * rows.labels, out + chain.cell(b, t));
            }
        });
        std::fill_n(out + chain.cell(b, s.n), (chain.time - s.n) * rows.labels, Real(0));
    });
}

template <class Real>
void put_marginals(const Chain& chain, double* state, const double* weight, Real* out) {
    put_rows(chain, state, out, [&](const auto& space, const Sentence& s, int64_t b, int64_t t, Vector* row) {
        space.marginals(s, t, row);
        for (int64_t w = 0; weight && w < s.width; ++w) row[w] *= weight[b];
    });
}

}  // namespace

extern "C" {

// The doubles that a pass needs: the `state` of the functions below.
int64_t tagdistill_state_size(const Chain* chain) { return Pass::size(*chain); }

// spreads: the largest of a token's scores and that of the transitions, not finite where one of them is not.
int tagdistill_fold(const Inputs* in, const Chain* chain, double* scores, double* top, double spreads[2]) {
    return guarded([&] {
        spreads[0] = in->is_float ? fold<float>(*in, *chain, scores, top) : fold<double>(*in, *chain, scores, top);
        spreads[1] = spread_of(chain->transitions, chain->labels * chain->labels);
    });
}

// What reaches the caller's tensors of grad (batch, time, labels), which is 0 in padding.
int tagdistill_unfold(const Outputs* out, const Chain* chain, const double* grad) {
    return guarded([&] {
        if (out->is_float)
            unfold<float>(*out, *chain, grad);
        else
            unfold<double>(*out, *chain, grad);
    });
}

// ends: the smallest and the largest label on a token. The functions below want them to be labels.
int tagdistill_path_range(const Chain* chain, const Paths* paths, int64_t ends[2]) {
    return guarded([&] { range(*chain, *paths, ends); });
}

// (batch, k) unnormalised scores.
int tagdistill_path_scores(const Chain* chain, const Paths* paths, double* out) {
    return guarded([&] {
        each_sentence(*chain, [&](int64_t b) {
            for (int64_t p = 0; p < paths->k; ++p) out[b * paths->k + p] = score(*chain, b, paths->of(b, p));
        });
    });
}

// Add each path's weight (batch, k) at its labels to counts (batch, time, labels).
int tagdistill_path_counts(const Chain* chain, const Paths* paths, const double* weight, double* counts) {
    return guarded([&] {
        each_sentence(*chain, [&](int64_t b) {
            for (int64_t p = 0; p < paths->k; ++p)
                for (int64_t t = 0; t < chain->lengths[b]; ++t)
                    counts[chain->cell(b, t) + paths->of(b, p)[t]] += weight[b * paths->k + p];
        });
    });
}

// (labels, labels) weighted transition counts of all sentences together.
int tagdistill_path_edges(const Chain* chain, const Paths* paths, const double* weight, double* out) {
    return guarded([&] {
        sum_tables(*chain, out, [&](int64_t b, Table& part) {
            for (int64_t p = 0; p < paths->k; ++p) {
                const int64_t* path = paths->of(b, p);
                for (int64_t t = 1; t < chain->lengths[b]; ++t)
                    part.row(path[t - 1])[path[t]] += weight[b * paths->k + p];
            }
        });
    });
}

// (batch,) log Z, without a pass.
int tagdistill_log_partition(const Chain* chain, double* out) {
    return guarded([&] {
        const Spaces spaces(*chain);
        each_sentence(*chain, [&](int64_t b) {
            const int64_t n = chain->lengths[b];
            Table factors(n, chain->width()), scale(1, n / LANES + 1);
            double in_logs;
            const Sentence s{n, chain->width(), factors[0], {}, {scale.row(0)}, &in_logs};
            spaces.fill(s, b);
            spaces.with(s, [&](const auto& space) { out[b] = scan_half(space, s, b); });
        });
    });
}

// The pass that all that follow read, and log Z (batch,).
int tagdistill_forward_backward(const Chain* chain, double* state, double* log_z) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        each_sentence(*chain, [&](int64_t b) {
            const Sentence s = pass.of(b);
            spaces.fill(s, b);
            spaces.with(s, [&](const auto& space) { log_z[b] = scan_all(space, s, b); });
        });
    });
}

// (batch, time, labels) marginals, 0 in padding, times weight (batch,) where it is not null.
int tagdistill_marginals(const Chain* chain, double* state, const double* weight, int64_t is_float, void* out) {
    return guarded([&] {
        if (is_float)
            put_marginals(*chain, state, weight, static_cast<float*>(out));
        else
            put_marginals(*chain, state, weight, static_cast<double*>(out));
    });
}

// (batch, time, labels) logarithms of the marginals, 0 in padding.
int tagdistill_log_marginals(const Chain* chain, double* state, double* out) {
    return guarded([&] {
        put_rows(*chain, state, out, [](const auto& space, const Sentence& s, int64_t, int64_t t, Vector* row) {
            space.log_marginals(s, t, row);
        });
    });
}

// (batch, labels, labels) expected transition counts.
int tagdistill_edges(const Chain* chain, double* state, double* out) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            const Sentence s = pass.of(b);
            Table counts(rows.labels, s.width, 0.0);
            spaces.with(s, [&](const auto& space) { count_pairs(space, s, 0, s.n - 1, 1.0, counts); });
            rows.put(counts, out + b * rows.labels * rows.labels);
        });
    });
}

// (labels, labels) the same, summed over sentences with weight (batch,).
int tagdistill_edge_sum(const Chain* chain, double* state, const double* weight, double* out) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        sum_tables(*chain, out, [&](int64_t b, Table& part) {
            const Sentence s = pass.of(b);
            spaces.with(s, [&](const auto& space) { count_pairs(space, s, 0, s.n - 1, weight[b], part); });
        });
    });
}

// (batch, stop - first, labels, labels) probabilities of the labels of tokens t and t + 1, 0 in padding.
int tagdistill_pairs(const Chain* chain, double* state, int64_t first, int64_t stop, double* out) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            const Sentence s = pass.of(b);
            for (int64_t t = first; t < stop; ++t) {
                Table counts(rows.labels, s.width, 0.0);
                if (t + 1 < s.n)
                    spaces.with(s, [&](const auto& space) { count_pairs(space, s, t, t + 1, 1.0, counts); });
                rows.put(counts, out + (b * (stop - first) + t - first) * rows.labels * rows.labels);
            }
        });
    });
}

// Gradients of sum before * a + after * b (forward_backward.py), to scores (batch, time, labels) and transitions.
int tagdistill_adjoint(const Chain* chain, double* state, const double* before, const double* after, double* scores,
                       double* transitions) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        const Rows rows(*chain);
        sum_tables(*chain, transitions, [&](int64_t b, Table& part) {
            const Sentence s = pass.of(b);
            const int64_t place = chain->cell(b, 0);
            spaces.with(s, [&](const auto& space) {
                Adjoint(space, rows, s).run(before + place, after + place, scores + place, part);
            });
            std::fill_n(scores + chain->cell(b, s.n), (chain->time - s.n) * rows.labels, 0.0);
        });
    });
}

// (batch,) posterior cross-entropy, and (batch, time, labels) the signed targets q - p (forward_backward.py).
int tagdistill_posterior(const Chain* chain, double* state, const Targets* targets, double* loss, double* signed_) {
    return guarded([&] {
        const Spaces spaces(*chain);
        const Pass pass(*chain, state);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            const Sentence s = pass.of(b);
            double* out = signed_ + chain->cell(b, 0);
            spaces.with(s, [&](const auto& space) {
                loss[b] = targets->is_float ? compare<float>(*targets, space, rows, s, b, out)
                                            : compare<double>(*targets, space, rows, s, b, out);
            });
            std::fill_n(out + s.n * rows.labels, (chain->time - s.n) * rows.labels, 0.0);
        });
    });
}

// (batch, time) best labels, 0 in padding.
int tagdistill_argmax(const Chain* chain, int64_t* out) {
    return guarded([&] {
        const Decoder decoder(*chain);
        each_sentence(*chain, [&](int64_t b) {
            const int64_t n = chain->lengths[b];
            int64_t* path = out + chain->at(b, 0);
            decoder.backtrace(decoder.prefixes(b), n - 1, chain->labels, path);
            std::fill_n(path + n, chain->time - n, 0);
        });
    });
}

// (batch, k, time) paths, best first, 0 in padding and empty slots; their scores (batch, k), -inf in an empty slot.
int tagdistill_k_best(const Chain* chain, int64_t k, int64_t* paths, double* scores) {
    return guarded([&] {
        const Decoder decoder(*chain);
        std::fill_n(paths, chain->batch * k * chain->time, 0);
        std::fill_n(scores, chain->batch * k, -INFINITE);
        each_sentence(*chain, [&](int64_t b) {
            Search(decoder, b, k).run(paths + b * k * chain->time, scores + b * k);
        });
    });
}
}
