// Forward-backward over ragged chains with one shared table E: marginals and log Z of P ~ exp(-energy).
// Scaled: X_t = exp(-(u_t - min u_t)), A = exp(-(E - min E)),
//   a_t = (a_{t-1} A) X_t / sum a_{t-1},   b_t = A (X_{t+1} b_{t+1}) / (a_{t+1} b_{t+1}),   p_t ~ a_t b_t,
//   log Z = log sum a_T + sum_t log (sum a_{t-1}) - sum_t min u_t - (T - 1) min E.
// Scales are applied one step late, so that no step waits for the sum of its own entries.
#include "lanes.h"

namespace {

// unary (T, S) with slack behind it, table (S, S), chain n owns tokens offsets[n] to offsets[n + 1];
// out: marginals (T, S), logz (count,).
template <class F> struct Batch {
  const F *unary, *table;
  const int64_t* offsets;
  int64_t count, states;
  F *work, *marginals;
  double* logz;

  F least_entry() const { return *std::min_element(table, table + states * states); }
};

// Logarithm of a product of many factors.
struct LogProduct {
  double product = 1, log = 0;
  void times(double factor) {
    product *= factor;
    if (product < 1e-200 || product > 1e200) log += std::log(product), product = 1;
  }
  double value() const { return log + std::log(product); }
};

template <class F> struct Padded : Vector<F> {
  using Base = Vector<F>;
  using V = typename Base::V;
  static constexpr int W = Base::W, R = 4;
  const Batch<F>& batch;
  int64_t states, stride;
  F *table, *transposed, *beta, *message, *alpha, *x;  // rows of `stride`; tables are 0 in the padding

  explicit Padded(const Batch<F>& b, int64_t longest) : batch(b), states(b.states), stride(round_up(b.states, W)) {
    int64_t rows = round_up(states, R);
    table = b.work;
    transposed = table + rows * stride;
    beta = transposed + rows * stride;
    message = beta + stride;
    alpha = message + stride;
    x = alpha + longest * stride;
    std::memset(table, 0, 2 * rows * stride * sizeof(F));
    F least = b.least_entry();
    for (int64_t i = 0; i < states; i++)
      for (int64_t j = 0; j < states; j++)
        table[i * stride + j] = transposed[j * stride + i] = std::exp(least - b.table[i * states + j]);
  }

  // Vector j of a row, `fill` in the padding.
  V inside(V v, int64_t j, F fill) const {
    if (j + W <= states) return v;
    return Base::lane_numbers() < typename Base::Int(states - j) ? v : Base::splat(fill);
  }

  // x = exp(-(u - min u)); returns min u.
  F exponentials(const F* u, F* out) const {
    V low = Base::splat(Base::INF);
    for (int64_t j = 0; j < stride; j += W) low = Base::min(low, inside(Base::load(u + j), j, Base::INF));
    F least = Base::lowest(low);
    for (int64_t j = 0; j < stride; j += W) Base::store(out + j, Base::exp(least - Base::load(u + j)));
    return least;
  }

  // N vectors of row times matrix, from column j; U rows at once.
  template <int N, int U, class Use> void tile(const F* row, const F* matrix, int64_t j, const Use& use) const {
    V sum[U][N] = {};
    for (int64_t i = 0; i < states; i += U)
      for (int u = 0; u < U; u++) {
        V a = Base::splat(row[i + u]);
        for (int n = 0; n < N; n++) sum[u][n] += a * Base::load(matrix + (i + u) * stride + j + n * W);
      }
    for (int n = 0; n < N; n++) {
      for (int u = 1; u < U; u++) sum[0][n] += sum[u][n];
      use(j + n * W, sum[0][n]);
    }
  }
  template <class Use> void product(const F* row, const F* matrix, const Use& use) const {
    int64_t j = 0;
    for (; j + 8 * W <= stride; j += 8 * W) tile<8, 1>(row, matrix, j, use);
    for (; j + 4 * W <= stride; j += 4 * W) tile<4, 2>(row, matrix, j, use);
    switch ((stride - j) / W) {
      case 3: return tile<3, 2>(row, matrix, j, use);
      case 2: return tile<2, 4>(row, matrix, j, use);
      case 1: return tile<1, 4>(row, matrix, j, use);
    }
  }

  // Writes the marginals of chain n, returns log Z + (T - 1) min E.
  double chain(int64_t n) const {
    int64_t begin = batch.offsets[n], length = batch.offsets[n + 1] - begin;
    const F* u = batch.unary + begin * states;
    LogProduct scales;
    double shift = exponentials(u, x);
    V norm{};
    for (int64_t j = 0; j < stride; j += W) {
      V a = inside(Base::load(x + j), j, 0);
      Base::store(alpha + j, a);
      norm += a;
    }
    F sum = Base::total(norm);
    for (int64_t t = 1; t < length; t++) {
      F *here = alpha + t * stride, *xt = x + t * stride;
      shift += exponentials(u + t * states, xt);
      scales.times(sum);
      F scale = 1 / sum;
      norm = V{};
      product(here - stride, table, [&](int64_t j, V v) {
        v *= Base::load(xt + j) * scale;
        Base::store(here + j, v);
        norm += v;
      });
      sum = Base::total(norm);
    }
    scales.times(sum);
    for (int64_t j = 0; j < stride; j += W) Base::store(beta + j, inside(Base::splat(1), j, 0));
    F scale = 1;
    for (int64_t t = length - 1;; t--) {
      const F *here = alpha + t * stride, *xt = x + t * stride;
      norm = V{};
      for (int64_t j = 0; j < stride; j += W) {
        V b = Base::load(beta + j);
        norm += Base::load(here + j) * b;
        Base::store(message + j, Base::load(xt + j) * b);
      }
      scale = 1 / Base::total(norm);
      F* out = batch.marginals + (begin + t) * states;
      for (int64_t j = 0; j < stride; j += W) {
        V p = Base::load(here + j) * Base::load(beta + j) * scale;
        if (j + W <= states)
          Base::store(out + j, p);
        else
          Base::store_first(out + j, p, states - j);
      }
      if (t == 0) break;
      product(message, transposed, [&](int64_t j, V v) { Base::store(beta + j, v * scale); });
    }
    return scales.value() - shift;
  }
};

template <class F> void tile(const Batch<F>& batch) {
  int64_t longest = 0;
  for (int64_t n = 0; n < batch.count; n++) longest = std::max(longest, batch.offsets[n + 1] - batch.offsets[n]);
  Padded<F> p(batch, longest);
  double least = batch.least_entry();
  for (int64_t n = 0; n < batch.count; n++)
    batch.logz[n] = p.chain(n) - least * double(batch.offsets[n + 1] - batch.offsets[n] - 1);
}

// W chains side by side, one per lane.
template <class F> struct Side : Lanes<F> {
  using Base = Lanes<F>;
  using typename Base::I;
  using typename Base::V;
  using Base::W;
  static constexpr int J = 4;
  const Batch<F>& batch;
  int64_t states;
  const F *table, *transposed;  // (states, rounded up to J), 0 in the padding
  F *alpha, *x, *beta, *message;  // [t][state][lane]

  // out[j] = scale * sum_i row[i] matrix[i, j] for J states from j on.
  template <class Use> void product(const F* row, const F* matrix, const Use& use) const {
    int64_t columns = round_up(states, J);
    for (int64_t j = 0; j < states; j += J) {
      V sum[J] = {};
      for (int64_t i = 0; i < states; i++) {
        V a = Base::load(row + i * W);
        for (int c = 0; c < J; c++) sum[c] += a * matrix[i * columns + j + c];
      }
      for (int c = 0; c < J && j + c < states; c++) use(j + c, sum[c]);
    }
  }

  void run(double least) {
    int64_t step = states * W;
    this->pack(batch.unary, states, batch.offsets[batch.count] * states, x);
    I length = this->lengths(), exponent{};
    V shift{}, mantissa = Base::splat(1), norm{};
    for (int64_t t = 0; t < this->steps; t++) {
      F *here = alpha + t * step, *xt = x + t * step;
      I alive = length > typename Base::Int(t);
      V low = Base::load(xt), scale = 1 / norm;
      for (int64_t j = 1; j < states; j++) low = Base::min(low, Base::load(xt + j * W));
      shift += alive ? low : V{};
      norm = V{};
      auto enter = [&](int64_t j, V v) {
        V e = Base::exp(low - Base::load(xt + j * W));
        Base::store(xt + j * W, e);
        v *= e;
        Base::store(here + j * W, v);
        norm += v;
      };
      if (t)
        product(here - step, table, [&](int64_t j, V v) { enter(j, v * scale); });
      else
        for (int64_t j = 0; j < states; j++) enter(j, Base::splat(1));
      keep_product(mantissa, exponent, alive ? norm : Base::splat(1));
    }
    V scale{};
    for (int64_t t = this->steps - 1; t >= 0; t--) {
      F *here = alpha + t * step, *xt = x + t * step;
      if (t + 1 >= this->shortest) {  // where a chain ends, nothing comes after it
        I last = length == typename Base::Int(t + 1);
        for (int64_t j = 0; j < states; j++)
          Base::store(beta + j * W, last ? Base::splat(1) : Base::load(beta + j * W));
      }
      norm = V{};
      for (int64_t j = 0; j < states; j++) {
        V b = Base::load(beta + j * W), p = Base::load(here + j * W) * b;
        norm += p;
        Base::store(here + j * W, p);
        Base::store(message + j * W, Base::load(xt + j * W) * b);
      }
      scale = 1 / norm;
      for (int64_t j = 0; j < states; j++) Base::store(here + j * W, Base::load(here + j * W) * scale);
      if (t) product(message, transposed, [&](int64_t j, V v) { Base::store(beta + j * W, v * scale); });
    }
    this->unpack(alpha, states, batch.marginals);
    for (int w = 0; w < this->used; w++)
      batch.logz[this->chain[w]] = std::log(double(mantissa[w])) + double(exponent[w]) * std::log(2.0) -
                                   double(shift[w]) - least * double(this->length[w] - 1);
  }

  // mantissa * 2^exponent *= factor.
  static void keep_product(V& mantissa, I& exponent, V factor) {
    constexpr int BITS = sizeof(F) == 4 ? 23 : 52, BIAS = sizeof(F) == 4 ? 127 : 1023;
    I bits = (I)(mantissa * factor), one = (I)Base::splat(1);
    exponent += (bits >> BITS) - BIAS;
    mantissa = (V)((bits & ((typename Base::Int(1) << BITS) - 1)) | one);
  }
};

template <class F> void lanes(const Batch<F>& batch) {
  using S = Side<F>;
  constexpr int W = S::W;
  int64_t states = batch.states, columns = round_up(states, S::J);
  F *table = batch.work, *transposed = table + states * columns, least = batch.least_entry();
  std::fill(table, table + 2 * states * columns, F(0));
  for (int64_t i = 0; i < states; i++)
    for (int64_t j = 0; j < states; j++)
      table[i * columns + j] = transposed[j * columns + i] = std::exp(least - batch.table[i * states + j]);
  Sorted sorted(batch.offsets, batch.count);
  int64_t size = (sorted.length(sorted.chain[0]) * states + W) * W;
  F* alpha = batch.work + round_up(2 * states * columns, W);
  for (int64_t first = 0; first < batch.count; first += W) {
    Lanes<F> block(sorted, batch.offsets, first);
    S side{block, batch, states, table, transposed, alpha, alpha + size, alpha + 2 * size,
           alpha + 2 * size + states * W};
    side.run(least);
  }
}

// The textbook in log space: S * S exponentials a token each way.
template <class F> void logsumexp(const Batch<F>& batch) {
  int64_t S = batch.states;
  for (int64_t n = 0; n < batch.count; n++) {
    int64_t begin = batch.offsets[n], length = batch.offsets[n + 1] - begin;
    const F *u = batch.unary + begin * S, *E = batch.table;
    F *alpha = batch.work, *beta = alpha + length * S, *terms = beta + length * S;
    auto soft = [&]() {  // log sum exp(-terms), negated
      F least = *std::min_element(terms, terms + S), sum = 0;
      for (int64_t i = 0; i < S; i++) sum += std::exp(least - terms[i]);
      return least - std::log(sum);
    };
    std::copy(u, u + S, alpha);
    for (int64_t t = 1; t < length; t++)
      for (int64_t j = 0; j < S; j++) {
        for (int64_t i = 0; i < S; i++) terms[i] = alpha[(t - 1) * S + i] + E[i * S + j];
        alpha[t * S + j] = soft() + u[t * S + j];
      }
    std::copy(alpha + (length - 1) * S, alpha + length * S, terms);
    F free = soft();
    std::fill(beta + (length - 1) * S, beta + length * S, F(0));
    for (int64_t t = length - 2; t >= 0; t--)
      for (int64_t i = 0; i < S; i++) {
        for (int64_t j = 0; j < S; j++) terms[j] = beta[(t + 1) * S + j] + E[i * S + j] + u[(t + 1) * S + j];
        beta[t * S + i] = soft();
      }
    F* out = batch.marginals + begin * S;
    for (int64_t x = 0; x < length * S; x++) out[x] = std::exp(free - alpha[x] - beta[x]);
    batch.logz[n] = -free;
  }
}

}  // namespace

#define EXPORT(name, F, suffix)                                                                                    \
  extern "C" void name##_##suffix(const F* unary, const F* table, const int64_t* offsets, int64_t count,           \
                                  int64_t states, F* work, F* marginals, double* logz) {                           \
    name<F>({unary, table, offsets, count, states, work, marginals, logz});                                        \
  }
#define EXPORT_BOTH(name) EXPORT(name, float, float32) EXPORT(name, double, float64)
EXPORT_BOTH(tile)
EXPORT_BOTH(lanes)
EXPORT_BOTH(logsumexp)
