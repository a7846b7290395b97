// What one core can do: additions and minima per second, bytes per second.
#include <algorithm>

#include "vector.h"

namespace {

// `rounds` times 16 vectors of x = min(x, a + y), a from memory in the first cache, x and y in registers.
template <class F, bool FUSED> double add_min(const F* values, int64_t rounds, F one) {
  using Base = Vector<F>;
  constexpr int N = 16;
  typename Base::V low[N], y = Base::load(values), ones = Base::splat(one);
  for (int n = 0; n < N; n++) low[n] = Base::splat(Base::INF);
  for (int64_t r = 0; r < rounds; r++) {
    auto a = Base::splat(values[r & 1023]);
#pragma GCC unroll 16
    for (int n = 0; n < N; n++) {
      asm volatile("" : "+v"(y));  // no addition is made once for all
      low[n] = Base::min(low[n], FUSED ? Base::fused_add(y, ones, a) : a + y);
    }
  }
  for (int n = 1; n < N; n++) low[0] = Base::min(low[0], low[n]);
  return Base::lowest(low[0]);
}

}  // namespace

extern "C" {
double add_min_float32(const float* values, int64_t rounds) { return add_min<float, false>(values, rounds, 1); }
double add_min_float64(const double* values, int64_t rounds) { return add_min<double, false>(values, rounds, 1); }
double fused_float32(const float* values, int64_t rounds) { return add_min<float, true>(values, rounds, values[0]); }
double fused_float64(const double* values, int64_t rounds) { return add_min<double, true>(values, rounds, values[0]); }

// Least of `count` floats (a multiple of 128): memory read once.
double read(const float* values, int64_t count) {
  using Base = Vector<float>;
  Base::V low[8];
  for (auto& v : low) v = Base::splat(Base::INF);
  for (int64_t x = 0; x < count; x += 8 * Base::W)
    for (int n = 0; n < 8; n++) low[n] = Base::min(low[n], Base::load(values + x + n * Base::W));
  for (int n = 1; n < 8; n++) low[0] = Base::min(low[0], low[n]);
  return Base::lowest(low[0]);
}

void copy(float* to, const float* from, int64_t count) { std::memcpy(to, from, count * sizeof(float)); }
}
