// Scores and counts of given label paths.
#pragma once

#include "scans.h"

namespace tagdistill {

struct Paths {  // the layout of bindings.py's Paths
    const int64_t* labels;  // (batch, k, given), anything in padding
    int64_t k, given;

    const int64_t* of(int64_t sentence, int64_t path) const { return labels + (sentence * k + path) * given; }
};

// Smallest and largest label on tokens.
inline void range(const Chain& chain, const Paths& paths, int64_t ends[2]) {
    ends[0] = std::numeric_limits<int64_t>::max();
    ends[1] = std::numeric_limits<int64_t>::min();
    for (int64_t b = 0; b < chain.batch; ++b)
        for (int64_t p = 0; p < paths.k; ++p) {
            const int64_t* path = paths.of(b, p);
            const auto found = std::minmax_element(path, path + chain.lengths[b]);
            ends[0] = std::min(ends[0], *found.first);
            ends[1] = std::max(ends[1], *found.second);
        }
}

inline double score(const Chain& chain, int64_t sentence, const int64_t* path) {
    const double* scores = chain.scores + chain.cell(sentence, 0);
    double emitted = scores[path[0]], moved = 0.0;
    for (int64_t t = 1; t < chain.lengths[sentence]; ++t) {
        emitted += scores[t * chain.labels + path[t]];
        moved += chain.transitions[path[t - 1] * chain.labels + path[t]];
    }
    return emitted + moved;
}

}  // namespace tagdistill
