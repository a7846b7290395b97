// Min-sum on a tree in breadth-first order, float32: the children of node p are first[p] to first[p + 1].
//   up:    b_p[i] = u_p[i] + sum over children c of min_k (E_c[i, k] + b_c[k]),  back_c[i] = argmin_k
//   down:  y_c = back_c[y_p]
// Beliefs are padded with +inf to vectors of eight; tables are [parent state, child state] in order of the child.
// One byte per state to go back by, and no table is read twice.
#include <algorithm>

#include "vector.h"

namespace {

using Base = Vector<float, 8>;
using V = Base::V;
using I = Base::I;
constexpr int W = Base::W;
typedef int8_t Bytes __attribute__((vector_size(W)));

// unary (V, S) with slack behind it, first int64 (V + 1,), parent int32 (V,); work, belief (V, 8 N) and back (V, 8 N)
// are memory; labels (V,) come out.
struct Tree {
  const float *unary, *table;
  const int64_t* first;
  const int32_t* parent;
  int64_t count, states;
  float *work, *belief;
  int8_t* back;
  int32_t* labels;
};

// Running minimum of eight parent states and where it was.
struct Least {
  V low;
  I at{};

  void offer(V value, int k) {
    at = value < low ? Base::splat_int(k) : at;
    low = Base::min(low, value);
  }
};

// One table for all edges, transposed: a column of eight parent states is a vector.
template <int N> struct Shared {
  int64_t states;
  float* columns;  // (child state, 8 N parent states)

  explicit Shared(const Tree& tree) : states(tree.states), columns(tree.work) {
    std::fill(columns, columns + states * N * W, Base::INF);
    for (int64_t i = 0; i < states; i++)
      for (int64_t k = 0; k < states; k++) columns[k * N * W + i] = tree.table[i * states + k];
  }
  Least message(int64_t, const float* belief, int n) const {
    Least least{belief[0] + Base::load(columns + n * W)};
    for (int k = 1; k < states; k++) least.offer(belief[k] + Base::load(columns + (k * N + n) * W), k);
    return least;
  }
};

// Another table for every edge, read where it lies and transposed in registers.
template <int N> struct Unique {
  const float* tables;
  int64_t states;

  explicit Unique(const Tree& tree) : tables(tree.table), states(tree.states) {}

  Least message(int64_t child, const float* belief, int n) const {
    const float* table = tables + (child - 1) * states * states;
    Least least{Base::splat(Base::INF)};
    for (int m = 0; m < N; m++) {
      V b = Base::load(belief + m * W), block[W];
#pragma GCC unroll 8
      for (int r = 0; r < W; r++)
        block[r] = Base::load(table + std::min<int64_t>(n * W + r, states - 1) * states + m * W) + b;
      Base::transpose(block);
#pragma GCC unroll 8
      for (int k = 0; k < W; k++) least.offer(block[k], m * W + k);
    }
    return least;
  }
};

template <int N, template <int> class Tables> double solve(const Tree& tree) {
  Tables<N> tables(tree);
  int64_t states = tree.states, stride = N * W;
  for (int64_t p = tree.count - 1; p >= 0; p--) {
    V sum[N];
    for (int n = 0; n < N; n++) {
      sum[n] = Base::load(tree.unary + p * states + n * W);
      for (int64_t j = std::max<int64_t>(0, states - n * W); j < W; j++) sum[n][j] = Base::INF;
    }
    for (int64_t c = tree.first[p + 1] - 1; c >= tree.first[p]; c--)
      for (int n = 0; n < N; n++) {
        Least least = tables.message(c, tree.belief + c * stride, n);
        Bytes at = __builtin_convertvector(least.at, Bytes);
        std::memcpy(tree.back + c * stride + n * W, &at, W);
        sum[n] += least.low;
      }
    for (int n = 0; n < N; n++) Base::store(tree.belief + p * stride + n * W, sum[n]);
  }
  tree.labels[0] = int32_t(std::min_element(tree.belief, tree.belief + states) - tree.belief);
  for (int64_t c = 1; c < tree.count; c++) tree.labels[c] = tree.back[c * stride + tree.labels[tree.parent[c]]];
  return tree.belief[tree.labels[0]];
}

template <template <int> class Tables> double solve_any(const Tree& tree) {
  if (tree.states <= 8) return solve<1, Tables>(tree);
  if (tree.states <= 16) return solve<2, Tables>(tree);
  return tree.states <= 32 ? solve<4, Tables>(tree) : solve<8, Tables>(tree);
}

}  // namespace

#define EXPORT(name, Tables)                                                                                       \
  extern "C" double name(const float* unary, const float* table, const int64_t* first, const int32_t* parent,      \
                         int64_t count, int64_t states, float* work, float* belief, int8_t* back,                  \
                         int32_t* labels) {                                                                        \
    return solve_any<Tables>({unary, table, first, parent, count, states, work, belief, back, labels});            \
  }
EXPORT(shared, Shared)
EXPORT(unique, Unique)
