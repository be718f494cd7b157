// What is computed on: the scores of a batch of sentences, and the rows that a pass keeps of each.
#pragma once

#include <numeric>
#include <vector>

#include "vectors.h"

namespace tagdistill {

// Rows of values that are padded to whole vectors. Many are made for each sentence: a thread keeps their memory.
class Table {
  public:
    // With anything in it.
    Table(int64_t rows, int64_t width) : size(rows * width), width(width) {
        if (!spare().empty()) {
            cells.swap(spare().back());
            spare().pop_back();
        }
        if (int64_t(cells.size()) < size) cells.resize(size);
    }
    Table(int64_t rows, int64_t width, double filling) : Table(rows, width) {
        std::fill_n(begin(), size, all(filling));
    }
    ~Table() {
        if (cells.capacity()) spare().push_back(std::move(cells));
    }
    Table(Table&&) = default;

    Vector* operator[](int64_t i) { return &cells.data()[i * width].v; }
    const Vector* operator[](int64_t i) const { return &cells.data()[i * width].v; }
    Vector* begin() { return (*this)[0]; }
    Vector* end() { return begin() + size; }
    double* row(int64_t i) { return reinterpret_cast<double*>((*this)[i]); }
    const double* row(int64_t i) const { return reinterpret_cast<const double*>((*this)[i]); }

    struct alignas(64) Cell {
        Vector v;
    };
    const int64_t size, width;  // vectors in all and in a row

  private:
    static std::vector<std::vector<Cell>>& spare() {
        thread_local std::vector<std::vector<Cell>> kept;
        return kept;
    }

    std::vector<Cell> cells;
};

struct Chain {  // what potentials.py prepares; the layout of bindings.py's Chain
    const double* scores;       // (batch, time, labels)
    const double* top;          // (batch, time), the largest score of each token
    const double* transitions;  // (labels, labels), [from, to]
    const int64_t* lengths;     // (batch,)
    int64_t batch, time, labels, threads;

    int64_t width() const { return (labels + LANES - 1) / LANES; }
    int64_t at(int64_t sentence, int64_t t) const { return sentence * time + t; }
    int64_t cell(int64_t sentence, int64_t t) const { return at(sentence, t) * labels; }

    // Sum of the largest scores of a sentence's tokens, n of them.
    double tops(int64_t sentence, int64_t n) const {
        return std::accumulate(top + at(sentence, 0), top + at(sentence, n), 0.0);
    }
};

// Moves rows of labels between tensors, where they follow each other, and whole vectors. A vector must not be read
// right after parts of it were written one by one: the CPU waits until they have reached the cache.
class Rows {
  public:
    explicit Rows(const Chain& chain) : labels(chain.labels), width(chain.width()) {
        for (int64_t j = 0; j < LANES; ++j) live[j] = (width - 1) * LANES + j < labels ? -1 : 0;
    }

    // Read a row, `filling` past its last label. room: how many values from there on belong to the sentence. W: `width`,
    // where the compiler is to know it.
    template <int W = 0>
    void take(const double* from, int64_t room, double filling, Vector* row) const {
        const int64_t width = W ? W : this->width;
        if (room < width * LANES) {
            std::memcpy(row, from, labels * sizeof(double));
            std::fill_n(reinterpret_cast<double*>(row) + labels, width * LANES - labels, filling);
            return;
        }
        for (int64_t w = 0; w < width; ++w) row[w] = reinterpret_cast<const Vector*>(from)[w];
        row[width - 1] = choose(live, row[width - 1], all(filling));
    }

    // The same of n rows of a sentence that follow each other, 0 past each last label.
    void take_all(const double* from, int64_t n, Table& table) const {
        for (int64_t t = 0; t < n; ++t) take(from + t * labels, (n - t) * labels, 0.0, table[t]);
    }

    // Write a row; where there is room, over the beginning of the rows after it, which must be written later.
    void put(const Vector* row, int64_t room, double* to) const {
        if (room < width * LANES)
            std::memcpy(to, row, labels * sizeof(double));
        else
            for (int64_t w = 0; w < width; ++w) reinterpret_cast<Vector*>(to)[w] = row[w];
    }

    void put(const Vector* row, int64_t room, float* to) const {
        if (room < width * LANES)
            for (int64_t j = 0; j < labels; ++j) to[j] = float(reinterpret_cast<const double*>(row)[j]);
        else
            for (int64_t w = 0; w < width; ++w)
                reinterpret_cast<Floats*>(to)[w] = __builtin_convertvector(row[w], Floats);
    }

    // Write a (labels, labels) table.
    void put(const Table& table, double* to) const {
        for (int64_t i = 0; i < labels; ++i) put(table[i], (labels - i) * labels, to + i * labels);
    }

    const int64_t labels, width;
    Bits live;  // the lanes of the last vector that hold a label
};

// One sentence of a pass: `factor` and both `raw` are (n, width), `scale` (n,).
struct Sentence {
    int64_t n, width;
    Vector* factor;
    Vector* raw[2];
    double* scale[2];
    double* in_logs;  // not 0 if all of them are logarithms

    Vector* factors(int64_t t) const { return factor + t * width; }
    Vector* raws(int direction, int64_t t) const { return raw[direction] + t * width; }
};

// The memory of a pass: factor, raw twice, scale twice, in_logs. The caller owns it, or one sentence has it for a while.
class Pass {
  public:
    Pass(const Chain& chain, double* memory) : chain(chain), memory(memory) {}

    static int64_t size(const Chain& c) { return c.batch * (c.time * (3 * c.width() * LANES + 2) + 1); }

    Sentence of(int64_t sentence) const {
        return place(chain, memory, sentence, chain.batch * chain.time, chain.at(sentence, 0), sentence);
    }

    // A sentence in a table of its own.
    static Sentence alone(const Chain& chain, int64_t sentence, Table& memory) {
        return place(chain, memory.row(0), sentence, chain.lengths[sentence], 0, 0);
    }

    static Table room(const Chain& chain, int64_t sentence) {
        return {1, chain.lengths[sentence] * (3 * chain.width() + 1) + 1};
    }

  private:
    // In memory for `tokens` tokens a sentence whose first one is at `first`, and which is the `number`th there.
    static Sentence place(const Chain& chain, double* memory, int64_t sentence, int64_t tokens, int64_t first,
                          int64_t number) {
        const int64_t width = chain.width();
        Vector* vectors = reinterpret_cast<Vector*>(memory);
        double* rest = reinterpret_cast<double*>(vectors + 3 * tokens * width);
        return {chain.lengths[sentence],
                width,
                vectors + first * width,
                {vectors + (tokens + first) * width, vectors + (2 * tokens + first) * width},
                {rest + first, rest + tokens + first},
                rest + 2 * tokens + number};
    }

    const Chain& chain;
    double* memory;
};

}  // namespace tagdistill
