#include "tests/support/attention_case.h"

#include <algorithm>
#include <cmath>
#include <ostream>
#include <random>

namespace tessera {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Strides over [B, Hq, Lq, Lk] of a mask; its memory always has room for the full size.
std::array<std::int64_t, 4> strides(Over over, const AttentionShape& s) {
  const std::int64_t keys = s.kv_len, square = s.q_len * keys, heads = s.q_heads * square;
  switch (over) {
    case Over::nothing:
      return {};
    case Over::everything:
      return {heads, square, keys, 1};
    case Over::queries_keys:
      return {0, 0, keys, 1};
    case Over::batch_keys:
      return {keys, 0, 0, 1};
    case Over::heads_queries_keys:
      return {0, square, keys, 1};
    case Over::batch_heads_queries:
      return {s.q_heads * s.q_len, s.q_len, 1, 0};
    case Over::transposed:
      return {heads, square, 1, s.q_len};
  }
  return {};
}

class Random {
 public:
  // Near-normal multiples of 1/32 within 127/32: exact in bf16, f16, f32 and f64.
  double number() {
    const double x = std::clamp(std::round(normal_(engine_) * 32), -127.0, 127.0);
    return x / 32;
  }
  bool one_in(unsigned n) { return engine_() % n == 0; }
  std::vector<double> numbers(std::int64_t n, double factor = 1) {
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& x : v) x = factor * number();
    return v;
  }

 private:
  std::mt19937 engine_{7};
  std::normal_distribution<double> normal_;
};

std::vector<double> bias_numbers(Random& random, BiasValues values, std::int64_t n) {
  if (values == BiasValues::all_giant) return std::vector<double>(static_cast<std::size_t>(n), -1e9);
  if (values == BiasValues::all_lowest)
    return std::vector<double>(static_cast<std::size_t>(n), std::numeric_limits<float>::lowest());
  auto v = random.numbers(n);
  for (double& x : v)
    if (values != BiasValues::normal && random.one_in(3)) x = values == BiasValues::hiding ? -infinity : -1e9;
  return v;
}

std::vector<std::uint8_t> keep_flags(Random& random, KeepValues values, std::int64_t n, std::int64_t keys) {
  std::vector<std::uint8_t> v(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t j = i % keys;
    const bool kept = values == KeepValues::random   ? random.one_in(2)
                      : values == KeepValues::runs   ? i / 64 % 3 == 0
                      : values == KeepValues::middle ? j > keys / 3 && j < keys * 2 / 3
                                                     : false;
    v[static_cast<std::size_t>(i)] = kept ? 1 : 0;
  }
  return v;
}

template <class F>
void for_each_score(const AttentionShape& s, F f) {
  std::size_t at = 0;
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t h = 0; h < s.q_heads; ++h)
      for (std::int64_t i = 0; i < s.q_len; ++i)
        for (std::int64_t j = 0; j < s.kv_len; ++j) f(at++, b, h, i, j);
}

std::size_t place(const std::array<std::int64_t, 4>& strides, std::int64_t b, std::int64_t h, std::int64_t i,
                  std::int64_t j) {
  return static_cast<std::size_t>(b * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]);
}

}  // namespace

AttentionData::AttentionData(const AttentionCase& given, bool gradients) : c(given) {
  Random random;
  const auto& s = reference.shape = c.shape;
  const std::int64_t rows = s.batch * s.q_heads * s.q_len, keys = s.batch * s.kv_heads * s.kv_len,
                     square = rows * s.kv_len;
  reference.scale = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(s.qk_dim, 1)));
  reference.softcap = c.softcap;
  reference.f32_scores = c.f32_scores;
  reference.q = random.numbers(rows * s.qk_dim, c.amplitude);
  reference.k = random.numbers(keys * s.qk_dim, c.amplitude);
  reference.v = random.numbers(keys * s.v_dim);
  if (c.bias != Over::nothing) bias = bias_numbers(random, c.bias_values, square);
  if (c.keep != Over::nothing) keep = keep_flags(random, c.keep_values, square, s.kv_len);
  bias_strides = strides(c.bias, s), keep_strides = strides(c.keep, s);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    offsets.push_back(c.offset + b);
    lengths.push_back(std::max<std::int64_t>(0, s.kv_len - 1 - b * (s.kv_len / 2 + 1)));
  }
  reference.bias.assign(static_cast<std::size_t>(square), 0);
  for_each_score(s, [&](std::size_t at, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    if (c.bias != Over::nothing) reference.bias[at] = bias[place(bias_strides, b, h, i, j)];
    const bool kept = c.keep == Over::nothing || keep[place(keep_strides, b, h, i, j)] != 0;
    const bool past = !c.causal || j <= i + offsets[static_cast<std::size_t>(b)];
    const bool valid = !c.lengths || j < lengths[static_cast<std::size_t>(b)];
    if (!kept || !past || !valid) reference.bias[at] = -infinity;
  });
  if (gradients) {
    reference.dy = random.numbers(rows * s.v_dim);
    reference.dlse = random.numbers(rows);
  }
  reference.forward();
  if (gradients) reference.backward();
}

std::vector<double> AttentionData::dbias() const {
  std::vector<double> sum(bias.size());
  if (sum.empty()) return sum;
  for_each_score(c.shape, [&](std::size_t at, std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) {
    sum[place(bias_strides, b, h, i, j)] += reference.dbias[at];
  });
  return sum;
}

bool AttentionData::reachable(std::int64_t batch, std::int64_t j) const {
  const auto b = static_cast<std::size_t>(batch);
  return (!c.lengths || j < lengths[b]) && (!c.causal || j <= c.shape.q_len - 1 + offsets[b]);
}

double largest_error(const std::vector<double>& got, const std::vector<double>& expected, double least) {
  if (got.size() != expected.size()) return infinity;
  double worst = 0, top = least;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isinf(expected[i]) && got[i] == expected[i]) continue;
    if (!std::isfinite(got[i]) || !std::isfinite(expected[i])) return infinity;
    worst = std::max(worst, std::abs(got[i] - expected[i]));
    top = std::max(top, std::abs(expected[i]));
  }
  return worst / top;
}

std::ostream& operator<<(std::ostream& out, const AttentionCase& c) {
  const auto& s = c.shape;
  return out << "batch " << s.batch << ", heads " << s.q_heads << "/" << s.kv_heads << ", length " << s.q_len << "/"
             << s.kv_len << ", dim " << s.qk_dim << "/" << s.v_dim << (c.rows_first ? ", [B,L,H,D]" : "")
             << ", amplitude " << c.amplitude << ", bias " << static_cast<int>(c.bias) << " of "
             << static_cast<int>(c.bias_values) << ", keep " << static_cast<int>(c.keep) << " of "
             << static_cast<int>(c.keep_values) << (c.causal ? ", causal" : "") << ", offset " << c.offset
             << (c.lengths ? ", lengths" : "") << ", softcap " << c.softcap;
}

}  // namespace tessera
