// Viterbi over ragged chains with one shared table, five ways. All but `narrow` keep the alphas only and recompute the
// argmin on the best path:
//   a_1 = u_1,  a_t[j] = u_t[j] + min_i (a_{t-1}[i] + E[i, j]),  y_t = argmin_i (a_t[i] + E[i, y_{t+1}]).
#include "lanes.h"

namespace {

// unary (T, S) with slack behind it, table (S, S) = E, chain n owns tokens offsets[n] to offsets[n + 1];
// out: labels (T,), least (count,).
template <class F> struct Batch {
  const F *unary, *table;
  const int64_t* offsets;
  int64_t count, states;
  F* work;
  int32_t* labels;
  double* least;
};

template <class F> struct Padded : Vector<F> {
  using Base = Vector<F>;
  using V = typename Base::V;
  static constexpr int W = Base::W, R = 4;
  const Batch<F>& batch;
  int64_t states, stride;
  F *table, *transposed, *alpha;  // rows of `stride`, +inf in the padding; table has rows up to a multiple of R

  explicit Padded(const Batch<F>& b) : batch(b), states(b.states), stride(round_up(b.states, W)) {
    int64_t rows = round_up(states, R);
    table = b.work;
    transposed = table + rows * stride;
    alpha = transposed + states * stride;
    for (int64_t x = 0; x < (rows + states) * stride; x++) table[x] = Base::INF;
    for (int64_t i = 0; i < states; i++)
      for (int64_t j = 0; j < states; j++)
        table[i * stride + j] = transposed[j * stride + i] = b.table[i * states + j];
  }

  const F* unary(int64_t n, int64_t t) const { return batch.unary + (batch.offsets[n] + t) * states; }

  void start(int64_t n, F* a) const {
    for (int64_t j = 0; j < stride; j++) a[j] = j < states ? unary(n, 0)[j] : Base::INF;
  }

  // First argmin of a[i] + row[i].
  int64_t argmin(const F* a, const F* row) const {
    V low = Base::load(a) + Base::load(row);
    for (int64_t j = W; j < stride; j += W) low = Base::min(low, Base::load(a + j) + Base::load(row + j));
    low = Base::splat(Base::lowest(low));
    for (int64_t j = 0; j < stride; j += W) {
      int lane = Base::first_equal(Base::load(a + j) + Base::load(row + j), low);
      if (lane < W) return j + lane;
    }
    return 0;
  }

  void backtrace(int64_t n, const F* a) const {
    int32_t* y = batch.labels + batch.offsets[n];
    int64_t last = batch.offsets[n + 1] - batch.offsets[n] - 1, k = 0;
    const F* end = a + last * stride;
    for (int64_t j = 1; j < states; j++)
      if (end[j] < end[k]) k = j;
    batch.least[n] = end[k];
    y[last] = k;
    for (int64_t t = last - 1; t >= 0; t--) y[t] = k = argmin(a + t * stride, transposed + k * stride);
  }

  // One step, R rows of the table a pass.
  void rows(const F* before, const F* unary, F* after) const {
    for (int64_t i = 0; i < states; i += R) {
      V b[R];
      for (int r = 0; r < R; r++) b[r] = Base::splat(before[i + r]);
      for (int64_t j = 0; j < stride; j += W) {
        V low = i ? Base::load(after + j) : Base::splat(Base::INF);
        for (int r = 0; r < R; r++) low = Base::min(low, b[r] + Base::load(table + (i + r) * stride + j));
        Base::store(after + j, i + R < states ? low : low + Base::load(unary + j));
      }
    }
  }

  // One step of N vectors of the row; U rows of the table at once where N alone would wait for the adders.
  template <int N, int U> void tile(const F* before, const F* unary, F* after, int64_t j) const {
    V low[U][N];
    for (int u = 0; u < U; u++)
      for (int n = 0; n < N; n++) low[u][n] = Base::splat(before[u]) + Base::load(table + u * stride + j + n * W);
    for (int64_t i = U; i < states; i += U)
      for (int u = 0; u < U; u++) {
        V b = Base::splat(before[i + u]);
        const F* row = table + (i + u) * stride + j;
        for (int n = 0; n < N; n++) low[u][n] = Base::min(low[u][n], b + Base::load(row + n * W));
      }
    for (int n = 0; n < N; n++) {
      for (int u = 1; u < U; u++) low[0][n] = Base::min(low[0][n], low[u][n]);
      Base::store(after + j + n * W, low[0][n] + Base::load(unary + j + n * W));
    }
  }

  void tiles(const F* before, const F* unary, F* after) const {
    int64_t j = 0;
    for (; j + 8 * W <= stride; j += 8 * W) tile<8, 1>(before, unary, after, j);
    for (; j + 4 * W <= stride; j += 4 * W) tile<4, 1>(before, unary, after, j);
    switch ((stride - j) / W) {
      case 3: return tile<3, 1>(before, unary, after, j);
      case 2: return tile<2, 2>(before, unary, after, j);
      case 1: return tile<1, 4>(before, unary, after, j);
    }
  }

  // One step of C chains for N vectors: a product of matrices in (min, +); before, unary, after of each chain.
  template <int C, int N> void block(const F* const* before, const F* const* unary, F* const* after, int64_t j,
                                     V one) const {
    V low[C][N];
    for (int c = 0; c < C; c++)
      for (int n = 0; n < N; n++) low[c][n] = Base::splat(before[c][0]) + Base::load(table + j + n * W);
    for (int64_t i = 1; i < states; i++) {
      V row[N];
      for (int n = 0; n < N; n++) row[n] = Base::load(table + i * stride + j + n * W);
      for (int c = 0; c < C; c++) {
        V b = Base::splat(before[c][i]);
        for (int n = 0; n < N; n++) low[c][n] = Base::min(low[c][n], Base::fused_add(row[n], one, b));
      }
    }
    for (int c = 0; c < C; c++)
      for (int n = 0; n < N; n++)
        Base::store(after[c] + j + n * W, low[c][n] + Base::load(unary[c] + j + n * W));
  }

  template <int C> void blocks(const int64_t* chain, int64_t from, int64_t to, int64_t longest, V one) const {
    const F *before[C], *unaries[C];
    F* after[C];
    for (int64_t t = from; t < to; t++) {
      for (int c = 0; c < C; c++) {
        unaries[c] = unary(chain[c], t);
        after[c] = alpha + (c * longest + t) * stride;
        before[c] = after[c] - stride;
      }
      int64_t j = 0;
      for (; j + 4 * W <= stride; j += 4 * W) block<C, 4>(before, unaries, after, j, one);
      switch ((stride - j) / W) {
        case 3: block<C, 3>(before, unaries, after, j, one); break;
        case 2: block<C, 2>(before, unaries, after, j, one); break;
        case 1: block<C, 1>(before, unaries, after, j, one); break;
      }
    }
  }
};

template <class F, class Step> void one_by_one(const Batch<F>& batch, Step step) {
  Padded<F> p(batch);
  for (int64_t n = 0; n < batch.count; n++) {
    int64_t length = batch.offsets[n + 1] - batch.offsets[n];
    p.start(n, p.alpha);
    for (int64_t t = 1; t < length; t++)
      step(p, p.alpha + (t - 1) * p.stride, p.unary(n, t), p.alpha + t * p.stride);
    p.backtrace(n, p.alpha);
  }
}

template <class F> void rows(const Batch<F>& batch) {
  one_by_one(batch, [](const Padded<F>& p, const F* a, const F* u, F* b) { p.rows(a, u, b); });
}

template <class F> void tile(const Batch<F>& batch) {
  one_by_one(batch, [](const Padded<F>& p, const F* a, const F* u, F* b) { p.tiles(a, u, b); });
}

// Four chains of nearly equal length a tile, sums by fused multiply-adds.
template <class F> void block(const Batch<F>& batch) {
  Padded<F> p(batch);
  Sorted sorted(batch.offsets, batch.count);
  volatile F one = 1;
  auto ones = Vector<F>::splat(one);
  for (int64_t first = 0; first < batch.count; first += 4) {
    const int64_t* chain = sorted.chain.data() + first;
    int64_t chains = std::min<int64_t>(4, batch.count - first), longest = sorted.length(chain[0]), done = 1;
    for (int64_t c = 0; c < chains; c++) p.start(chain[c], p.alpha + c * longest * p.stride);
    for (int64_t active = chains; active > 0; active--) {  // the shortest one ends first
      int64_t until = sorted.length(chain[active - 1]);
      switch (active) {
        case 4: p.template blocks<4>(chain, done, until, longest, ones); break;
        case 3: p.template blocks<3>(chain, done, until, longest, ones); break;
        case 2: p.template blocks<2>(chain, done, until, longest, ones); break;
        case 1: p.template blocks<1>(chain, done, until, longest, ones); break;
      }
      done = std::max(done, until);
    }
    for (int64_t c = 0; c < chains; c++) p.backtrace(chain[c], p.alpha + c * longest * p.stride);
  }
}

// W chains side by side, one per lane; the table's column of the next label is looked up by permutes (R vectors a row).
template <class F, int R> void in_lanes(const Batch<F>& batch) {
  using L = Lanes<F>;
  using V = typename L::V;
  using I = typename L::I;
  constexpr int W = L::W, J = 4;
  int64_t S = batch.states, columns = round_up(S, J), width = R * W;
  F *columnwise = batch.work, *rowwise = columnwise + round_up(S * columns, W), *alpha = rowwise + S * width;
  for (int64_t i = 0; i < S; i++) {  // [i][j] padded to J for the way forward, to R vectors for the lookups
    for (int64_t j = 0; j < columns; j++) columnwise[i * columns + j] = j < S ? batch.table[i * S + j] : F(0);
    for (int64_t j = 0; j < width; j++) rowwise[i * width + j] = j < S ? batch.table[i * S + j] : F(0);
  }
  Sorted sorted(batch.offsets, batch.count);
  for (int64_t first = 0; first < batch.count; first += W) {
    L lanes(sorted, batch.offsets, first);
    lanes.pack(batch.unary, S, batch.offsets[batch.count] * S, alpha);
    I* labels = (I*)(alpha + round_up(lanes.steps * S, W) * W);
    for (int64_t t = 1; t < lanes.steps; t++) {
      const F* before = alpha + (t - 1) * S * W;
      F* after = alpha + t * S * W;
      for (int64_t j = 0; j < S; j += J) {
        V low[J];
        for (int c = 0; c < J; c++) low[c] = L::load(before) + columnwise[j + c];
        for (int64_t i = 1; i < S; i++) {
          V a = L::load(before + i * W);
          const F* row = columnwise + i * columns + j;
          for (int c = 0; c < J; c++) low[c] = L::min(low[c], a + row[c]);
        }
        for (int c = 0; c < J && j + c < S; c++)
          L::store(after + (j + c) * W, low[c] + L::load(after + (j + c) * W));
      }
    }
    I k{}, length = lanes.lengths();
    V least{};
    for (int64_t t = lanes.steps - 1; t >= 0; t--) {
      const F* a = alpha + t * S * W;
      I last = length == typename L::Int(t + 1), arg{};
      bool ends = t + 1 >= lanes.shortest;
      V low{};
      for (int64_t i = 0; i < S; i++) {
        V entry = L::template look_up<R>(rowwise + i * width, k);
        if (ends) entry = last ? V{} : entry;
        V value = L::load(a + i * W) + entry;
        if (i) arg = value < low ? L::splat_int(i) : arg;
        low = i ? L::min(low, value) : value;
      }
      if (ends) least = last ? low : least;
      labels[t] = k = arg;
    }
    lanes.unpack(labels, batch.labels);
    for (int w = 0; w < lanes.used; w++) batch.least[lanes.chain[w]] = least[w];
  }
}

// At most eight states: alpha stays in one register, for each token 8 x 8 bits say which states attain the minima. The
// way back neither adds nor compares and waits for no load.
template <class F> void narrow(const Batch<F>& batch) {
  using Base = Vector<F, 8>;
  using V = typename Base::V;
  int64_t S = batch.states;
  V table[8], beyond = Base::lane_numbers() < typename Base::Int(S) ? V{} : Base::splat(Base::INF);
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) table[i][j] = i < S && j < S ? batch.table[i * S + j] : Base::INF;
  uint64_t* attained = (uint64_t*)batch.work;  // bit 8 i + j: state i leads to j at least cost
  for (int64_t n = 0; n < batch.count; n++) {
    int64_t begin = batch.offsets[n], last = batch.offsets[n + 1] - begin - 1;
    const F* u = batch.unary + begin * S;
    int32_t* y = batch.labels + begin;
    V alpha = Base::load(u) + beyond;
    for (int64_t t = 1; t <= last; t++) {
      V value[8], low[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) low[i] = value[i] = __builtin_shuffle(alpha, Base::splat_int(i)) + table[i];
#pragma GCC unroll 3
      for (int h = 4; h; h /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < h; i++) low[i] = Base::min(low[i], low[i + h]);
      uint8_t* bits = (uint8_t*)(attained + t);
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) bits[i] = uint8_t(Base::equal_bits(value[i], low[0]));
      alpha = low[0] + (Base::load(u + t * S) + beyond);
    }
    F least = Base::lowest(alpha);
    uint32_t k = Base::first_equal(alpha, Base::splat(least));
    batch.least[n] = least;
    y[last] = int32_t(k);
    for (int64_t t = last; t > 0; t--) y[t - 1] = k = __builtin_ctzll(attained[t] >> k & 0x0101010101010101) / 8;
  }
}

template <class F> void lanes(const Batch<F>& batch) {
  constexpr int W = Vector<F>::W;
  if (batch.states <= W) return in_lanes<F, 1>(batch);
  if (batch.states <= 2 * W) return in_lanes<F, 2>(batch);
  return in_lanes<F, 4>(batch);
}

}  // namespace

#define EXPORT(name, F, suffix)                                                                                    \
  extern "C" void name##_##suffix(const F* unary, const F* table, const int64_t* offsets, int64_t count,           \
                                  int64_t states, F* work, int32_t* labels, double* least) {                       \
    name<F>({unary, table, offsets, count, states, work, labels, least});                                          \
  }
#define EXPORT_BOTH(name) EXPORT(name, float, float32) EXPORT(name, double, float64)
EXPORT_BOTH(rows)
EXPORT_BOTH(tile)
EXPORT_BOTH(block)
EXPORT_BOTH(narrow)
EXPORT_BOTH(lanes)
