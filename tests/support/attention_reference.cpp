#include "tests/support/attention_reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tessera {
namespace {

double dot(const double* a, const double* b, std::int64_t n) { return std::inner_product(a, a + n, b, 0.0); }

void add(double* to, double factor, const double* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += factor * x[i];
}

std::vector<double> zeros(std::int64_t n) { return std::vector<double>(static_cast<std::size_t>(n)); }

}  // namespace

std::int64_t AttentionReference::kv_row(std::int64_t row) const {
  const std::int64_t head = row / shape.q_len, group = shape.q_heads / shape.kv_heads;
  return (head / shape.q_heads * shape.kv_heads + head % shape.q_heads / group) * shape.kv_len;
}

void AttentionReference::forward() {
  const auto& s = shape;
  const std::int64_t rows = s.batch * s.q_heads * s.q_len;
  y = zeros(rows * s.v_dim);
  lse.assign(static_cast<std::size_t>(rows), -std::numeric_limits<double>::infinity());
  for (auto& stage : scores) stage = zeros(rows * s.kv_len);
  for (std::int64_t r = 0; r < rows; ++r) {
    const double *query = q.data() + r * s.qk_dim, *added = bias.data() + r * s.kv_len;
    double *raw = scores[0].data() + r * s.kv_len, *capped = scores[1].data() + r * s.kv_len,
           *masked = scores[2].data() + r * s.kv_len, *p = scores[3].data() + r * s.kv_len;
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::int64_t j = 0; j < s.kv_len; ++j) {
      raw[j] = scale * dot(query, k.data() + (kv_row(r) + j) * s.qk_dim, s.qk_dim);
      capped[j] = softcap > 0 ? softcap * std::tanh(raw[j] / softcap) : raw[j];
      masked[j] = capped[j] + added[j];
      if (f32_scores) masked[j] = static_cast<float>(masked[j]);
      top = std::max(top, masked[j]);
    }
    if (std::isinf(top)) continue;
    for (std::int64_t j = 0; j < s.kv_len; ++j) sum += p[j] = std::exp(masked[j] - top);
    lse[static_cast<std::size_t>(r)] = top + std::log(sum);
    for (std::int64_t j = 0; j < s.kv_len; ++j) {
      p[j] /= sum;
      add(y.data() + r * s.v_dim, p[j], v.data() + (kv_row(r) + j) * s.v_dim, s.v_dim);
    }
  }
}

void AttentionReference::backward() {
  const auto& s = shape;
  const std::int64_t rows = s.batch * s.q_heads * s.q_len;
  dq = std::vector<double>(q.size()), dk = std::vector<double>(k.size()), dv = std::vector<double>(v.size());
  dbias = std::vector<double>(bias.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    const double* g = dy.data() + r * s.v_dim;
    const double* p = scores[3].data() + r * s.kv_len;
    const double delta =
        dot(g, y.data() + r * s.v_dim, s.v_dim) - (dlse.empty() ? 0 : dlse[static_cast<std::size_t>(r)]);
    for (std::int64_t j = 0; j < s.kv_len; ++j) {
      const std::int64_t key = kv_row(r) + j;
      add(dv.data() + key * s.v_dim, p[j], g, s.v_dim);
      double ds = p[j] * (dot(g, v.data() + key * s.v_dim, s.v_dim) - delta);
      dbias[static_cast<std::size_t>(r * s.kv_len + j)] = ds;
      if (softcap > 0) {
        const double t = scores[1][static_cast<std::size_t>(r * s.kv_len + j)] / softcap;
        ds *= 1 - t * t;
      }
      add(dq.data() + r * s.qk_dim, ds * scale, k.data() + key * s.qk_dim, s.qk_dim);
      add(dk.data() + key * s.qk_dim, ds * scale, q.data() + r * s.qk_dim, s.qk_dim);
    }
  }
}

}  // namespace tessera
