// Probability space, rescaled at every token by what the one before it sums to.
#pragma once

#include <cmath>

#include "chain.h"

namespace tagdistill {

constexpr double RANGE = 650.0;  // double holds exp(-708): products in this range lose nothing

// The transitions of a chain in probability space.
struct Weights {
    explicit Weights(const Chain& chain)
        : chain(chain), rows(chain),
          edges{Table(chain.labels, chain.width(), 0.0), Table(chain.labels, chain.width(), 0.0)} {
        const double* scores = chain.transitions;
        const auto ends = std::minmax_element(scores, scores + chain.labels * chain.labels);
        edge_top = *ends.second;
        edge_spread = edge_top - *ends.first;
        for (int64_t i = 0; i < chain.labels; ++i)
            for (int64_t j = 0; j < chain.labels; ++j)
                edges[0].row(i)[j] = edges[1].row(j)[i] = scores[i * chain.labels + j] - edge_top;
        // Past the last label edges are 1 (and factors 0): nothing is 0 / 0 there.
        for (Table& table : edges)
            for (Vector& cell : table) cell = exponential(cell);
    }

    const Chain& chain;
    const Rows rows;
    Table edges[2];  // as either direction reads them: [from, to] and [to, from]
    double edge_top, edge_spread;
};

// W: vectors in a row, where the compiler is to know it, else 0.
template <int W>
class Scaled {
  public:
    explicit Scaled(const Weights& weights)
        : chain(weights.chain), rows(weights.rows), edges(weights.edges), edge_top(weights.edge_top),
          edge_spread(weights.edge_spread) {}

    int64_t width() const { return W ? W : rows.width; }

    static constexpr double unit = 1.0;

    // Fill the factors of a sentence; false where probability space is not exact. From the best label at t any label
    // at t + 1 can be reached at the cost of both spreads: beyond RANGE, what underflows might be needed later. A raw is
    // small by two steps through the edges, its own and the one that made the sum of the state before small, and raws
    // of both directions are multiplied.
    bool fill(const Sentence& s, int64_t sentence) const {
        const double* scores = chain.scores + chain.cell(sentence, 0);
        Vector lowest = all(0.0);
        for (int64_t t = 0; t < s.n; ++t) {
            const double top = chain.top[chain.at(sentence, t)];
            Vector* row = s.factors(t);
            rows.take<W>(scores + t * rows.labels, (s.n - t) * rows.labels, top, row);
            for (int64_t w = 0; w < width(); ++w) {
                lowest = smaller(row[w] - top, lowest);
                row[w] = exponential(row[w] - top);
            }
            row[width() - 1] = choose(rows.live, row[width() - 1], all(0.0));
        }
        return largest(-lowest) + 4.0 * edge_spread + 2.0 * std::log(double(rows.labels)) < RANGE;
    }

    // raw of a direction from the state before it.
    void step(int direction, const Vector* state, Vector* raw) const {
        const double* from = reinterpret_cast<const double*>(state);
        int64_t w = 0;
        for (; w + 4 <= width(); w += 4) block<4>(direction, from, w, raw);
        if (width() - w == 3) block<3>(direction, from, w, raw);
        if (width() - w == 2) block<2>(direction, from, w, raw);
        if (width() - w == 1) block<1>(direction, from, w, raw);
    }

    // The state of a token times scale; returns the next token's scale. So states sum to what one step makes of 1, and
    // no step waits for its own sum.
    double settle(const Vector* raw, const Vector* factor, double scale, Vector* state) const {
        Vector total = all(0.0);
        for (int64_t w = 0; w < width(); ++w) total += state[w] = raw[w] * (factor[w] * scale);
        return 1.0 / sum(total);
    }

    // The same state from the rows that were kept.
    void state(const Sentence& s, int direction, int64_t t, Vector* out) const {
        const Vector *raw = s.raws(direction, t), *factor = s.factors(t);
        const double scale = s.scale[direction][t];
        for (int64_t w = 0; w < width(); ++w) out[w] = raw[w] * factor[w] * scale;
    }

    // log sum_j a_j b_j
    double join(const Vector* a, const Vector* b) const { return std::log(dot(a, b)); }

    // What was taken off the scores before they were exponentiated.
    double shift(int64_t sentence, int64_t n) const {
        return double(n - 1) * edge_top + chain.tops(sentence, n);
    }

    // Logarithm of all that states were divided by.
    double divided(const double* scale, int64_t n) const {
        Vector total = all(0.0);
        int64_t t = 0;
        for (; t + LANES <= n; t += LANES) total += logarithm(*reinterpret_cast<const Vector*>(scale + t));
        double rest = 0.0;
        for (; t < n; ++t) rest += std::log(scale[t]);
        return -(sum(total) + rest);
    }

    void marginals(const Sentence& s, int64_t t, Vector* out) const {
        const Vector *first = s.raws(0, t), *factor = s.factors(t), *second = s.raws(1, t);
        Vector total = all(0.0);
        for (int64_t w = 0; w < width(); ++w) total += out[w] = first[w] * factor[w] * second[w];
        const double share = 1.0 / sum(total);
        for (int64_t w = 0; w < width(); ++w) out[w] *= share;
    }

    void log_marginals(const Sentence& s, int64_t t, Vector* out) const { marginals(s, t, out, out); }

    void marginals(const Sentence& s, int64_t t, Vector* out, Vector* logs) const {
        marginals(s, t, out);
        for (int64_t w = 0; w < width(); ++w) logs[w] = logarithm(out[w]);
    }

    // Rows of a sentence; left(i) right(j) edge(i, j), summed over them, is the gradient to the edges or their counts.
    struct Pairs {
        Pairs(int64_t count, int64_t, int64_t width) : left(count, width), right(count, width) {}
        Table left, right;
    };

    // The row for p(y_t = i, y_(t+1) = j).
    void add_pairs(const Sentence& s, int64_t t, int64_t row, Pairs& pairs) const {
        Vector* after = pairs.right[row];
        state(s, 0, t, pairs.left[row]);
        state(s, 1, t + 1, after);
        const double share = 1.0 / dot(s.raws(0, t + 1), after);
        for (int64_t w = 0; w < width(); ++w) after[w] *= share;
    }

    // What `pull` reads, (n, width): both raws are at least exp(-2 edge_spread), so their product is in the range.
    void prepare(const Sentence& s, Table& inverse) const {
        const Vector *first = s.raws(0, 0), *second = s.raws(1, 0);
        for (int64_t c = 0; c < s.n * width(); ++c) inverse[0][c] = 1.0 / (first[c] * second[c]);
    }

    // One step of the adjoint of a direction, from `next` back to t. flow: gradient to log state at next; out: what
    // that is to log state at t. It leaves a row of pairs.
    void pull(const Sentence& s, int direction, int64_t t, int64_t next, const Table& inverse, const Vector* flow,
              Vector* out, int64_t row, Pairs& pairs) const {
        Vector *before = direction ? pairs.right[row] : pairs.left[row];
        Vector *after = direction ? pairs.left[row] : pairs.right[row];
        const Vector *other = s.raws(1 - direction, next), *share = inverse[next];
        for (int64_t w = 0; w < width(); ++w) after[w] = flow[w] * (share[w] * other[w]);
        state(s, direction, t, before);
        step(1 - direction, after, out);
        for (int64_t w = 0; w < width(); ++w) out[w] *= before[w];
    }

    // Add `count` rows of pairs, times weight, to counts (labels, labels).
    void finish(const Pairs& pairs, int64_t count, double weight, Table& counts) const {
        for (int64_t i = 0; i < rows.labels; i += 4) {
            int64_t w = 0;
            for (; w + 4 <= width(); w += 4) products<4>(pairs, count, weight, i, w, counts);
            if (width() - w == 3) products<3>(pairs, count, weight, i, w, counts);
            if (width() - w == 2) products<2>(pairs, count, weight, i, w, counts);
            if (width() - w == 1) products<1>(pairs, count, weight, i, w, counts);
        }
    }

  private:
    // N vectors of raw, in four sums, none of which waits for another.
    template <int N>
    void block(int direction, const double* from, int64_t w, Vector* raw) const {
        const Table& edge = edges[direction];
        Sums<N> a, b, c, d;
        int64_t i = 0;
        for (; i + 4 <= rows.labels; i += 4) {
            a.add(from[i], edge[i] + w);
            b.add(from[i + 1], edge[i + 1] + w);
            c.add(from[i + 2], edge[i + 2] + w);
            d.add(from[i + 3], edge[i + 3] + w);
        }
        if (i < rows.labels) a.add(from[i], edge[i] + w);
        if (i + 1 < rows.labels) b.add(from[i + 1], edge[i + 1] + w);
        if (i + 2 < rows.labels) c.add(from[i + 2], edge[i + 2] + w);
        a.put(b, c, d, raw + w);
    }

    double dot(const Vector* a, const Vector* b) const {
        Vector total = all(0.0);
        for (int64_t w = 0; w < width(); ++w) total += a[w] * b[w];
        return sum(total);
    }

    // Four labels before by N vectors of labels after, which stay in registers over all rows.
    template <int N>
    void products(const Pairs& pairs, int64_t count, double weight, int64_t i, int64_t w, Table& counts) const {
        Sums<N> a, b, c, d;
        for (int64_t t = 0; t < count; ++t) {
            const double* left = pairs.left.row(t) + i;
            const Vector* right = pairs.right[t] + w;
            a.add(left[0], right);
            b.add(left[1], right);
            c.add(left[2], right);
            d.add(left[3], right);
        }
        const auto add = [&](const Sums<N>& sums, int64_t i) {
            if (i < rows.labels) sums.add_scaled(weight, edges[0][i] + w, counts[i] + w);
        };
        add(a, i);
        add(b, i + 1);
        add(c, i + 2);
        add(d, i + 3);
    }

    const Chain& chain;
    const Rows& rows;
    const Table* edges;
    const double edge_top, edge_spread;
};

}  // namespace tagdistill
