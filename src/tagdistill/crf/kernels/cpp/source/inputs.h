// What callers give: their tensors of scores, folded into what the kernels read, and targets to compare with.
#pragma once

#include <cmath>

#include "scans.h"

namespace tagdistill {

struct Inputs {  // the layout of bindings.py's Inputs
    const void *emissions, *start, *end;  // (batch, given, labels), and (labels,) or null, all of one type
    int64_t given;                        // time steps
    int64_t is_float;                     // float, else double
};

// Scores (batch, time, labels) with the ends folded in and each last token repeated, and top (batch, time). Returns the
// largest spread of a token's scores, NaN where one of them is not finite.
template <class Real>
double fold(const Inputs& in, const Chain& chain, double* scores, double* top) {
    const Rows rows(chain);
    const Real *start = static_cast<const Real*>(in.start), *end = static_cast<const Real*>(in.end);
    std::vector<double> spreads(chain.batch);
    each_sentence(chain, [&](int64_t b) {
        const int64_t n = chain.lengths[b], size = rows.labels;
        const Real* from = static_cast<const Real*>(in.emissions) + b * in.given * size;
        double *to = scores + chain.cell(b, 0), *tops = top + chain.at(b, 0);
        for (int64_t c = 0; c < n * size; ++c) to[c] = from[c];
        for (int64_t j = 0; start && j < size; ++j) to[j] += start[j];
        for (int64_t j = 0; end && j < size; ++j) to[(n - 1) * size + j] += end[j];
        Table row(1, rows.width);
        Vector broken = all(0.0);  // NaN once something is not finite
        for (int64_t t = 0; t < n; ++t) {
            rows.take(to + t * size, (n - t) * size, to[t * size], row[0]);
            Vector high = row[0][0], low = high;
            for (int64_t w = 0; w < rows.width; ++w) {
                high = larger(row[0][w], high);
                low = smaller(row[0][w], low);
                broken += row[0][w] * 0.0;
            }
            tops[t] = largest(high);
            spreads[b] = std::max(spreads[b], tops[t] + largest(-low));
        }
        for (int64_t t = n; t < chain.time; ++t) {
            std::copy_n(to + (n - 1) * size, size, to + t * size);
            tops[t] = tops[n - 1];
        }
        spreads[b] += sum(broken);
    });
    for (const double spread : spreads)
        if (std::isnan(spread)) return spread;
    return *std::max_element(spreads.begin(), spreads.end());
}

struct Outputs {  // the same, to be written
    void *emissions, *start, *end;
    int64_t given, is_float;
};

// The gradient to scores as gradients to what they were made of; start and end get sums over sentences.
template <class Real>
void unfold(const Outputs& out, const Chain& chain, const double* grad) {
    const int64_t size = chain.labels;
    each_sentence(chain, [&](int64_t b) {
        Real* to = static_cast<Real*>(out.emissions) + b * out.given * size;
        const double* from = grad + chain.cell(b, 0);
        const int64_t cells = chain.lengths[b] * size;
        for (int64_t c = 0; out.emissions && c < cells; ++c) to[c] = from[c];
        if (out.emissions) std::fill(to + cells, to + out.given * size, Real(0));
    });
    const auto add = [&](void* out, auto token) {
        std::vector<double> total(size);
        for (int64_t b = 0; b < chain.batch; ++b)
            for (int64_t j = 0; j < size; ++j) total[j] += grad[chain.cell(b, token(b)) + j];
        std::copy(total.begin(), total.end(), static_cast<Real*>(out));
    };
    if (out.start) add(out.start, [](int64_t) { return int64_t(0); });
    if (out.end) add(out.end, [&](int64_t b) { return chain.lengths[b] - 1; });
}

struct Targets {  // the layout of bindings.py's Targets
    const void* logits;  // (batch, given, labels)
    int64_t given;       // time steps
    int64_t is_float;    // float, else double
    double temperature;
};

struct Gradients {  // the layout of bindings.py's Gradients
    double* scores;  // (batch, time, labels), anything in padding
    double* edges;   // (batch, labels, labels)
};

// Posterior cross-entropy of one sentence, and its signed targets (n, width), 0 past the last label: see base.py.
template <class Real, class Space>
double compare(const Targets& targets, const Space& space, const Rows& rows, const Sentence& s, int64_t sentence,
               Table& signed_) {
    const double temperature = targets.temperature, cold = 1.0 / temperature;
    const int64_t size = rows.labels, width = space.width();
    const Real* from = static_cast<const Real*>(targets.logits) + sentence * targets.given * size;
    Table logits(1, (s.n * size + LANES - 1) / LANES), target(s.n, width), row(1, width);
    for (int64_t c = 0; c < s.n * size; ++c) logits.row(0)[c] = from[c] * cold;
    for (int64_t t = 0; t < s.n; ++t) {  // a loop of its own: the CPU does several tokens of a short one at once
        rows.take(logits.row(0) + t * size, (s.n - t) * size, -INFINITE, target[t]);
        softmax(target[t], target[t], width);
    }
    Vector *log_found = row[0], loss = all(0.0);
    for (int64_t t = 0; t < s.n; ++t) {
        Vector* found = signed_[t];
        space.marginals(s, t, found, log_found);
        double total = 0.0;
        if (temperature != 1.0) {
            log_found[width - 1] = choose(rows.live, log_found[width - 1], all(-INFINITE));
            for (int64_t w = 0; w < width; ++w) log_found[w] *= cold;
            total = softmax(log_found, found, width).log_total();
        }
        for (int64_t w = 0; w < width; ++w) {
            const Vector part = target[t][w] * (log_found[w] - total);
            loss += w + 1 < width ? part : choose(rows.live, part, all(0.0));
            found[w] -= target[t][w];
        }
    }
    return -temperature * temperature * sum(loss);
}

// Largest less smallest value; NaN where one is not finite.
inline double spread_of(const double* values, int64_t count) {
    double high = -INFINITE, low = INFINITE, broken = 0.0;
    for (int64_t c = 0; c < count; ++c) {
        high = std::max(high, values[c]);
        low = std::min(low, values[c]);
        broken += values[c] * 0.0;
    }
    return high - low + broken;
}

}  // namespace tagdistill
