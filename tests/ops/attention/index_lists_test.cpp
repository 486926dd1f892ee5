// Attention to lists of keys against its definition in f64, and parts merged by their lse.
#include "ops/attention/index_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/base/parts.h"
#include "tests/support/attention_case.h"
#include "tests/support/block_sparse_case.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

template <class T>
constexpr double rounding = std::is_same_v<T, float>    ? 3e-6
                            : std::is_same_v<T, double> ? 1e-12
                            : std::is_same_v<T, f16>    ? 1e-3
                                                        : 8e-3;

// The lists of a case whose query tiles are runs of rows and whose key tiles are single keys.
IndexLists index_lists(const BlockSparseData& data) {
  return {data.c.q_cube[0], data.lists.query_tiles, data.lists.begin, data.lists.tile};
}

template <class T>
struct Call {
  const BlockSparseData& data;
  BlockSparseOperands<T> x;
  explicit Call(const BlockSparseData& d) : data(d), x(d) {}
  void run() {
    const auto problem = x.problem();
    const auto& s = problem.shape;
    const IndexLists lists = index_lists(data);
    index_list_forward<T>(s, problem.q, problem.k, problem.v, problem.scale, lists,
                          x.view(x.y.data(), s.q_heads, s.q_len, s.v_dim), x.lse.data());
    index_list_backward<T>(s, problem.q, problem.k, problem.v, problem.scale, lists,
                           x.in(x.y, s.q_heads, s.q_len, s.v_dim), x.lse.data(),
                           x.in(x.dy, s.q_heads, s.q_len, s.v_dim), x.dlse.data(), x.gradients());
  }
};

template <class T>
void expect_reference(const BlockSparseData& data) {
  const auto& s = data.reference.shape;
  Call<T> call(data);
  call.run();
  const auto& x = call.x;
  const double allowed = rounding<T> * (data.c.amplitude >= 16 ? 30 : data.c.amplitude >= 4 ? 4 : 1);
  EXPECT_LE(largest_error(x.plain(x.y, s.q_heads, s.q_len, s.v_dim), data.y), allowed) << data.c;
  EXPECT_LE(largest_error({x.lse.begin(), x.lse.end()}, data.lse), allowed) << data.c;
  EXPECT_LE(largest_error(x.plain(x.dq, s.q_heads, s.q_len, s.qk_dim), data.reference.dq, 0.5), 4 * allowed) << data.c;
  EXPECT_LE(largest_error(x.plain(x.dk, s.kv_heads, s.kv_len, s.qk_dim), data.reference.dk, 0.5), 4 * allowed)
      << data.c;
  EXPECT_LE(largest_error(x.plain(x.dv, s.kv_heads, s.kv_len, s.v_dim), data.reference.dv), 4 * allowed) << data.c;
}

BlockSparseCase lists_of(std::int64_t rows, std::int64_t queries, std::int64_t keys) {
  return {.batch = 2,
          .q_heads = 4,
          .kv_heads = 2,
          .qk_dim = 24,
          .v_dim = 17,
          .q_grid = {queries},
          .q_cube = {rows},
          .k_grid = {keys},
          .k_cube = {1}};
}

TEST(IndexLists, rows_of_a_list) {
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 16, 33, 100}) {
    for (const double density : {0.05, 0.6, 1.0}) {
      BlockSparseCase c = lists_of(rows, 50, 150);
      c.density = density;
      c.rows_first = rows == 2;
      const BlockSparseData data(c);
      expect_reference<float>(data);
      expect_reference<double>(data);
      expect_reference<f16>(data);
      expect_reference<bf16>(data);
    }
  }
}

TEST(IndexLists, large_scores) {
  for (const double amplitude : {4.0, 16.0}) {
    BlockSparseCase c = lists_of(8, 40, 300);
    c.amplitude = amplitude;
    expect_reference<float>(BlockSparseData(c));
    expect_reference<double>(BlockSparseData(c));
  }
}

TEST(IndexLists, of_empty_sequences) {
  for (const auto& [queries, keys] : {std::pair<std::int64_t, std::int64_t>{7, 0}, {0, 7}}) {
    for (const std::int64_t rows : {2, 8}) {
      const AttentionShape shape{1, 2, 1, queries, keys, 3, 3};
      const std::int64_t groups = divide_up(queries, rows);
      const IndexLists lists{rows, groups, std::vector<std::int64_t>(static_cast<std::size_t>(2 * groups + 1)), {}};
      std::vector<float> x(50, 1), y(50, 9), lse(20, 9), dq(50, 9), dk(50, 9), dv(50, 9);
      const auto view = [&](auto& data) { return AttentionView<float>{data.data(), 0, 21, 3}; };
      const AttentionView<const float> in{x.data(), 0, 21, 3};
      index_list_forward<float>(shape, in, in, in, 1, lists, view(y), lse.data());
      index_list_backward<float>(shape, in, in, in, 1, lists, in, lse.data(), in, nullptr,
                                 {view(dq), view(dk), view(dv)});
      EXPECT_TRUE(std::all_of(y.begin(), y.begin() + 6 * queries, [](float v) { return v == 0; }));
      EXPECT_TRUE(std::all_of(dq.begin(), dq.begin() + 6 * queries, [](float v) { return v == 0; }));
      EXPECT_TRUE(std::all_of(dk.begin(), dk.begin() + 3 * keys, [](float v) { return v == 0; }));
      EXPECT_TRUE(std::all_of(dv.begin(), dv.begin() + 3 * keys, [](float v) { return v == 0; }));
      EXPECT_TRUE(std::all_of(lse.begin(), lse.begin() + 2 * queries, [](float v) { return std::isinf(v) && v < 0; }));
    }
  }
}

TEST(IndexLists, threads_change_no_bit) {
  const BlockSparseData data(lists_of(5, 70, 1100));
  Call<float> one(data), many(data);
  with_threads(1, [&] { one.run(); });
  with_threads(8, [&] { many.run(); });
  const auto same = [](const auto& a, const auto& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
  };
  EXPECT_TRUE(same(one.x.y, many.x.y) && same(one.x.lse, many.x.lse));
  EXPECT_TRUE(same(one.x.dq, many.x.dq) && same(one.x.dk, many.x.dk) && same(one.x.dv, many.x.dv));
}

// The keys of each list in two parts, by `first(key)`; y and lse of both, merged, are those of the whole.
template <class T>
void expect_merged(const BlockSparseData& data, bool (*first)(std::int32_t)) {
  const auto& s = data.reference.shape;
  const IndexLists all = index_lists(data);
  BlockSparseOperands<T> part[] = {BlockSparseOperands<T>(data), BlockSparseOperands<T>(data)};
  const auto y = [&](BlockSparseOperands<T>& x) { return x.view(x.y.data(), s.q_heads, s.q_len, s.v_dim); };
  for (int i = 0; i < 2; ++i) {
    IndexLists some{all.rows, all.groups, {0}, {}};
    for (std::size_t list = 0; list + 1 < all.begin.size(); ++list) {
      for (std::int64_t at = all.begin[list]; at < all.begin[list + 1]; ++at)
        if (first(all.key[at]) == (i == 0)) some.key.push_back(all.key[at]);
      some.begin.push_back(static_cast<std::int64_t>(some.key.size()));
    }
    const auto problem = part[i].problem();
    index_list_forward<T>(s, problem.q, problem.k, problem.v, problem.scale, some, y(part[i]), part[i].lse.data());
  }
  merge_by_lse<T>(s, y(part[0]), part[0].lse.data(), part[1].in(part[1].y, s.q_heads, s.q_len, s.v_dim),
                  part[1].lse.data());
  EXPECT_LE(largest_error(part[0].plain(part[0].y, s.q_heads, s.q_len, s.v_dim), data.y), 2 * rounding<T>);
  EXPECT_LE(largest_error({part[0].lse.begin(), part[0].lse.end()}, data.lse), 2 * rounding<T>);
}

TEST(IndexLists, parts_merge_by_lse) {
  BlockSparseCase c = lists_of(3, 50, 60);
  c.density = 0.1;  // some parts are empty
  const BlockSparseData data(c);
  for (auto* first : {+[](std::int32_t key) { return key % 3 == 0; }, +[](std::int32_t key) { return key >= 0; },
                      +[](std::int32_t key) { return key < 0; }}) {
    expect_merged<float>(data, first);
    expect_merged<double>(data, first);
    expect_merged<f16>(data, first);
    expect_merged<bf16>(data, first);
  }
}

}  // namespace
}  // namespace tessera
