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

// The sentences of a pass in memory that the caller owns; with a place for log Z it has yet to run. Without memory the
// rows of a sentence are there while it is worked on: they stay in the cache, and running again costs what reading would.
class Passes {
  public:
    Passes(const Chain& chain, double* state, double* log_z)
        : chain(chain), state(state), spaces(chain), log_z(log_z) {}

    // Call work(space, sentence), the pass through the sentence done.
    template <class Work>
    void with(int64_t b, Work work) const {
        if (state) return run(Pass(chain, state).of(b), b, work);
        Table room = Pass::room(chain, b);
        run(Pass::alone(chain, b, room), b, work);
    }

  private:
    template <class Work>
    void run(const Sentence& s, int64_t b, Work work) const {
        if (log_z) spaces.fill(s, b);
        spaces.with(s, [&](const auto& space) {
            if (log_z) log_z[b] = scan_all(space, s, b);
            work(space, s);
        });
    }

    const Chain& chain;
    double* const state;
    const Spaces spaces;
    double* const log_z;
};

// Write a row of each token to out (batch, time, labels), 0 in padding; fill(space, s, b, t, row) makes it.
template <class Real, class Fill>
void put_rows(const Chain& chain, const Passes& passes, Real* out, Fill fill) {
    const Rows rows(chain);
    each_sentence(chain, [&](int64_t b) {
        passes.with(b, [&](const auto& space, const Sentence& s) {
            Table row(1, s.width);
            for (int64_t t = 0; t < s.n; ++t) {
                fill(space, s, b, t, row[0]);
                rows.put(row[0], (s.n - t) * rows.labels, out + chain.cell(b, t));
            }
        });
        pad(chain, b, out);
    });
}

template <class Real>
void put_marginals(const Chain& chain, const Passes& passes, const double* weight, Real* out) {
    put_rows(chain, passes, out, [&](const auto& space, const Sentence& s, int64_t b, int64_t t, Vector* row) {
        space.marginals(s, t, row);
        for (int64_t w = 0; weight && w < s.width; ++w) row[w] *= weight[b];
    });
}

// Posterior cross-entropy of a sentence, and where they are wanted its gradients.
template <class Space>
double put_posterior(const Chain& chain, const Targets& targets, const Gradients* out, const Space& space,
                     const Rows& rows, const Sentence& s, int64_t b) {
    Table signed_(s.n, s.width);
    const double loss = targets.is_float ? compare<float>(targets, space, rows, s, b, signed_)
                                         : compare<double>(targets, space, rows, s, b, signed_);
    if (!out) return loss;
    Table edges(rows.labels, s.width, 0.0);
    // Signed targets sum to 0 in each token, so log Z has no share in the gradients.
    Adjoint(space, rows, s).run(signed_, signed_, out->scores + chain.cell(b, 0), edges);
    rows.put(edges, out->edges + b * rows.labels * rows.labels);
    return loss;
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
        const Passes passes(*chain, state, log_z);
        each_sentence(*chain, [&](int64_t b) { passes.with(b, [](const auto&, const Sentence&) {}); });
    });
}

// (batch, time, labels) marginals, 0 in padding, times weight (batch,) where it is not null. state, log_z: as in `Passes`.
int tagdistill_marginals(const Chain* chain, double* state, double* log_z, const double* weight, int64_t is_float,
                         void* out) {
    return guarded([&] {
        const Passes passes(*chain, state, log_z);
        if (is_float)
            put_marginals(*chain, passes, weight, static_cast<float*>(out));
        else
            put_marginals(*chain, passes, weight, static_cast<double*>(out));
    });
}

// (batch, time, labels) logarithms of the marginals, 0 in padding.
int tagdistill_log_marginals(const Chain* chain, double* state, double* out) {
    return guarded([&] {
        const Passes passes(*chain, state, nullptr);
        put_rows(*chain, passes, out, [](const auto& space, const Sentence& s, int64_t, int64_t t, Vector* row) {
            space.log_marginals(s, t, row);
        });
    });
}

// (batch, labels, labels) expected transition counts.
int tagdistill_edges(const Chain* chain, double* state, double* out) {
    return guarded([&] {
        const Passes passes(*chain, state, nullptr);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            Table counts(rows.labels, rows.width, 0.0);
            passes.with(b, [&](const auto& space, const Sentence& s) {
                count_pairs(space, s, 0, s.n - 1, 1.0, counts);
            });
            rows.put(counts, out + b * rows.labels * rows.labels);
        });
    });
}

// (labels, labels) the same, summed over sentences with weight (batch,).
int tagdistill_edge_sum(const Chain* chain, double* state, const double* weight, double* out) {
    return guarded([&] {
        const Passes passes(*chain, state, nullptr);
        sum_tables(*chain, out, [&](int64_t b, Table& part) {
            passes.with(b, [&](const auto& space, const Sentence& s) {
                count_pairs(space, s, 0, s.n - 1, weight[b], part);
            });
        });
    });
}

// (batch, stop - first, labels, labels) probabilities of the labels of tokens t and t + 1, 0 in padding.
int tagdistill_pairs(const Chain* chain, double* state, int64_t first, int64_t stop, double* out) {
    return guarded([&] {
        const Passes passes(*chain, state, nullptr);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            passes.with(b, [&](const auto& space, const Sentence& s) {
                for (int64_t t = first; t < stop; ++t) {
                    Table counts(rows.labels, s.width, 0.0);
                    if (t + 1 < s.n) count_pairs(space, s, t, t + 1, 1.0, counts);
                    rows.put(counts, out + (b * (stop - first) + t - first) * rows.labels * rows.labels);
                }
            });
        });
    });
}

// Gradients of sum before * a + after * b (base.py), to scores (batch, time, labels) and transitions.
int tagdistill_adjoint(const Chain* chain, double* state, const double* before, const double* after, double* scores,
                       double* transitions) {
    return guarded([&] {
        const Passes passes(*chain, state, nullptr);
        const Rows rows(*chain);
        sum_tables(*chain, transitions, [&](int64_t b, Table& part) {
            const int64_t place = chain->cell(b, 0);
            passes.with(b, [&](const auto& space, const Sentence& s) {
                Table first(s.n, s.width), second(s.n, s.width);
                rows.take_all(before + place, s.n, first);
                rows.take_all(after + place, s.n, second);
                Adjoint(space, rows, s).run(first, second, scores + place, part);
            });
            pad(*chain, b, scores);
        });
    });
}

// (batch,) posterior cross-entropy. gradients: of each loss over the temperature, or null. state, log_z: as in `Passes`.
int tagdistill_posterior(const Chain* chain, double* state, double* log_z, const Targets* targets, double* loss,
                         const Gradients* gradients) {
    return guarded([&] {
        const Passes passes(*chain, state, log_z);
        const Rows rows(*chain);
        each_sentence(*chain, [&](int64_t b) {
            passes.with(b, [&](const auto& space, const Sentence& s) {
                loss[b] = put_posterior(*chain, *targets, gradients, space, rows, s, b);
            });
        });
    });
}

// The sum of such gradients with weight (batch,): to scores (batch, time, labels) and transitions (labels, labels).
int tagdistill_weigh(const Chain* chain, const Gradients* gradients, const double* weight, double* scores,
                     double* transitions) {
    return guarded([&] {
        const int64_t size = chain->labels * chain->labels;
        each_sentence(*chain, [&](int64_t b) {
            const int64_t first = chain->cell(b, 0), end = chain->cell(b, chain->lengths[b]);
            for (int64_t c = first; c < end; ++c) scores[c] = gradients->scores[c] * weight[b];
            pad(*chain, b, scores);
        });
        std::fill_n(transitions, size, 0.0);
        for (int64_t b = 0; b < chain->batch; ++b)
            for (int64_t c = 0; c < size; ++c) transitions[c] += gradients->edges[b * size + c] * weight[b];
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
