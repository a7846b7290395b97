// W chains side by side: one chain per lane, chains sorted by length so that a block's lengths are alike.
#pragma once
#include <algorithm>
#include <vector>

#include "vector.h"

// Chains by falling length (counting sort).
struct Sorted {
  const int64_t* offsets;
  std::vector<int64_t> chain;

  Sorted(const int64_t* offsets, int64_t count) : offsets(offsets), chain(count) {
    int64_t longest = 0;
    for (int64_t n = 0; n < count; n++) longest = std::max(longest, length(n));
    std::vector<int64_t> at(longest + 2);
    for (int64_t n = 0; n < count; n++) at[longest - length(n) + 1]++;
    for (int64_t x = 0; x <= longest; x++) at[x + 1] += at[x];
    for (int64_t n = 0; n < count; n++) chain[at[longest - length(n)]++] = n;
  }
  int64_t length(int64_t n) const { return offsets[n + 1] - offsets[n]; }
};

// The W chains from sorted.chain[first] on; where fewer are left the last one is repeated.
template <class F> struct Lanes : Vector<F> {
  using Base = Vector<F>;
  using typename Base::I;
  using typename Base::Int;
  using typename Base::V;
  using Base::W;
  int used;
  int64_t chain[W], begin[W], steps, shortest;
  Int length[W];

  Lanes(const Sorted& sorted, const int64_t* offsets, int64_t first) {
    int64_t left = int64_t(sorted.chain.size()) - first;
    used = int(std::min<int64_t>(W, left));
    for (int w = 0; w < W; w++) {
      chain[w] = sorted.chain[first + std::min(w, used - 1)];
      begin[w] = offsets[chain[w]];
      length[w] = Int(sorted.length(chain[w]));
    }
    steps = length[0];
    shortest = length[W - 1];
  }

  I lengths() const {
    I v;
    std::memcpy(&v, length, sizeof v);
    return v;
  }

  // out[x * W + w] = rows[begin[w] * S + x] for x < steps * S (rounded up to W); rows has `total` entries.
  // Past its own end a lane holds whatever comes next.
  void pack(const F* rows, int64_t S, int64_t total, F* out) const {
    for (int64_t x = 0; x < steps * S; x += W) {
      V v[W];
#pragma GCC unroll 16
      for (int w = 0; w < W; w++) v[w] = Base::load(rows + std::min(begin[w] * S + x, total));
      Base::transpose(v);
#pragma GCC unroll 16
      for (int w = 0; w < W; w++) Base::store(out + (x + w) * W, v[w]);
    }
  }

  // labels[begin[w] + t] = packed[t][w] for every lane's own steps; `packed` has room up to a multiple of W steps.
  void unpack(const I* packed, int32_t* labels) const {
    for (int64_t t = 0; t < steps; t += W) {
      I v[W];
#pragma GCC unroll 16
      for (int w = 0; w < W; w++) v[w] = packed[t + w];
      Base::transpose(v);
      for (int w = 0; w < used; w++) {
        typename Base::Short row = __builtin_convertvector(v[w], typename Base::Short);
        int64_t left = length[w] - t;
        if (left >= W)
          std::memcpy(labels + begin[w] + t, &row, sizeof row);
        else
          for (int64_t s = 0; s < left; s++) labels[begin[w] + t + s] = row[s];
      }
    }
  }

  // The reverse of `pack`, for every lane's own entries.
  void unpack(const F* packed, int64_t S, F* rows) const {
    for (int64_t x = 0; x < steps * S; x += W) {
      V v[W];
#pragma GCC unroll 16
      for (int w = 0; w < W; w++) v[w] = Base::load(packed + (x + w) * W);
      Base::transpose(v);
      for (int w = 0; w < used; w++) {
        int64_t left = length[w] * S - x;
        if (left >= W)
          Base::store(rows + begin[w] * S + x, v[w]);
        else if (left > 0)
          Base::store_first(rows + begin[w] * S + x, v[w], left);
      }
    }
  }
};
