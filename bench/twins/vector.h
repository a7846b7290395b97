// Vectors of W lanes of F by GCC's vector extensions; wider than the machine's registers, they are split.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

template <class F, int LANES = 64 / sizeof(F)> struct Vector {
  static constexpr int W = LANES;
  static constexpr F INF = std::numeric_limits<F>::infinity();
  using Int = std::conditional_t<sizeof(F) == 4, int32_t, int64_t>;
  typedef F V __attribute__((vector_size(W * sizeof(F))));
  typedef Int I __attribute__((vector_size(W * sizeof(F))));
  typedef int32_t Short __attribute__((vector_size(W * 4)));

  static V load(const F* at) {
    V v;
    std::memcpy(&v, at, sizeof v);
    return v;
  }
  static void store(F* at, V v) { std::memcpy(at, &v, sizeof v); }
  static void store_first(F* at, V v, int64_t count) {  // the first `count` < W lanes only
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64 && sizeof(F) == 4) return _mm512_mask_storeu_ps(at, (1u << count) - 1, (__m512)v);
    if constexpr (sizeof(V) == 64 && sizeof(F) == 8) return _mm512_mask_storeu_pd(at, (1u << count) - 1, (__m512d)v);
#endif
    for (int64_t lane = 0; lane < count; lane++) at[lane] = v[lane];
  }
  static V splat(F x) { return x - V{}; }
  static I splat_int(Int x) { return x - I{}; }

  static V min(V x, V y) {
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64 && sizeof(F) == 4) return (V)_mm512_min_ps((__m512)x, (__m512)y);
    if constexpr (sizeof(V) == 64 && sizeof(F) == 8) return (V)_mm512_min_pd((__m512d)x, (__m512d)y);
    if constexpr (sizeof(V) == 32 && sizeof(F) == 4) return (V)_mm256_min_ps((__m256)x, (__m256)y);
#endif
    return x < y ? x : y;
  }

  // x + y as x * one + y, one known at run time only: exact, and on another pipe than min.
  static V fused_add(V x, V one, V y) {
#ifdef __AVX512F__
    if constexpr (sizeof(V) == 64 && sizeof(F) == 4) return (V)_mm512_fmadd_ps((__m512)x, (__m512)one, (__m512)y);
    if constexpr (sizeof(V) == 64 && sizeof(F) == 8) return (V)_mm512_fmadd_pd((__m512d)x, (__m512d)one, (__m512d)y);
#endif
    return x * one + y;
  }

  // v[l ^ H] in lane l.
  template <int H> static V flip(V v) { return flip<H>(v, std::make_index_sequence<W>()); }
  template <int H, size_t... L> static V flip(V v, std::index_sequence<L...>) {
    return __builtin_shuffle(v, I{(Int(L) ^ H)...});
  }

  static F lowest(V v) {
    if constexpr (W > 8) v = min(v, flip<8>(v));
    if constexpr (W > 4) v = min(v, flip<4>(v));
    v = min(v, flip<2>(v));
    return min(v, flip<1>(v))[0];
  }
  static F total(V v) {
    if constexpr (W > 8) v += flip<8>(v);
    if constexpr (W > 4) v += flip<4>(v);
    v += flip<2>(v);
    return (v + flip<1>(v))[0];
  }
  static F highest(V v) { return -lowest(-v); }

  // Bit l is set where lane l of x equals lane l of y.
  static uint32_t equal_bits(V x, V y) {
#ifdef __AVX512VL__
    if constexpr (sizeof(V) == 64 && sizeof(F) == 4) return _mm512_cmpeq_ps_mask((__m512)x, (__m512)y);
    if constexpr (sizeof(V) == 64 && sizeof(F) == 8) return _mm512_cmpeq_pd_mask((__m512d)x, (__m512d)y);
    if constexpr (sizeof(V) == 32 && sizeof(F) == 4) return _mm256_cmp_ps_mask((__m256)x, (__m256)y, _CMP_EQ_OQ);
#endif
    uint32_t bits = 0;
    for (int lane = 0; lane < W; lane++) bits |= uint32_t(x[lane] == y[lane]) << lane;
    return bits;
  }

  // First lane where x equals y, W if there is none.
  static int first_equal(V x, V y) { return __builtin_ctz(equal_bits(x, y) | 1u << W); }

  // W vectors as rows of a W x W matrix, transposed in log2 W rounds of block swaps.
  template <class X> static void transpose(X* rows) {
    if constexpr (W > 8) swap_blocks<8>(rows);
    if constexpr (W > 4) swap_blocks<4>(rows);
    swap_blocks<2>(rows);
    swap_blocks<1>(rows);
  }
  template <int H, int ROWS = W, class X> static void swap_blocks(X* rows) {
    swap_blocks<H, ROWS>(rows, std::make_index_sequence<W>());
  }
  template <int H, int ROWS, class X, size_t... L> static void swap_blocks(X* rows, std::index_sequence<L...>) {
    constexpr I upper{(L & H ? Int(L) - H + W : Int(L))...};
    constexpr I lower{(L & H ? Int(L) + W : Int(L) + H)...};
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
      if (!(r & H)) {
        X a = rows[r], b = rows[r + H];
        rows[r] = __builtin_shuffle(a, b, upper);
        rows[r + H] = __builtin_shuffle(a, b, lower);
      }
  }

  // Lane l: all entries of rows[l] folded into one by `fold`, for W rows.
  template <int H = W / 2, class Fold> static V fold_rows(V* rows, const Fold& fold) {
    swap_blocks<H, 2 * H>(rows);
#pragma GCC unroll 16
    for (int r = 0; r < H; r++) rows[r] = fold(rows[r], rows[r + H]);
    if constexpr (H > 1) return fold_rows<H / 2>(rows, fold);
    return rows[0];
  }

  // row[k] lane by lane, of a row of R vectors.
  template <int R> static V look_up(const F* row, I k) {
    if constexpr (R == 1) return __builtin_shuffle(load(row), k);
    V low = __builtin_shuffle(load(row), load(row + W), k);
    if constexpr (R == 4) {
      V high = __builtin_shuffle(load(row + 2 * W), load(row + 3 * W), k);
      low = k < 2 * W ? low : high;
    }
    return low;
  }

  static I lane_numbers() { return lane_numbers(std::make_index_sequence<W>()); }
  template <size_t... L> static I lane_numbers(std::index_sequence<L...>) { return I{Int(L)...}; }

  // exp(x), |relative error| < 3e-7 (float), 3e-14 (double): 2^k times a polynomial of the rest; 0 far below.
  static V exp(V x) {
    constexpr F LOW = sizeof(F) == 4 ? -87 : -708, HIGH = sizeof(F) == 4 ? 88 : 709;
    constexpr F MAGIC = sizeof(F) == 4 ? F(12582912) : F(6755399441055744);  // adding it rounds to an integer
    constexpr int DEGREE = sizeof(F) == 4 ? 6 : 11, MANTISSA = sizeof(F) == 4 ? 23 : 52;
    constexpr Int BIAS = sizeof(F) == 4 ? 127 : 1023;
    V z = x < LOW ? splat(LOW) : x;
    z = z > HIGH ? splat(HIGH) : z;
    V shifted = z * F(1.4426950408889634) + MAGIC, k = shifted - MAGIC;
    V r = z - k * F(0.693145751953125) - k * F(1.4286068203094172e-6);
    F inverse = 1;
    for (int n = 2; n <= DEGREE; n++) inverse /= n;
    V sum = splat(inverse);
#pragma GCC unroll 16
    for (int n = DEGREE; n > 0; n--) {
      inverse *= n;
      sum = sum * r + inverse;
    }
    I power = ((I)shifted - (I)splat(MAGIC) + BIAS) << MANTISSA;
    return x < LOW ? V{} : sum * (V)power;
  }
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
