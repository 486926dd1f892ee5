#include "ops/attention/hidden_keys.h"

#include <algorithm>
#include <limits>

#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {
namespace {

// keep of key 0; keys follow with stride keep_strides[3]. Null: everything is kept.
template <class T>
const std::uint8_t* keep_row(const AttentionMask<T>& m, std::int64_t batch, std::int64_t head, std::int64_t query) {
  if (!m.keep) return nullptr;
  return m.keep + batch * m.keep_strides[0] + head * m.keep_strides[1] + query * m.keep_strides[2];
}

// (batch, head, query) of rows [begin, end) of [batch, q_heads, q_len].
template <class F>
void for_each_row(const AttentionShape& s, F f) {
  run_parallel(s.batch * s.q_heads * s.q_len, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) f(r / s.q_len / s.q_heads, r / s.q_len % s.q_heads, r % s.q_len, r);
  });
}

}  // namespace

// e^-104 is 0 in f32, e^-746 in f64: below, the softmax of the graph as it was written gave 0 as well.
template <class T>
bool HiddenKeys<T>::shows(C lse) const {
  const C least = std::is_same_v<C, double> ? C(-746) : C(-104);
  return static_cast<C>(g_.hidden_score) - lse >= least;  // false for NaN
}

template <class T>
template <class F>
void HiddenKeys<T>::for_each_hidden(std::int64_t batch, std::int64_t head, std::int64_t query, F f) const {
  const std::int64_t keys = valid(batch), limit = mask_.causal_limit(batch, query, keys);
  if (const std::uint8_t* keep = keep_row(mask_, batch, head, query))
    for (std::int64_t j = 0; j < limit; ++j)
      if (!keep[j * mask_.keep_strides[3]]) f(j);
  for (std::int64_t j = limit; j < keys; ++j) f(j);
}

template <class T>
std::int64_t HiddenKeys<T>::hidden_keys(std::int64_t batch, std::int64_t head, std::int64_t query) const {
  std::int64_t n = 0;
  for_each_hidden(batch, head, query, [&](std::int64_t) { ++n; });
  return n;
}

// From the greater of both scores: near -1e38, where a score has no digits left, the weights still have.
template <class T>
typename HiddenKeys<T>::Weights HiddenKeys<T>::weights(C lse, std::int64_t hidden) const {
  const C score = static_cast<C>(g_.hidden_score), top = std::max(lse, score);
  const C seen = std::exp(lse - top), each = std::exp(score - top), sum = seen + static_cast<C>(hidden) * each;
  return {seen / sum, each / sum};
}

template <class T>
void HiddenKeys<T>::add_score(AttentionView<const T> v, AttentionView<T> y, const C* lse) const {
  const auto& s = g_.shape;
  for_each_row(s, [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t r) {
    if (!shows(lse[r])) return;
    const Scratch<C> sum(s.v_dim);
    std::fill_n(sum.data(), s.v_dim, C(0));
    std::int64_t hidden = 0;
    for_each_hidden(b, h, i, [&](std::int64_t j) {
      const T* row = v.row(b, h / s.group(), j);
      for (std::int64_t d = 0; d < s.v_dim; ++d) sum[d] += static_cast<C>(row[d]);
      ++hidden;
    });
    if (hidden == 0) return;
    const Weights w = weights(lse[r], hidden);
    T* to = y.row(b, h, i);
    for (std::int64_t d = 0; d < s.v_dim; ++d)
      to[d] = static_cast<T>(w.visible * static_cast<C>(to[d]) + w.hidden * sum[d]);
  });
}

// Scores of visible keys see dy times the share of visible keys: p = share * softmax(visible).
template <class T>
AttentionView<const T> HiddenKeys<T>::visible_gradient(const C* lse, AttentionView<const T> dy, Tensor& copy) const {
  const auto& s = g_.shape;
  const std::int64_t rows = s.batch * s.q_heads * s.q_len;
  if (!has_score() || std::none_of(lse, lse + rows, [&](C x) { return shows(x); })) return dy;
  copy = Tensor(dtype_of<T>, {s.batch, s.q_heads, s.q_len, s.v_dim});
  T* const to = copy.write<T>().data();
  for_each_row(s, [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t r) {
    const std::int64_t hidden = shows(lse[r]) ? hidden_keys(b, h, i) : 0;
    const C share = hidden > 0 ? weights(lse[r], hidden).visible : C(1);
    std::transform(dy.row(b, h, i), dy.row(b, h, i) + s.v_dim, to + r * s.v_dim,
                   [&](T x) { return static_cast<T>(share * static_cast<C>(x)); });
  });
  return attention_view<const T>(copy, onnx_view(copy.shape(), 0, "dY", ""));
}

template <class T>
void HiddenKeys<T>::mark_rows(AttentionView<T> y, const C* lse) const {
  const bool nan = g_.undefined_rows == UndefinedRows::nan;
  if (nan && g_.shape.kv_len == 0) return;  // a product over no keys at all: zeros
  const T mark = static_cast<T>(nan ? std::numeric_limits<C>::quiet_NaN() : C(0));
  for_each_row(g_.shape, [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t r) {
    if (nan ? lse[r] == -std::numeric_limits<C>::infinity() : std::isnan(lse[r]))
      std::fill_n(y.row(b, h, i), g_.shape.v_dim, mark);
  });
}

template <class T>
bool HiddenKeys<T>::hides(std::int64_t batch, std::int64_t head, std::int64_t query, std::int64_t key) const {
  if (key >= mask_.causal_limit(batch, query, valid(batch))) return true;
  const std::uint8_t* keep = keep_row(mask_, batch, head, query);
  if (keep && !keep[key * mask_.keep_strides[3]]) return true;
  const auto& step = mask_.bias_strides;
  return mask_.bias && static_cast<C>(mask_.bias[batch * step[0] + head * step[1] + query * step[2] + key * step[3]]) ==
                           -std::numeric_limits<C>::infinity();
}

// Adds 0 * v_j of hidden keys j: nothing but for NaN and infinities, so only keys that have some are looked at. Where
// hidden keys weigh more than 0 they are in y already.
template <class T>
void HiddenKeys<T>::multiply(AttentionView<const T> v, AttentionView<T> y, const C* lse) const {
  const auto& s = g_.shape;
  const std::int64_t heads = s.group();
  run_parallel(s.batch * s.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<std::int64_t> poisoned(s.kv_len);
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t b = t / s.kv_heads, head = t % s.kv_heads;
      std::int64_t count = 0;
      for (std::int64_t j = 0; j < s.kv_len; ++j) {
        const T* row = v.row(b, head, j);
        C sum = 0;
        for (std::int64_t d = 0; d < s.v_dim; ++d) sum += C(0) * static_cast<C>(row[d]);
        if (sum != C(0)) poisoned[count++] = j;
      }
      for (std::int64_t row = 0; count > 0 && row < heads * s.q_len; ++row) {
        const std::int64_t h = head * heads + row / s.q_len, i = row % s.q_len;
        if (has_score() && shows(lse[(b * s.q_heads + h) * s.q_len + i])) continue;
        T* to = y.row(b, h, i);
        for (const std::int64_t j : poisoned.span().first(static_cast<std::size_t>(count))) {
          if (!hides(b, h, i, j)) continue;
          const T* from = v.row(b, head, j);
          for (std::int64_t d = 0; d < s.v_dim; ++d)
            to[d] = static_cast<T>(static_cast<C>(to[d]) + C(0) * static_cast<C>(from[d]));
        }
      }
    }
  });
}

template <class T>
void HiddenKeys<T>::finish(AttentionView<const T> v, AttentionView<T> y, const C* lse) const {
  if (g_.undefined_rows == UndefinedRows::guarded) mark_rows(y, lse);
  if (has_score()) add_score(v, y, lse);
  if (g_.undefined_rows == UndefinedRows::nan) mark_rows(y, lse);
  if (g_.multiply_hidden && hides_any()) multiply(v, y, lse);
}

// Hidden keys take part in the sum of the softmax, but their scores are constants: they have a dv, but no dq and dk.
template <class T>
void HiddenKeys<T>::add_gradients(const C* lse, AttentionView<const T> dy, AttentionView<T> dv) const {
  if (!has_score()) return;
  const auto& s = g_.shape;
  const std::int64_t heads = s.group();
  run_parallel(s.batch * s.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<C> sum(s.kv_len * s.v_dim);
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t b = t / s.kv_heads, head = t % s.kv_heads;
      bool any = false;
      for (std::int64_t row = 0; row < heads * s.q_len; ++row) {
        const std::int64_t h = head * heads + row / s.q_len, i = row % s.q_len;
        const C seen = lse[(b * s.q_heads + h) * s.q_len + i];
        if (!shows(seen)) continue;
        if (!any) std::fill_n(sum.data(), s.kv_len * s.v_dim, C(0));
        any = true;
        const C weight = weights(seen, hidden_keys(b, h, i)).hidden;
        const T* from = dy.row(b, h, i);
        for_each_hidden(b, h, i, [&](std::int64_t j) {
          for (std::int64_t d = 0; d < s.v_dim; ++d) sum[j * s.v_dim + d] += weight * static_cast<C>(from[d]);
        });
      }
      for (std::int64_t j = 0; any && j < s.kv_len; ++j) {
        T* to = dv.row(b, head, j);
        for (std::int64_t d = 0; d < s.v_dim; ++d) to[d] = static_cast<T>(static_cast<C>(to[d]) + sum[j * s.v_dim + d]);
      }
    }
  });
}

template <class T>
void write_density(const AttentionShape& s, const AttentionMask<T>& mask, float* density) {
  run_parallel(s.batch * s.q_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t b = t / s.q_heads, keys = mask.kv_lengths ? mask.kv_lengths[b] : s.kv_len;
      std::int64_t seen = 0;
      for (std::int64_t i = 0; i < s.q_len; ++i) {
        const std::int64_t limit = mask.causal_limit(b, i, keys);
        const std::uint8_t* keep = keep_row(mask, b, t % s.q_heads, i);
        if (!keep) seen += limit;
        for (std::int64_t j = 0; keep && j < limit; ++j) seen += keep[j * mask.keep_strides[3]] != 0;
      }
      const std::int64_t all = s.q_len * s.kv_len;
      density[t] = all ? static_cast<float>(static_cast<double>(seen) / static_cast<double>(all)) : 1.0f;
    }
  });
}

template class HiddenKeys<float>;
template class HiddenKeys<double>;
template class HiddenKeys<f16>;
template class HiddenKeys<bf16>;
template void write_density(const AttentionShape&, const AttentionMask<float>&, float*);
template void write_density(const AttentionShape&, const AttentionMask<double>&, float*);
template void write_density(const AttentionShape&, const AttentionMask<f16>&, float*);
template void write_density(const AttentionShape&, const AttentionMask<bf16>&, float*);

}  // namespace tessera
