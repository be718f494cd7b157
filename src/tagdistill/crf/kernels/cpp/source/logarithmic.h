// Log space: the operations of `Scaled` on logarithms, for any finite scores. One exponential for each pair of labels.
#pragma once

#include <cmath>

#include "chain.h"

namespace tagdistill {

class Logarithmic {
  public:
    explicit Logarithmic(const Chain& chain)
        : chain(chain), rows(chain),
          edges{Table(chain.labels, chain.width(), 0.0), Table(chain.labels, chain.width(), 0.0)} {
        for (int64_t i = 0; i < chain.labels; ++i)
            for (int64_t j = 0; j < chain.labels; ++j)
                edges[0].row(i)[j] = edges[1].row(j)[i] = chain.transitions[i * chain.labels + j];
    }

    static constexpr double unit = 0.0;

    int64_t width() const { return rows.width; }

    void fill(const Sentence& s, int64_t sentence) const {
        const double* scores = chain.scores + chain.cell(sentence, 0);
        for (int64_t t = 0; t < s.n; ++t) {
            const double top = chain.top[chain.at(sentence, t)];
            Vector* row = s.factors(t);
            rows.take(scores + t * rows.labels, (s.n - t) * rows.labels, -INFINITE, row);
            for (int64_t w = 0; w < s.width; ++w) row[w] -= top;  // sums of many that are small lose fewer digits
        }
    }

    void step(int direction, const Vector* state, Vector* raw) const {
        const double* from = reinterpret_cast<const double*>(state);
        const Table& edge = edges[direction];
        for (int64_t w = 0; w < rows.width; ++w) {
            Vector top = all(-INFINITE), total = all(0.0);
            for (int64_t i = 0; i < rows.labels; ++i) top = larger(from[i] + edge[i][w], top);
            for (int64_t i = 0; i < rows.labels; ++i) total += exponential(from[i] + edge[i][w] - top);
            raw[w] = top + logarithm(total);
        }
    }

    double settle(const Vector* raw, const Vector* factor, double, Vector* state) const {
        for (int64_t w = 0; w < rows.width; ++w) state[w] = raw[w] + factor[w];
        return 0.0;
    }

    void state(const Sentence& s, int direction, int64_t t, Vector* out) const {
        for (int64_t w = 0; w < rows.width; ++w) out[w] = s.raws(direction, t)[w] + s.factors(t)[w];
    }

    double join(const Vector* a, const Vector* b) const {
        Vector top = all(-INFINITE), total = all(0.0);
        for (int64_t w = 0; w < rows.width; ++w) top = larger(a[w] + b[w], top);
        const double highest = largest(top);
        for (int64_t w = 0; w < rows.width; ++w) total += exponential(a[w] + b[w] - highest);
        return highest + std::log(sum(total));
    }

    double shift(int64_t sentence, int64_t n) const { return chain.tops(sentence, n); }

    double divided(const double*, int64_t) const { return 0.0; }

    void marginals(const Sentence& s, int64_t t, Vector* out) const { marginals(s, t, out, out); }

    void marginals(const Sentence& s, int64_t t, Vector* out, Vector* logs) const {
        log_marginals(s, t, logs);
        for (int64_t w = 0; w < rows.width; ++w) out[w] = exponential(logs[w]);
    }

    void log_marginals(const Sentence& s, int64_t t, Vector* out) const {
        state(s, 0, t, out);
        const double total = join(out, s.raws(1, t));
        for (int64_t w = 0; w < rows.width; ++w) out[w] += s.raws(1, t)[w] - total;
    }

    // Expected counts of the transitions of a sentence, in either direction.
    struct Pairs {
        Pairs(int64_t, int64_t labels, int64_t width) : counts{Table(labels, width, 0.0), Table(labels, width, 0.0)} {}
        Table counts[2];
    };

    void add_pairs(const Sentence& s, int64_t t, int64_t, Pairs& pairs) const {
        Table row(2, s.width);
        state(s, 0, t, row[0]);
        state(s, 1, t + 1, row[1]);
        const double total = join(s.raws(0, t + 1), row[1]), *from = row.row(0);
        for (int64_t i = 0; i < rows.labels; ++i)
            for (int64_t w = 0; w < rows.width; ++w)
                pairs.counts[0][i][w] += exponential((from[i] - total) + edges[0][i][w] + row[1][w]);
    }

    void prepare(const Sentence&, Table&) const {}

    void pull(const Sentence& s, int direction, int64_t t, int64_t next, const Table&, const Vector* flow, Vector* out,
              int64_t, Pairs& pairs) const {
        Table row(1, s.width);
        state(s, direction, t, row[0]);
        const double* from = row.row(0);
        const Vector* raw = s.raws(direction, next);
        std::fill_n(out, rows.width, all(0.0));
        for (int64_t i = 0; i < rows.labels; ++i) {
            Vector total = all(0.0);
            for (int64_t w = 0; w < rows.width; ++w) {
                const Vector share = exponential(from[i] + edges[direction][i][w] - raw[w]) * flow[w];
                pairs.counts[direction][i][w] += share;
                total += share;
            }
            reinterpret_cast<double*>(out)[i] = sum(total);
        }
    }

    void finish(const Pairs& pairs, int64_t, double weight, Table& counts) const {
        for (int64_t i = 0; i < rows.labels; ++i)
            for (int64_t j = 0; j < rows.labels; ++j)
                counts.row(i)[j] += weight * (pairs.counts[0].row(i)[j] + pairs.counts[1].row(j)[i]);
    }

  private:
    const Chain& chain;
    const Rows rows;
    Table edges[2];
};

}  // namespace tagdistill
