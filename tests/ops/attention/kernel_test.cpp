// The forward attention kernel against its definition in f64: every type, sizes that fill no tile, every kind of mask.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>

#include "runtime/op/parallel.h"
#include "tests/support/attention_case.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class T>
constexpr double rounding = std::is_same_v<T, float>    ? 3e-6
                            : std::is_same_v<T, double> ? 1e-12
                            : std::is_same_v<T, f16>    ? 1e-3
                                                        : 8e-3;

// Scores grow with the square of the amplitude, and with them the error of an exponential.
double strictness(const AttentionCase& c) { return c.amplitude >= 16 ? 30 : c.amplitude >= 4 ? 4 : 1; }

template <class T>
void expect_reference(const AttentionData& data) {
  const auto& s = data.c.shape;
  AttentionOperands<T> x(data);
  x.forward();
  const double allowed = rounding<T> * strictness(data.c);
  EXPECT_LE(largest_error(x.plain(x.y, s.q_heads, s.q_len, s.v_dim), data.reference.y), allowed) << data.c;
  EXPECT_LE(largest_error({x.lse.begin(), x.lse.end()}, data.reference.lse), allowed) << data.c;
}

void expect_reference(const AttentionCase& c) {
  const AttentionData data(c);
  expect_reference<float>(data);
  expect_reference<double>(data);
  if (c.amplitude >= 4) return;  // scores of 100 are no numbers for 16 bits
  expect_reference<f16>(data);
  expect_reference<bf16>(data);
}

TEST(AttentionKernel, head_sizes) {
  for (const std::int64_t d : {1, 5, 16, 32, 64, 80, 100, 128, 192, 256}) {
    expect_reference({.shape = {1, 1, 1, 35, 67, d, d}});
    expect_reference({.shape = {1, 2, 2, 17, 30, d, 24}, .rows_first = true});
    expect_reference({.shape = {1, 2, 2, 17, 30, 24, d}, .rows_first = true});
  }
}

// Several tiles of queries read each kv head, which may be copied for them.
TEST(AttentionKernel, head_sizes_of_grouped_queries) {
  for (const std::int64_t d : {1, 5, 18, 100}) {
    expect_reference({.shape = {1, 4, 1, 50, 67, d, 21}});
    expect_reference({.shape = {1, 4, 1, 50, 67, 21, d}, .rows_first = true});
  }
}

TEST(AttentionKernel, large_scores) {
  for (const double a : {1.0, 4.0, 16.0}) expect_reference({.shape = {1, 2, 2, 70, 150, 64, 64}, .amplitude = a});
}

TEST(AttentionKernel, lengths_that_fill_no_tile) {
  for (const std::int64_t n : {1, 2, 7, 15, 16, 17, 47, 48, 49, 95, 96, 97, 127, 128, 129, 193}) {
    expect_reference({.shape = {1, 1, 1, n, 33, 16, 16}});
    expect_reference({.shape = {1, 1, 1, 33, n, 16, 20}, .rows_first = true});
    expect_reference({.shape = {1, 1, 1, n, n, 8, 8}, .causal = true});
  }
}

TEST(AttentionKernel, grouped_queries) {
  for (const bool rows_first : {false, true}) {
    expect_reference({.shape = {2, 8, 2, 50, 70, 16, 16}, .rows_first = rows_first});
    expect_reference({.shape = {2, 8, 2, 5, 140, 16, 16}, .rows_first = rows_first, .causal = true, .offset = 135});
    expect_reference({.shape = {2, 6, 1, 30, 200, 16, 8}, .rows_first = rows_first, .causal = true, .offset = 100});
  }
}

TEST(AttentionKernel, causal_offsets) {
  for (const std::int64_t offset : {-200, -5, 3, 100, 1000})
    expect_reference({.shape = {2, 2, 1, 110, 170, 8, 8}, .causal = true, .offset = offset});
}

TEST(AttentionKernel, biases) {
  for (const Over over : {Over::everything, Over::queries_keys, Over::batch_keys, Over::heads_queries_keys,
                          Over::batch_heads_queries, Over::transposed}) {
    for (const auto values : {BiasValues::normal, BiasValues::hiding}) {
      if (over == Over::batch_heads_queries && values == BiasValues::hiding) continue;
      expect_reference({.shape = {2, 4, 2, 60, 140, 8, 8}, .bias = over, .bias_values = values});
    }
    expect_reference({.shape = {2, 4, 2, 9, 140, 8, 8}, .bias = over, .causal = true, .offset = 130});
  }
}

TEST(AttentionKernel, rows_hidden_by_a_bias_give_zeros) {
  expect_reference(
      {.shape = {2, 4, 2, 30, 70, 8, 8}, .bias = Over::batch_heads_queries, .bias_values = BiasValues::hiding});
}

TEST(AttentionKernel, keep_masks) {
  for (const Over over : {Over::everything, Over::queries_keys, Over::batch_keys, Over::heads_queries_keys,
                          Over::batch_heads_queries, Over::transposed}) {
    expect_reference({.shape = {2, 4, 2, 60, 140, 8, 8}, .keep = over});
    expect_reference({.shape = {2, 4, 2, 9, 140, 8, 8}, .keep = over, .keep_values = KeepValues::middle});
    expect_reference({.shape = {2, 2, 2, 100, 200, 8, 8}, .keep = over, .keep_values = KeepValues::runs});
  }
}

TEST(AttentionKernel, all_masks_at_once) {
  for (const Over over : {Over::everything, Over::batch_keys, Over::transposed})
    expect_reference({.shape = {2, 4, 4, 60, 140, 8, 8},
                      .rows_first = true,
                      .bias = Over::everything,
                      .keep = over,
                      .causal = true,
                      .offset = 40,
                      .lengths = true});
}

TEST(AttentionKernel, softcap) {
  for (const double cap : {0.5, 5.0, 50.0}) {
    expect_reference({.shape = {2, 2, 2, 60, 140, 40, 16}, .amplitude = 2, .softcap = cap});
    expect_reference({.shape = {2, 2, 2, 60, 140, 40, 16},
                      .amplitude = 2,
                      .bias = Over::everything,
                      .keep = Over::heads_queries_keys,
                      .causal = true,
                      .offset = 50,
                      .softcap = cap});
  }
}

TEST(AttentionKernel, lengths_per_batch_entry) {
  expect_reference({.shape = {3, 2, 2, 60, 140, 16, 16}, .lengths = true});
  expect_reference({.shape = {3, 2, 2, 60, 140, 16, 16}, .causal = true, .offset = 90, .lengths = true});
}

TEST(AttentionKernel, few_queries_and_many_keys) {
  expect_reference({.shape = {1, 2, 2, 1, 2000, 32, 32}});
  expect_reference({.shape = {1, 8, 2, 1, 2050, 16, 16}, .rows_first = true, .causal = true, .offset = 2049});
  expect_reference({.shape = {2, 2, 1, 3, 2000, 16, 16}, .lengths = true});
  expect_reference({.shape = {2, 2, 1, 3, 1500, 16, 16},
                    .bias = Over::everything,
                    .bias_values = BiasValues::hiding,
                    .keep = Over::batch_keys,
                    .keep_values = KeepValues::middle});
  expect_reference({.shape = {2, 2, 1, 3, 1500, 8, 8}, .keep = Over::everything, .keep_values = KeepValues::none});
  expect_reference({.shape = {1, 2, 1, 3, 1500, 8, 8}, .causal = true, .offset = 700});
}

// Heads of a token side by side: one task takes all of them.
TEST(AttentionKernel, few_queries_of_all_heads_at_once) {
  for (const std::int64_t keys : {1, 15, 17, 300, 1111}) {
    expect_reference({.shape = {2, 5, 5, 1, keys, 128, 40}, .rows_first = true, .lengths = true});
    expect_reference({.shape = {1, 12, 3, 3, keys, 20, 7}, .rows_first = true, .causal = true, .offset = keys / 2});
    expect_reference({.shape = {2, 4, 2, 2, keys, 17, 33},
                      .rows_first = true,
                      .bias = Over::everything,
                      .bias_values = BiasValues::hiding,
                      .keep = Over::batch_keys,
                      .keep_values = KeepValues::middle,
                      .softcap = 5});
    expect_reference({.shape = {2, 3, 3, 2, keys, 8, 8},
                      .rows_first = true,
                      .keep = Over::everything,
                      .keep_values = KeepValues::runs});
  }
  expect_reference({.shape = {1, 3, 3, 2, 700, 8, 8}, .rows_first = true, .causal = true, .offset = -1});
}

// Tasks of more than 96 queries, up to 384; the last of a head is smaller.
TEST(AttentionKernel, many_queries) {
  expect_reference({.shape = {2, 8, 4, 1500, 35, 8, 8}, .rows_first = true});
  expect_reference({.shape = {1, 16, 16, 3100, 20, 4, 8}, .lengths = true});
  expect_reference({.shape = {1, 12, 3, 1700, 150, 4, 4}, .causal = true, .offset = -1600});
  expect_reference({.shape = {2, 6, 6, 1500, 30, 8, 4},
                    .rows_first = true,
                    .bias = Over::batch_keys,
                    .keep = Over::everything,
                    .causal = true,
                    .offset = -1000});
}

// Every query sees one key before all others, whose value says where it stands.
template <class T>
void expect_keys_to_be_found(const AttentionShape& s) {
  const std::int64_t heads = s.batch * s.kv_heads, dim = s.qk_dim;
  std::vector<T> q(s.batch * s.q_heads * s.q_len * dim), k(heads * s.kv_len * dim), v(heads * s.kv_len);
  std::vector<T> y(s.batch * s.q_heads * s.q_len);
  for (std::int64_t i = 0; i < std::ssize(y); ++i) q[i * dim + i % s.q_len % dim] = static_cast<T>(40.0f);
  for (std::int64_t i = 0; i < heads * dim; ++i) {
    const std::int64_t key = i / dim * s.kv_len + i % dim * (s.kv_len / dim) + i / dim;
    k[key * dim + i % dim] = static_cast<T>(1.0f);
    v[key] = static_cast<T>(static_cast<float>(1 + i));
  }
  const auto view = [&]<class S>(S* data, std::int64_t all, std::int64_t rows, std::int64_t width) {
    return AttentionView<S>{data, all * rows * width, rows * width, width};
  };
  attention_forward<T>(s, view(std::as_const(q).data(), s.q_heads, s.q_len, dim),
                       view(std::as_const(k).data(), s.kv_heads, s.kv_len, dim),
                       view(std::as_const(v).data(), s.kv_heads, s.kv_len, 1), {}, 1, 0,
                       view(y.data(), s.q_heads, s.q_len, 1), nullptr);
  for (std::int64_t i = 0; i < std::ssize(y); ++i)
    EXPECT_EQ(static_cast<float>(y[i]), 1 + i / s.q_len / s.group() * dim + i % s.q_len % dim) << i;
}

// Where K and V are copied, 64 MB hold three or four of these kv heads: the six are copied three by three,
// which are not those of a batch entry.
TEST(AttentionKernel, more_keys_than_are_copied_at_once) {
  expect_keys_to_be_found<float>({3, 4, 2, 49, 200000, 16, 1});
  expect_keys_to_be_found<f16>({3, 4, 2, 49, 200000, 16, 1});
}

TEST(AttentionKernel, empty_sizes) {
  for (const AttentionShape s :
       {AttentionShape{0, 2, 2, 5, 5, 4, 4}, AttentionShape{1, 2, 2, 0, 5, 4, 4}, AttentionShape{2, 2, 2, 5, 0, 4, 4},
        AttentionShape{1, 2, 2, 5, 7, 0, 4}, AttentionShape{1, 2, 2, 5, 7, 4, 0}, AttentionShape{1, 0, 0, 5, 5, 4, 4},
        AttentionShape{2, 4, 2, 60, 0, 4, 4}, AttentionShape{1, 4, 2, 60, 7, 0, 4},
        AttentionShape{1, 4, 2, 60, 7, 4, 0}, AttentionShape{1, 0, 0, 60, 5, 4, 4}})
    expect_reference({.shape = s});
}

// Scores of -1e9 are numbers: such rows are a softmax like any other, in f32 on a coarse grid.
TEST(AttentionKernel, very_negative_biases_hide_nothing) {
  for (const Over over : {Over::everything, Over::batch_keys}) {
    for (const auto values : {BiasValues::giant, BiasValues::all_giant, BiasValues::all_lowest}) {
      AttentionCase c{.shape = {2, 2, 1, 50, 140, 16, 16}, .bias = over, .bias_values = values};
      if (values != BiasValues::all_lowest) expect_reference<double>(AttentionData(c));
      c.f32_scores = true;
      expect_reference<float>(AttentionData(c));
    }
  }
}

TEST(AttentionKernel, nan_stays_in_the_rows_and_columns_it_reaches) {
  const AttentionData data({.shape = {1, 1, 1, 60, 200, 16, 16}});
  const auto spread = [&](auto poison) {
    AttentionOperands<float> x(data);
    poison(x);
    x.forward();
    return x;
  };
  const auto of_q = spread([](auto& x) { x.q[5 * 16 + 3] = static_cast<float>(nan); });
  const auto of_k = spread([](auto& x) { x.k[5 * 16 + 3] = static_cast<float>(nan); });
  const auto of_v = spread([](auto& x) { x.v[5 * 16 + 3] = static_cast<float>(nan); });
  for (std::size_t i = 0; i < 60 * 16; ++i) {
    EXPECT_EQ(std::isnan(of_q.y[i]), i / 16 == 5) << i;
    EXPECT_TRUE(std::isnan(of_k.y[i])) << i;
    EXPECT_EQ(std::isnan(of_v.y[i]), i % 16 == 3) << i;
  }
  EXPECT_TRUE(std::isnan(of_q.lse[5]));
}

// What stands in padding does not matter, where the mask says that no query needs it.
template <class T>
void expect_not_to_read_padding(std::int64_t queries, std::size_t first, std::size_t end) {
  AttentionData data({.shape = {1, 2, 2, queries, 200, 16, 16}, .keep = Over::batch_keys});
  for (std::size_t j = 0; j < data.keep.size(); ++j) data.keep[j] = j >= first && j < end;
  AttentionOperands<T> clean(data), poisoned(data);
  clean.forward();
  for (std::size_t h = 0; h < 2; ++h)
    for (std::size_t j = 0; j < 200; ++j)
      if (j < first || j >= end)
        poisoned.k[(h * 200 + j) * 16] = poisoned.v[(h * 200 + j) * 16] = static_cast<T>(static_cast<float>(nan));
  poisoned.forward();
  EXPECT_TRUE(std::memcmp(clean.y.data(), poisoned.y.data(), clean.y.size() * sizeof(T)) == 0) << first;
  EXPECT_EQ(clean.lse, poisoned.lse) << first;
}

TEST(AttentionKernel, padding_of_a_key_mask_is_not_read) {
  for (const std::int64_t queries : {60, 110}) {  // in one task and in two
    for (const std::size_t first : {20, 23, 101, 130}) {
      expect_not_to_read_padding<float>(queries, first, first + 57);
      expect_not_to_read_padding<f16>(queries, first, first + 57);
    }
  }
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void expect_same_bits(const AttentionData& data) {
  AttentionOperands<T> one(data), many(data);
  with_threads(1, [&] { one.forward(); });
  for (const int threads : {2, 8}) {
    with_threads(threads, [&] { many.forward(); });
    EXPECT_TRUE(same(one.y, many.y)) << data.c;
    EXPECT_TRUE(same(one.lse, many.lse)) << data.c;
  }
}

TEST(AttentionKernel, threads_change_no_bit) {
  for (const AttentionCase& c :
       {AttentionCase{.shape = {2, 4, 2, 150, 170, 40, 24}, .bias = Over::everything, .causal = true, .offset = 20},
        AttentionCase{.shape = {1, 2, 1, 2, 2000, 32, 32}},
        AttentionCase{.shape = {2, 6, 2, 1, 2000, 32, 32}, .rows_first = true, .lengths = true},
        AttentionCase{.shape = {1, 16, 8, 1500, 40, 8, 8}}, AttentionCase{.shape = {2, 2, 2, 97, 1300, 8, 8}}}) {
    const AttentionData data(c);
    expect_same_bits<float>(data);
    expect_same_bits<double>(data);
    expect_same_bits<f16>(data);
    expect_same_bits<bf16>(data);
  }
}

// The test above means something: so many threads do work side by side here.
TEST(AttentionKernel, threads_of_the_tests_are_real) {
  for (const int threads : {1, 2, 8}) {
    std::mutex mutex;
    std::set<std::thread::id> seen;
    std::atomic<int> count{0};
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    with_threads(threads, [&] {
      run_parallel(64, 1, [&](std::int64_t, std::int64_t) {
        {
          const std::lock_guard lock(mutex);
          seen.insert(std::this_thread::get_id());
          count = static_cast<int>(seen.size());
        }
        while (count < threads && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      });
    });
    EXPECT_EQ(count, threads);
  }
}

}  // namespace
}  // namespace tessera
