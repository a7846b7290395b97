// Lattices (acyclic graphs of arcs from node 0 to the last one) without transitions, float32: the best path, and
// exp(-energy) summed over all paths, free or spelling a known string. Arcs are sorted by their start.
//   free        h[e] = min over arcs s -> e of h[s] + min_k U[arc, k]
//   spelling z  h[e, q] = min over arcs s -> e of h[s, q - 1] + U[arc, z_q]
// For the sums an arc is weighed exp(-(U + h[s] - h[e])) <= 1: every node's best path weighs 1, nothing underflows
// that matters, and the free energy is h[sink] - log(sum).
#include <algorithm>
#include <vector>

#include "vector.h"

namespace {

using Base = Vector<float>;
using V = Base::V;
using I = Base::I;
constexpr int W = Base::W;
constexpr float INF = Base::INF;

// energies (arcs, S) with slack behind them; line n owns arcs ptr[n] to ptr[n + 1], which join nodes start -> end
// of 0 .. nodes[n] - 1, and the string letters[spelled[n]] to letters[spelled[n + 1]].
struct Lines {
  const float* energies;
  const int64_t *ptr, *nodes;
  const int32_t *start, *end;
  int64_t count, states;
  const int64_t* spelled;
  const int32_t* letters;

  const float* row(int64_t arc) const { return energies + arc * states; }
};

int64_t most(const Lines& lines, const int64_t* ptr) {
  int64_t longest = 0;
  for (int64_t n = 0; n < lines.count; n++) longest = std::max(longest, ptr[n + 1] - ptr[n]);
  return longest;
}

int32_t first_minimum(const float* row, int64_t states) { return int32_t(std::min_element(row, row + states) - row); }

// Vector r of a row of `states` entries.
void put(float* row, int64_t states, V v, int r) {
  int64_t left = states - r * W;
  if (left >= W)
    Base::store(row + r * W, v);
  else if (left > 0)
    Base::store_first(row + r * W, v, left);
}

// R vectors hold an arc's row.
template <int R> struct Free {
  const Lines& lines;
  V padding[R];  // +inf from S on
  std::vector<float> least, total, node, behind, ahead;
  std::vector<V> shares;
  std::vector<int32_t> back;

  explicit Free(const Lines& l) : lines(l) {
    for (int r = 0; r < R; r++)
      padding[r] = Base::lane_numbers() < int32_t(l.states - r * W) ? V{} : Base::splat(INF);
    int64_t arcs = round_up(most(l, l.ptr), W), nodes = *std::max_element(l.nodes, l.nodes + l.count);
    for (auto* v : {&least, &total}) v->resize(arcs + W);
    for (auto* v : {&node, &behind, &ahead}) v->resize(nodes);
    shares.resize(arcs * R);
    back.resize(nodes);
  }
  V part(int64_t arc, int r) const { return Base::load(lines.row(arc) + r * W) + padding[r]; }

  // least[a - first] = min_k U[a, k], sixteen arcs at a time.
  void minima(int64_t first, int64_t last) {
    auto fold = [](V x, V y) { return Base::min(x, y); };
    for (int64_t a = first; a < last; a += W) {
      V low[W];
#pragma GCC unroll 16
      for (int w = 0; w < W; w++) {
        int64_t arc = std::min(a + w, last - 1);
        low[w] = part(arc, 0);
        for (int r = 1; r < R; r++) low[w] = Base::min(low[w], part(arc, r));
      }
      Base::store(&least[a - first], Base::fold_rows(low, fold));
    }
  }

  // Fills `node` with h and `back` with the arc that leads there; returns h of the last node.
  float forward(int64_t n) {
    int64_t first = lines.ptr[n], last = lines.ptr[n + 1];
    minima(first, last);
    std::fill_n(node.begin(), lines.nodes[n], INF);
    node[0] = 0;
    for (int64_t a = first; a < last; a++) {
      float value = node[lines.start[a]] + least[a - first], &at = node[lines.end[a]];
      int32_t& by = back[lines.end[a]];
      bool better = value < at;
      by = better ? int32_t(a) : by;
      at = better ? value : at;
    }
    return node[lines.nodes[n] - 1];
  }

  float best(int64_t n, int32_t* labels) {
    float value = forward(n);
    for (int64_t at = lines.nodes[n] - 1; at > 0 && value < INF; at = lines.start[back[at]])
      labels[back[at]] = first_minimum(lines.row(back[at]), lines.states);
    return value;
  }

  double sum(int64_t n, float* posteriors) {
    int64_t first = lines.ptr[n], last = lines.ptr[n + 1], sink = lines.nodes[n] - 1, S = lines.states;
    float shift = forward(n);
    auto fold = [](V x, V y) { return x + y; };
    for (int64_t a = first; a < last; a += W) {  // shares = exp(least - U), total = their sums
      V sums[W];
      for (int w = 0; w < W; w++) {
        int64_t arc = std::min(a + w, last - 1);
        sums[w] = V{};
        for (int r = 0; r < R; r++) {
          V e = Base::exp(least[arc - first] - part(arc, r));
          sums[w] += e;
          shares[(arc - first) * R + r] = e;
        }
      }
      Base::store(&total[a - first], Base::fold_rows(sums, fold));
    }
    for (int64_t a = first; a < last; a++) {  // from here on `least` is the arc's weight beside `total`
      float after = node[lines.end[a]];
      least[a - first] = (after < INF ? after : 0) - node[lines.start[a]] - least[a - first];
    }
    for (int64_t x = 0; x < last - first; x += W) Base::store(&least[x], Base::exp(Base::load(&least[x])));
    std::fill_n(behind.begin(), sink + 1, 0.f);
    std::fill_n(ahead.begin(), sink + 1, 0.f);
    behind[0] = ahead[sink] = 1;
    for (int64_t a = first; a < last; a++)
      behind[lines.end[a]] += behind[lines.start[a]] * (least[a - first] * total[a - first]);
    for (int64_t a = last - 1; a >= first; a--)
      ahead[lines.start[a]] += ahead[lines.end[a]] * (least[a - first] * total[a - first]);
    float norm = 1 / behind[sink];
    for (int64_t a = first; a < last; a++) {
      float weight = behind[lines.start[a]] * ahead[lines.end[a]] * norm * least[a - first];
      for (int r = 0; r < R; r++) put(posteriors + a * S, S, shares[(a - first) * R + r] * weight, r);
    }
    return shift - std::log(double(behind[sink]));
  }
};

// Nodes times places in the string; P vectors hold the places 0 .. length of a node.
template <int R> struct Spelling {
  const Lines& lines;
  int64_t parts;
  std::vector<V> node, behind, ahead, weight;
  std::vector<I> back, letter;
  std::vector<V> spot;  // R vectors per place: 1 at its letter

  explicit Spelling(const Lines& l) : lines(l), parts(round_up(most(l, l.spelled) + 1, W) / W) {
    int64_t nodes = *std::max_element(l.nodes, l.nodes + l.count);
    for (auto* v : {&node, &behind, &ahead}) v->resize(nodes * parts);
    weight.resize(most(l, l.ptr) * parts);
    back.resize(nodes * parts);
    letter.resize(parts);
    spot.resize(parts * W * R);
  }

  // v[q - 1] in place q of part p of the row.
  template <class X> static X shifted(const X* row, int64_t p, X before) {
    return __builtin_shuffle(p ? row[p - 1] : before, row[p], Base::lane_numbers() + (W - 1));
  }
  V entries(int64_t arc, int64_t p) const { return Base::look_up<R>(lines.row(arc), letter[p]); }

  template <bool BACK> void forward(int64_t n) {
    const int32_t* string = lines.letters + lines.spelled[n];
    int64_t length = lines.spelled[n + 1] - lines.spelled[n];
    for (int64_t q = 0; q < parts * W; q++) letter[q / W][q % W] = q && q <= length ? string[q - 1] : 0;
    std::fill_n(node.begin(), lines.nodes[n] * parts, Base::splat(INF));
    node[0][0] = 0;
    for (int64_t a = lines.ptr[n]; a < lines.ptr[n + 1]; a++)
      for (int64_t p = 0; p < parts; p++) {
        V value = shifted(&node[lines.start[a] * parts], p, Base::splat(INF)) + entries(a, p);
        V& at = node[lines.end[a] * parts + p];
        I& by = back[lines.end[a] * parts + p];
        if (BACK) by = value < at ? Base::splat_int(int32_t(a)) : by;
        at = Base::min(at, value);
      }
  }

  float best(int64_t n, int32_t* labels) {
    forward<true>(n);
    int64_t at = lines.nodes[n] - 1, place = lines.spelled[n + 1] - lines.spelled[n];
    float value = node[at * parts + place / W][place % W];
    for (; place > 0 && value < INF; place--) {
      int32_t arc = back[at * parts + place / W][place % W];
      labels[arc] = lines.letters[lines.spelled[n] + place - 1];
      at = lines.start[arc];
    }
    return value;
  }

  double sum(int64_t n, float* posteriors) {
    forward<false>(n);
    int64_t first = lines.ptr[n], last = lines.ptr[n + 1], sink = lines.nodes[n] - 1;
    int64_t length = lines.spelled[n + 1] - lines.spelled[n];
    float shift = node[sink * parts + length / W][length % W];
    std::fill(spot.begin(), spot.end(), V{});
    for (int64_t q = 1; q <= length; q++) {
      int32_t k = letter[q / W][q % W];
      spot[q * R + k / W][k % W] = 1;
    }
    std::fill_n(behind.begin(), (sink + 1) * parts, V{});
    std::fill_n(ahead.begin(), (sink + 1) * parts, V{});
    behind[0][0] = 1;
    ahead[sink * parts + length / W][length % W] = 1;
    for (int64_t a = first; a < last; a++)
      for (int64_t p = 0; p < parts; p++) {
        V before = shifted(&node[lines.start[a] * parts], p, Base::splat(INF)), after = node[lines.end[a] * parts + p];
        V w = Base::exp((after < INF ? after : V{}) - before - entries(a, p));
        weight[(a - first) * parts + p] = w;
        behind[lines.end[a] * parts + p] += shifted(&behind[lines.start[a] * parts], p, V{}) * w;
      }
    float sum = behind[sink * parts + length / W][length % W], norm = 1 / sum;
    for (int64_t a = last - 1; a >= first; a--) {
      V row[R] = {}, *before = &ahead[lines.start[a] * parts];
      for (int64_t p = 0; p < parts; p++) {
        V way = weight[(a - first) * parts + p] * ahead[lines.end[a] * parts + p];
        V share = shifted(&behind[lines.start[a] * parts], p, V{}) * way * norm;
        V next = p + 1 < parts ? weight[(a - first) * parts + p + 1] * ahead[lines.end[a] * parts + p + 1] : V{};
        before[p] += __builtin_shuffle(way, next, Base::lane_numbers() + 1);
        for (int64_t q = 0; q < W && p * W + q <= length; q++)
          for (int r = 0; r < R; r++)
            row[r] += spot[(p * W + q) * R + r] * __builtin_shuffle(share, Base::splat_int(int32_t(q)));
      }
      for (int r = 0; r < R; r++) put(posteriors + a * lines.states, lines.states, row[r], r);
    }
    return shift - std::log(double(sum));
  }
};

template <template <int> class Kind, class Use> void each(const Lines& lines, const Use& use) {
  auto run = [&](auto kind) {
    for (int64_t n = 0; n < lines.count; n++) use(kind, n);
  };
  if (lines.states <= W) return run(Kind<1>(lines));
  if (lines.states <= 2 * W) return run(Kind<2>(lines));
  run(Kind<4>(lines));
}

template <template <int> class Kind> void best(const Lines& lines, int32_t* labels, double* least) {
  std::fill_n(labels, lines.ptr[lines.count], -1);
  each<Kind>(lines, [&](auto& kind, int64_t n) { least[n] = kind.best(n, labels); });
}

template <template <int> class Kind> void sum(const Lines& lines, float* posteriors, double* free) {
  each<Kind>(lines, [&](auto& kind, int64_t n) { free[n] = kind.sum(n, posteriors); });
}

}  // namespace

#define EXPORT(name, run, Kind, Out)                                                                               \
  extern "C" void name(const float* energies, const int64_t* ptr, const int64_t* nodes, const int32_t* start,      \
                       const int32_t* end, int64_t count, int64_t states, const int64_t* spelled,                  \
                       const int32_t* letters, Out* out, double* energy) {                                         \
    run<Kind>({energies, ptr, nodes, start, end, count, states, spelled, letters}, out, energy);                   \
  }
EXPORT(best_free, best, Free, int32_t)
EXPORT(best_spelling, best, Spelling, int32_t)
EXPORT(sum_free, sum, Free, float)
EXPORT(sum_spelling, sum, Spelling, float)
