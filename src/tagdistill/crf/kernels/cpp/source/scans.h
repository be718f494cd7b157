// What is done with a sentence in either space, and with all sentences on several threads.
#pragma once

#include <atomic>
#include <exception>
#include <thread>

#include "logarithmic.h"
#include "scaled.h"

namespace tagdistill {

constexpr int64_t GROUP = 4;  // sentences that are summed before groups are: sums do not depend on the threads

// Both spaces, and the choice between them for each sentence.
class Spaces {
  public:
    explicit Spaces(const Chain& chain) : weights(chain), logarithmic(chain) {}

    void fill(const Sentence& s, int64_t sentence) const {
        bool fits = false;
        with_scaled([&](const auto& scaled) { fits = scaled.fill(s, sentence); });
        if (!fits) logarithmic.fill(s, sentence);
        *s.in_logs = fits ? 0.0 : 1.0;
    }

    // Call work(space) with the one that a sentence was filled in.
    template <class Work>
    void with(const Sentence& s, Work work) const {
        if (*s.in_logs != 0.0)
            work(logarithmic);
        else
            with_scaled(work);
    }

  private:
    // Loops over the vectors of a row are short: they cost less where their number is known.
    template <class Work>
    void with_scaled(Work work) const {
        switch (weights.rows.width) {
            case 1: return work(Scaled<1>(weights));
            case 2: return work(Scaled<2>(weights));
            case 3: return work(Scaled<3>(weights));
            case 4: return work(Scaled<4>(weights));
            default: return work(Scaled<0>(weights));
        }
    }

    const Weights weights;
    const Logarithmic logarithmic;
};

// The two directions of a sentence, token by token.
template <class Space>
class Scan {
  public:
    Scan(const Space& space, int64_t width) : states(2, width), space(space) {}

    // Go on to a token, which may be the first of its direction.
    void advance(int direction, bool first, const Vector* factor, Vector* raw, double* scale) {
        if (first)
            std::fill_n(raw, states.width, all(Space::unit));
        else
            space.step(direction, states[direction], raw);
        *scale = first ? 1.0 : next[direction];
        next[direction] = space.settle(raw, factor, *scale, states[direction]);
    }

    Table states;

  private:
    const Space& space;
    double next[2];
};

// Fill all rows of a sentence; returns log Z.
template <class Space>
double scan_all(const Space& space, const Sentence& s, int64_t sentence) {
    Scan<Space> scan(space, s.width);
    for (int64_t k = 0; k < s.n; ++k) {
        const int64_t t = s.n - 1 - k;
        scan.advance(0, k == 0, s.factors(k), s.raws(0, k), s.scale[0] + k);
        scan.advance(1, k == 0, s.factors(t), s.raws(1, t), s.scale[1] + t);
    }
    const Table ones(1, s.width, Space::unit);
    return space.join(scan.states[0], ones[0]) + space.divided(s.scale[0], s.n) + space.shift(sentence, s.n);
}

// log Z by scans from both ends that meet in the middle; of raw only the last row of each is kept. scale: (n,).
template <class Space>
double scan_half(const Space& space, const Sentence& s, int64_t sentence) {
    Scan<Space> scan(space, s.width);
    Table raw(2, s.width, Space::unit);
    const int64_t left = (s.n + 1) / 2, right = s.n / 2;
    for (int64_t k = 0; k < left; ++k) {
        const int64_t t = s.n - 1 - k;
        scan.advance(0, k == 0, s.factors(k), raw[0], s.scale[0] + k);
        if (k < right) scan.advance(1, k == 0, s.factors(t), raw[1], s.scale[0] + t);
    }
    if (right) space.step(0, scan.states[0], raw[0]);
    const double joint = right ? space.join(raw[0], scan.states[1]) : space.join(scan.states[0], raw[1]);
    return joint + space.divided(s.scale[0], s.n) + space.shift(sentence, s.n);
}

// Add the expected counts of the transitions from the tokens `first` to `stop`, times weight, to counts.
template <class Space>
void count_pairs(const Space& space, const Sentence& s, int64_t first, int64_t stop, double weight, Table& counts) {
    typename Space::Pairs pairs(stop - first, counts.size / counts.width, s.width);
    for (int64_t t = first; t < stop; ++t) space.add_pairs(s, t, t - first, pairs);
    space.finish(pairs, stop - first, weight, counts);
}

// Gradients of sum before * log state0 + after * log raw1 of a sentence, both (n, width) and 0 past the last label: to
// its scores, all of them (n, labels), and to the edges, which are added to edges (labels, labels).
template <class Space>
class Adjoint {
  public:
    Adjoint(const Space& space, const Rows& rows, const Sentence& s)
        : space(space), rows(rows), s(s), inverse(s.n, s.width), flow(3, s.width), total(s.n, s.width),
          pairs(2 * s.n, rows.labels, s.width) {
        space.prepare(s, inverse);
    }

    void run(const Table& before, const Table& after, double* scores, Table& edges) {
        // What is given to raw1 is no part of the token's own score: only what flows on from it is.
        std::copy_n(before[0], s.n * s.width, total[0]);
        std::copy_n(before[s.n - 1], s.width, flow[0]);
        std::copy_n(after[0], s.width, flow[1]);
        for (int64_t k = s.n - 2; k >= 0; --k) {
            back(0, k, k + 1, before);
            back(1, s.n - 1 - k, s.n - 2 - k, after);
        }
        space.finish(pairs, 2 * (s.n - 1), 1.0, edges);
        for (int64_t t = 0; t < s.n; ++t) rows.put(total[t], (s.n - t) * rows.labels, scores + t * rows.labels);
    }

  private:
    // Go back in a direction from its token `next` to t, which comes before it there.
    void back(int direction, int64_t t, int64_t next, const Table& given) {
        const int64_t row = 2 * (direction ? next : t) + direction;
        Vector *sum = flow[direction], *found = flow[2];
        space.pull(s, direction, t, next, inverse, sum, found, row, pairs);
        for (int64_t w = 0; w < space.width(); ++w) {
            total[t][w] += found[w];
            sum[w] = given[t][w] + found[w];
        }
    }

    const Space& space;
    const Rows& rows;
    const Sentence& s;
    Table inverse, flow, total;
    typename Space::Pairs pairs;
};

// Call work(first, stop, group) for every group of sentences, on as many threads as are worth it.
template <class Work>
void in_groups(const Chain& chain, Work work) {
    constexpr int64_t WORTH = 1 << 20;  // pairs of labels that take longer than starting a thread
    const int64_t groups = (chain.batch + GROUP - 1) / GROUP;
    const int64_t worth = chain.batch * chain.time * chain.labels * chain.labels / WORTH + 1;
    const int64_t threads = std::min(std::min(chain.threads, groups), worth);
    std::atomic<int64_t> next{0};
    std::atomic_flag failed = ATOMIC_FLAG_INIT;
    std::exception_ptr failure;
    const auto run = [&] {
        try {
            for (int64_t g; (g = next++) < groups;) work(g * GROUP, std::min((g + 1) * GROUP, chain.batch), g);
        } catch (...) {
            if (!failed.test_and_set()) failure = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    try {
        for (int64_t n = 1; n < threads; ++n) others.emplace_back(run);
    } catch (const std::exception&) {  // the system gives no more of them: those that run do all the work
    }
    run();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

// Write zeros past the end of a sentence to out (batch, time, labels).
template <class Real>
void pad(const Chain& chain, int64_t b, Real* out) {
    const int64_t n = chain.lengths[b];
    std::fill_n(out + chain.cell(b, n), (chain.time - n) * chain.labels, Real(0));
}

template <class Work>
void each_sentence(const Chain& chain, Work work) {
    in_groups(chain, [&](int64_t first, int64_t stop, int64_t) {
        for (int64_t b = first; b < stop; ++b) work(b);
    });
}

// Sum tables (labels, labels) over all sentences; add(sentence, table) adds one sentence's.
template <class Add>
void sum_tables(const Chain& chain, double* out, Add add) {
    const int64_t groups = (chain.batch + GROUP - 1) / GROUP, labels = chain.labels;
    std::vector<Table> parts;
    for (int64_t group = 0; group < groups; ++group) parts.emplace_back(labels, chain.width(), 0.0);
    in_groups(chain, [&](int64_t first, int64_t stop, int64_t group) {
        for (int64_t b = first; b < stop; ++b) add(b, parts[group]);
    });
    std::fill_n(out, labels * labels, 0.0);
    for (const Table& part : parts)
        for (int64_t i = 0; i < labels; ++i)
            for (int64_t j = 0; j < labels; ++j) out[i * labels + j] += part.row(i)[j];
}

}  // namespace tagdistill
