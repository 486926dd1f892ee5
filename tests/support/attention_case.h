#pragma once
// One call of the attention kernels for tests: sizes, layout and masks in words, random operands that every element
// type represents exactly (so one reference serves f32, f64, f16 and bf16), and NaN in every row of K and V that no
// query may see.
#include <cstring>
#include <limits>
#include <string>

#include "tests/support/attention_reference.h"

namespace tessera {

// Which axes of [B, Hq, Lq, Lk] a mask varies over. `transposed` lies in memory as [B, Hq, Lk, Lq].
enum class Over { nothing, everything, queries_keys, batch_keys, heads_queries_keys, batch_heads_queries, transposed };
// What a bias holds: normal numbers; a third of them replaced by -inf or by -1e9; or one number everywhere.
enum class BiasValues { normal, hiding, giant, all_giant, all_lowest };
// What a keep mask holds: half the keys at random, every third run of 64, none, the middle third of every row.
enum class KeepValues { random, runs, none, middle };

struct AttentionCase {
  AttentionShape shape{};
  bool rows_first = false;  // [B, L, H, D] in memory instead of [B, H, L, D]
  double amplitude = 1;     // of q and k; a power of two
  Over bias = Over::nothing;
  BiasValues bias_values = BiasValues::normal;
  Over keep = Over::nothing;
  KeepValues keep_values = KeepValues::random;
  bool causal = false;
  std::int64_t offset = 0;  // causal offset of batch entry 0; one more for each next entry
  bool lengths = false;     // kv_lengths: kv_len - 1, then about half as many for each next entry
  double softcap = 0;
  bool f32_scores = false;  // see AttentionReference
};
std::ostream& operator<<(std::ostream& out, const AttentionCase& c);

// A case with its numbers, and the reference's results for them.
struct AttentionData {
  explicit AttentionData(const AttentionCase& c, bool gradients = false);
  AttentionCase c;
  AttentionReference reference;
  std::vector<double> bias;  // as it lies in memory, with these strides
  std::vector<std::uint8_t> keep;
  std::array<std::int64_t, 4> bias_strides{}, keep_strides{};
  std::vector<std::int64_t> offsets, lengths;
  std::vector<double> dbias() const;  // the reference's, summed onto the bias where it is broadcast
  // Whether some query of the batch entry may see key j, keep and bias apart.
  bool reachable(std::int64_t batch, std::int64_t j) const;
};

// The operands of a case in type T and in the layout asked for, the kernel's results beside them.
template <class T>
struct AttentionOperands {
  using C = Compute<T>;
  const AttentionData& data;
  std::vector<T> q, k, v, y, dy, bias, dq, dk, dv;
  std::vector<C> lse, dlse, dbias;

  explicit AttentionOperands(const AttentionData& d) : data(d) {
    const auto& s = d.c.shape;
    q = laid_out(d.reference.q, s.q_heads, s.q_len, s.qk_dim, false);
    k = laid_out(d.reference.k, s.kv_heads, s.kv_len, s.qk_dim, true);
    v = laid_out(d.reference.v, s.kv_heads, s.kv_len, s.v_dim, true);
    dy = laid_out(d.reference.dy, s.q_heads, s.q_len, s.v_dim, false);
    y.assign(d.reference.y.size(), number(99));
    dq.assign(q.size(), number(99)), dk.assign(k.size(), number(99)), dv.assign(v.size(), number(99));
    lse.assign(d.reference.lse.size(), C(99));
    for (const double x : d.bias) bias.push_back(number(x));
    for (const double x : d.reference.dlse) dlse.push_back(static_cast<C>(x));
  }

  void forward() {
    const auto& s = data.c.shape;
    attention_forward<T>(s, in(q, s.q_heads, s.q_len, s.qk_dim), in(k, s.kv_heads, s.kv_len, s.qk_dim),
                         in(v, s.kv_heads, s.kv_len, s.v_dim), mask(), data.reference.scale, data.c.softcap,
                         view(y.data(), s.q_heads, s.q_len, s.v_dim), lse.data());
  }
  void backward() {
    const auto& s = data.c.shape;
    dbias.assign(bias.size(), C(0));
    const AttentionGradients<T> gradients{
        view(dq.data(), s.q_heads, s.q_len, s.qk_dim), view(dk.data(), s.kv_heads, s.kv_len, s.qk_dim),
        view(dv.data(), s.kv_heads, s.kv_len, s.v_dim), data.c.bias == Over::nothing ? nullptr : dbias.data()};
    attention_backward<T>(s, in(q, s.q_heads, s.q_len, s.qk_dim), in(k, s.kv_heads, s.kv_len, s.qk_dim),
                          in(v, s.kv_heads, s.kv_len, s.v_dim), mask(), data.reference.scale, data.c.softcap,
                          in(y, s.q_heads, s.q_len, s.v_dim), lse.data(), in(dy, s.q_heads, s.q_len, s.v_dim),
                          gradients, dlse.empty() ? nullptr : dlse.data());
  }
  // A result in the reference's order, [B, H, L, D].
  std::vector<double> plain(const std::vector<T>& x, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    std::vector<double> out;
    const auto from = view(x.data(), heads, length, dim);
    for_each_row(heads, length, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
      for (std::int64_t c = 0; c < dim; ++c) out.push_back(static_cast<double>(static_cast<C>(from.row(b, h, i)[c])));
    });
    return out;
  }

 private:
  static T number(double x) { return static_cast<T>(static_cast<C>(x)); }
  template <class U>
  AttentionView<U> view(U* p, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    if (data.c.rows_first) return {p, heads * length * dim, dim, heads * dim};
    return {p, heads * length * dim, length * dim, dim};
  }
  AttentionView<const T> in(const std::vector<T>& x, std::int64_t heads, std::int64_t length, std::int64_t dim) const {
    return view(x.data(), heads, length, dim);
  }
  template <class F>
  void for_each_row(std::int64_t heads, std::int64_t length, F f) const {
    for (std::int64_t b = 0; b < data.c.shape.batch; ++b)
      for (std::int64_t h = 0; h < heads; ++h)
        for (std::int64_t i = 0; i < length; ++i) f(b, h, i);
  }
  std::vector<T> laid_out(const std::vector<double>& x, std::int64_t heads, std::int64_t length, std::int64_t dim,
                          bool keys) const {
    std::vector<T> out(x.size());
    const auto to = view(out.data(), heads, length, dim);
    const double* next = x.data();
    for_each_row(heads, length, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
      const bool poisoned = keys && !data.reachable(b, i);
      for (std::int64_t c = 0; !x.empty() && c < dim; ++c, ++next)
        to.row(b, h, i)[c] = number(poisoned ? std::numeric_limits<double>::quiet_NaN() : *next);
    });
    return out;
  }
  AttentionMask<T> mask() const {
    AttentionMask<T> m;
    if (data.c.bias != Over::nothing) m.bias = bias.data(), m.bias_strides = data.bias_strides;
    if (data.c.keep != Over::nothing) m.keep = data.keep.data(), m.keep_strides = data.keep_strides;
    m.causal = data.c.causal;
    if (data.c.causal) m.causal_offset = data.offsets.data();
    if (data.c.lengths) m.kv_lengths = data.lengths.data();
    return m;
  }
};

// Largest difference, relative to the largest expected value, or to `least` where all are smaller. Infinities must be
// equal; anything else that is not finite gives infinity.
double largest_error(const std::vector<double>& got, const std::vector<double>& expected, double least = 1e-3);

}  // namespace tessera
