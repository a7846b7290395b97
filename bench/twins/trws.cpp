// TRW-S on pairwise graphs, scalar, as in Kolmogorov 2006: one message per edge, overwritten in place.
#include <cstdint>
#include <cmath>
#include <algorithm>

namespace {

constexpr int POTTS = 0, LINEAR = 1, DENSE = 2;

// out[k] = min_i h[i] + V(i, k), less its minimum; returns that.
float message(const float* h, float* out, int states, int kind, float slope, float cap, const float* table, bool turned) {
    float least = h[0];
    for (int k = 1; k < states; ++k) least = std::min(least, h[k]);
    if (kind == POTTS) {
        for (int k = 0; k < states; ++k) out[k] = std::min(h[k] - least, cap);
        return least;
    }
    if (kind == LINEAR) {
        for (int k = 0; k < states; ++k) out[k] = h[k] - least;
        for (int k = 1; k < states; ++k) out[k] = std::min(out[k], out[k - 1] + slope);
        for (int k = states - 2; k >= 0; --k) out[k] = std::min(out[k], out[k + 1] + slope);
        for (int k = 0; k < states; ++k) out[k] = std::min(out[k], cap);
        return least;
    }
    if (turned) {
        for (int k = 0; k < states; ++k) {
            float best = h[0] + table[k * states];
            for (int i = 1; i < states; ++i) best = std::min(best, h[i] + table[k * states + i]);
            out[k] = best;
        }
    } else {
        for (int k = 0; k < states; ++k) out[k] = h[0] + table[k];
        for (int i = 1; i < states; ++i)
            for (int k = 0; k < states; ++k) out[k] = std::min(out[k], h[i] + table[i * states + k]);
    }
    least = out[0];
    for (int k = 1; k < states; ++k) least = std::min(least, out[k]);
    for (int k = 0; k < states; ++k) out[k] -= least;
    return least;
}

}  // namespace

// Nodes in order; links of node v: first[v] .. first[v + 1], sorted by the other node. neighbour and edge int32 per link;
// tables (states x states, smaller node first), table int32 per edge. Returns the bound of the last backward pass.
extern "C" double passes(const float* unary, float* messages, const int64_t* first, const int32_t* neighbour,
                         const int32_t* edge, const int32_t* table, const float* tables, int64_t nodes, int64_t states,
                         int64_t kind, double slope, double cap, int64_t count) {
    float belief[256], heights[256], fresh[256];
    double bound = 0;
    const int s = static_cast<int>(states);
    for (int64_t pass = 0; pass < 2 * count; ++pass) {
        const bool forward = pass % 2 == 0;
        bound = 0;
        for (int64_t n = 0; n < nodes; ++n) {
            const int64_t v = forward ? n : nodes - 1 - n;
            int before = 0, behind = 0;
            for (int k = 0; k < s; ++k) belief[k] = unary[v * s + k];
            for (int64_t i = first[v]; i < first[v + 1]; ++i) {
                const float* m = messages + static_cast<int64_t>(edge[i]) * s;
                for (int k = 0; k < s; ++k) belief[k] += m[k];
                (neighbour[i] < v ? before : behind)++;
            }
            const float part = 1.0f / std::max(before, behind);
            float least = belief[0];
            for (int k = 1; k < s; ++k) least = std::min(least, belief[k]);
            bound += least;
            for (int64_t i = first[v]; i < first[v + 1]; ++i) {
                if ((neighbour[i] > v) != forward) continue;
                float* m = messages + static_cast<int64_t>(edge[i]) * s;
                for (int k = 0; k < s; ++k) heights[k] = part * (belief[k] - least) - m[k];
                const float* own = kind == DENSE ? tables + static_cast<int64_t>(table[edge[i]]) * s * s : tables;
                bound += message(heights, fresh, s, static_cast<int>(kind), static_cast<float>(slope),
                                 static_cast<float>(cap), own, !forward);
                for (int k = 0; k < s; ++k) m[k] = fresh[k];
            }
        }
    }
    return bound;
}
