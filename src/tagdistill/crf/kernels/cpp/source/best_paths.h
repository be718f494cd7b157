// Best paths. Among equal scores the lowest label wins, decided from the last token back, as in viterbi.py.
#pragma once

#include "chain.h"

namespace tagdistill {

class Decoder {
  public:
    explicit Decoder(const Chain& chain)
        : chain(chain), rows(chain), edges(chain.labels, rows.width, 0.0), into(chain.labels + 1, rows.width, 0.0) {
        for (int64_t i = 0; i < chain.labels; ++i)
            for (int64_t j = 0; j < chain.labels; ++j)
                edges.row(i)[j] = into.row(j)[i] = chain.transitions[i * chain.labels + j];
    }

    // Score of the best beginning that ends in each label at each token.
    Table prefixes(int64_t sentence) const {
        const int64_t n = chain.lengths[sentence];
        const double* scores = chain.scores + chain.cell(sentence, 0);
        Table best(n, rows.width);
        for (int64_t t = 0; t < n; ++t) {
            rows.take(scores + t * rows.labels, (n - t) * rows.labels, -INFINITE, best[t]);
            for (int64_t w = 0; t && w < rows.width; ++w) {
                Vector even = all(-INFINITE), odd = even;
                for (int64_t i = 0; i < rows.labels; ++i) {
                    even = larger(best.row(t - 1)[i] + edges[i][w], even);
                    if (++i < rows.labels) odd = larger(best.row(t - 1)[i] + edges[i][w], odd);
                }
                best[t][w] += larger(even, odd);
            }
        }
        return best;
    }

    // A label's score at t after the best beginning, with the label that follows (`labels`: none), is the sum of the two.
    const double* following(int64_t after) const { return into.row(after); }

    // Complete a path from token t back, given the label after t.
    void backtrace(const Table& best, int64_t t, int64_t after, int64_t* path) const {
        for (; t >= 0; --t) {
            const double *row = best.row(t), *next = following(after);
            double top = next[0] + row[0];
            after = 0;
            for (int64_t y = 1; y < rows.labels; ++y)
                if (next[y] + row[y] > top) {
                    top = next[y] + row[y];
                    after = y;
                }
            path[t] = after;
        }
    }

    const Chain& chain;
    const Rows rows;

  private:
    Table edges, into;
};

// The k best paths of one sentence by deviations, as k_best.py explains them, here one path at a time.
class Search {
  public:
    Search(const Decoder& decoder, int64_t sentence, int64_t k)
        : decoder(decoder), labels(decoder.chain.labels), n(decoder.chain.lengths[sentence]), k(k),
          best(decoder.prefixes(sentence)) {}

    // paths: (k, time) of zeros; scores: (k,) of -inf, which stays where there is no path.
    void run(int64_t* paths, double* scores) {
        const int64_t time = decoder.chain.time;
        decoder.backtrace(best, n - 1, labels, paths);
        scores[0] = best.row(n - 1)[paths[n - 1]];
        turns.push_back(n);
        for (int64_t found = 1; found < k; ++found) {
            add_children(found - 1, paths + (found - 1) * time, scores[found - 1]);
            if (open.empty()) break;
            const Turn turn = open.front();
            open.erase(open.begin());
            int64_t* path = paths + found * time;
            std::copy_n(paths + turn.parent * time + turn.t, n - turn.t, path + turn.t);
            path[turn.t] = turn.label;
            decoder.backtrace(best, turn.t - 1, turn.label, path);
            scores[found] = turn.score;
            turns.push_back(turn.t);
        }
    }

  private:
    struct Turn {
        double score;
        int64_t parent, t, label;
    };

    void add_children(int64_t parent, const int64_t* path, double score) {
        const size_t room = k - turns.size();
        if (open.size() > room) open.resize(room);
        for (int64_t t = 0; t < turns[parent]; ++t) {
            const double *row = best.row(t), *next = decoder.following(t + 1 < n ? path[t + 1] : labels);
            const double base = score - (next[path[t]] + row[path[t]]);
            for (int64_t y = 0; y < labels; ++y) {
                const double child = (next[y] + row[y]) + base;
                if (open.size() < room ? y != path[t] : child > open.back().score && y != path[t])
                    add({child, parent, t, y}, room);
            }
        }
    }

    void add(const Turn& turn, size_t room) {
        if (open.size() == room) open.pop_back();
        const auto better = [](const Turn& a, const Turn& b) { return a.score > b.score; };
        open.insert(std::upper_bound(open.begin(), open.end(), turn, better), turn);
    }

    const Decoder& decoder;
    const int64_t labels, n, k;
    const Table best;
    std::vector<Turn> open;      // children that were not taken yet, best first, no more than are still wanted
    std::vector<int64_t> turns;  // the token at which each path leaves its parent
};

}  // namespace tagdistill
