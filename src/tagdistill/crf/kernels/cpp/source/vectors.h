// Eight doubles at a time, in the vector types that GCC and Clang share: the compiler maps them to what the CPU has.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace tagdistill {

constexpr int LANES = 8;
using Vector = double __attribute__((vector_size(64), aligned(8), may_alias));
using Bits = long long __attribute__((vector_size(64), aligned(8), may_alias));
using Floats = float __attribute__((vector_size(32), aligned(4), may_alias));
using Half = double __attribute__((vector_size(32), aligned(8), may_alias));

constexpr double INFINITE = std::numeric_limits<double>::infinity();

inline Vector all(double x) { return Vector{x, x, x, x, x, x, x, x}; }
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
inline Vector choose(Bits where, Vector a, Vector b) { return (Vector)((where & (Bits)a) | (~where & (Bits)b)); }

inline double sum(Vector v) {
    Half part[2];
    std::memcpy(part, &v, sizeof v);
    const Half s = part[0] + part[1];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

inline double largest(Vector v) {
    Half part[2];
    std::memcpy(part, &v, sizeof v);
    const Half s = part[0] > part[1] ? part[0] : part[1];
    return std::max(std::max(s[0], s[2]), std::max(s[1], s[3]));
}

constexpr double LOG2_E = 0x1.71547652b82fep+0, LN_2_HIGH = 0x1.62e42fefa38p-1, LN_2_LOW = 0x1.ef35793c7673p-45;

// exp(x) for x <= 0 (a rounding error above it does no harm), 0 below -708: 2^n exp(r), |r| <= ln(2) / 2, by Taylor.
inline __attribute__((always_inline)) Vector exponential(Vector x) {
    constexpr double TERMS[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                                1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1.0,
                                1.0};
    const Vector shift = all(0x1.8p52);  // what is added to it is rounded, and stands in the low bits
    const Vector power = x * LOG2_E + shift;
    const Vector n = power - shift;
    const Vector r = x - n * LN_2_HIGH - n * LN_2_LOW;
    Vector p = all(1.0 / 6227020800.0);
    for (const double term : TERMS) p = p * r + term;
    const Bits found = (Bits)p + ((Bits)power << 52);
    return (Vector)(found & ~(Bits)(x < -708.0));
}

// log(x) for normal positive x: n ln(2) + 2 artanh(s), s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)).
inline __attribute__((always_inline)) Vector logarithm(Vector x) {
    const Vector shift = all(0x1.8p52);
    const Bits n = ((Bits)x - (Bits)all(0x1.6a09e667f3bcdp-1)) >> 52;
    const Vector power = (Vector)((Bits)shift + n) - shift, m = (Vector)((Bits)x - (n << 52));
    const Vector s = (m - 1.0) / (m + 1.0), square = s * s;
    Vector p = all(1.0 / 21);
    for (int odd = 19; odd >= 3; odd -= 2) p = p * square + 1.0 / odd;
    return power * LN_2_HIGH + (power * LN_2_LOW + 2.0 * (s + s * square * p));
}

// N sums that stay in registers: an array of them would lie in memory.
template <int N>
struct Sums {
    Vector first = all(0.0);
    Sums<N - 1> rest;

    void add(double x, const Vector* row) {
        first += x * row[0];
        rest.add(x, row + 1);
    }
    void put(const Sums& b, const Sums& c, const Sums& d, Vector* to) const {
        to[0] = (first + b.first) + (c.first + d.first);
        rest.put(b.rest, c.rest, d.rest, to + 1);
    }
    void add_scaled(double weight, const Vector* factor, Vector* to) const {
        to[0] += weight * first * factor[0];
        rest.add_scaled(weight, factor + 1, to + 1);
    }
};

template <>
struct Sums<0> {
    void add(double, const Vector*) {}
    void put(const Sums&, const Sums&, const Sums&, Vector*) const {}
    void add_scaled(double, const Vector*, Vector*) const {}
};

struct Shares {
    double highest, total;

    double log_total() const { return highest + std::log(total); }
};

// exp(x - log sum exp(x)) of a row.
inline __attribute__((always_inline)) Shares softmax(const Vector* x, Vector* out, int64_t width) {
    Vector top = all(-INFINITE), total = all(0.0);
    for (int64_t w = 0; w < width; ++w) top = larger(x[w], top);
    const double highest = largest(top);
    for (int64_t w = 0; w < width; ++w) total += out[w] = exponential(x[w] - highest);
    const double whole = sum(total), share = 1.0 / whole;
    for (int64_t w = 0; w < width; ++w) out[w] *= share;
    return {highest, whole};
}

}  // namespace tagdistill
