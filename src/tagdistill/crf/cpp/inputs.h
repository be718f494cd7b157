// From a caller's tensors to what the kernels read, as potentials.py describes it.
#pragma once

#include <cmath>

#include "scans.h"

namespace tagdistill {

struct Inputs {  // the layout of library.py's Inputs
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
