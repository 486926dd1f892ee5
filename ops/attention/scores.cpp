#include "ops/attention/scores.h"

#include "runtime/op/parallel.h"
#include "runtime/op/scratch.h"

namespace tessera {

template <class T>
void write_scores(const AttentionGeometry& g, AttentionView<const T> q, AttentionView<const T> k,
                  const AttentionMask<T>& m, std::int64_t mode, T* scores) {
  using C = Compute<T>;
  const auto& s = g.shape;
  const std::int64_t group = s.group();
  const auto place = [](const std::array<std::int64_t, 4>& strides, std::int64_t b, std::int64_t h, std::int64_t i,
                        std::int64_t j) { return b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]; };
  run_parallel(s.batch * s.q_heads * s.q_len, 16, [&](std::int64_t begin, std::int64_t end) {
    const Scratch<C> row(s.kv_len);
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t i = r % s.q_len, h = r / s.q_len % s.q_heads, b = r / s.q_len / s.q_heads;
      const std::int64_t limit = m.causal_limit(b, i, m.kv_lengths ? m.kv_lengths[b] : s.kv_len);
      C top = -INFINITY, sum = 0;
      for (std::int64_t j = 0; j < s.kv_len; ++j) {
        C x = 0;
        const T *a = q.row(b, h, i), *c = k.row(b, h / group, j);
        for (std::int64_t d = 0; d < s.qk_dim; ++d) x += static_cast<C>(a[d]) * static_cast<C>(c[d]);
        x *= static_cast<C>(g.scale);
        if (mode != 0 && g.softcap > 0) x = static_cast<C>(g.softcap) * std::tanh(x / static_cast<C>(g.softcap));
        if (mode >= 2) {
          const bool hidden = j >= limit || (m.keep && !m.keep[place(m.keep_strides, b, h, i, j)]);
          if (hidden)
            x = -INFINITY;
          else if (m.bias)
            x += static_cast<C>(m.bias[place(m.bias_strides, b, h, i, j)]);
        }
        row[j] = x;
        if (x > top || std::isnan(x)) top = x;
      }
      for (std::int64_t j = 0; mode == 3 && j < s.kv_len; ++j)
        sum += row[j] = top == -INFINITY ? 0 : std::exp(row[j] - top);
      for (std::int64_t j = 0; j < s.kv_len; ++j)
        scores[r * s.kv_len + j] = static_cast<T>(mode == 3 && sum != 0 ? row[j] / sum : row[j]);
    }
  });
}

template void write_scores(const AttentionGeometry&, AttentionView<const float>, AttentionView<const float>,
                           const AttentionMask<float>&, std::int64_t, float*);
template void write_scores(const AttentionGeometry&, AttentionView<const double>, AttentionView<const double>,
                           const AttentionMask<double>&, std::int64_t, double*);
template void write_scores(const AttentionGeometry&, AttentionView<const f16>, AttentionView<const f16>,
                           const AttentionMask<f16>&, std::int64_t, f16*);
template void write_scores(const AttentionGeometry&, AttentionView<const bf16>, AttentionView<const bf16>,
                           const AttentionMask<bf16>&, std::int64_t, bf16*);

}  // namespace tessera
