// The window as its definition says, at the edges too, and as large as the grid.
#include <gtest/gtest.h>

#include "runtime/op/evaluate.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/sparse_reference.h"

namespace tessera {
namespace {

using Ints = std::vector<std::int64_t>;

std::vector<Tensor> run(const SparseReference& r, const Ints& window) {
  const auto& c = r.c;
  const Tensor q = r.tensor(r.q, c.q_heads, c.qk_dim, DType::f64), k = r.tensor(r.k, c.kv_heads, c.qk_dim, DType::f64),
               v = r.tensor(r.v, c.kv_heads, c.v_dim, DType::f64);
  const std::vector<const Tensor*> in{&q, &k, &v};
  return evaluate(full_registry().at("tessera.attention::tile_window"),
                  {{"grid", c.grid}, {"tile", c.tile}, {"window", window}}, in, 7);
}

TEST(TileWindow, keeps_its_size_at_the_edges) {
  // Five tiles in a row, windows of three.
  SparseReference r({.batch = 2, .q_heads = 2, .grid = {18}, .tile = {4}});
  const std::vector<Ints> expected{{0, 1, 2}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {2, 3, 4}};
  r.chosen.assign(4, expected);  // of both heads of both batch entries
  r.forward();
  const auto got = run(r, {3});
  EXPECT_TRUE(close(got[0], r.tensor(r.y, 2, 4, DType::f64), {1e-12, 1e-12}));
  EXPECT_EQ(got[6].shape(), (Shape{2, 2, 5, 3 + 4}));
}

TEST(TileWindow, is_dense_when_it_covers_the_grid) {
  SparseReference r({.q_heads = 2, .grid = {3, 5, 6}, .tile = {2, 2, 4}});
  const auto got = run(r, {9, 9, 9});
  const Tensor q = r.tensor(r.q, 2, 4, DType::f64), k = r.tensor(r.k, 1, 4, DType::f64),
               v = r.tensor(r.v, 1, 4, DType::f64);
  const std::vector<const Tensor*> in{&q, &k, &v};
  EXPECT_TRUE(close(got[0], evaluate(full_registry().at("Attention"), {}, in, 1)[0], {1e-12, 1e-12}));
}

TEST(TileWindow, refuses_windows_of_other_axes_and_without_a_middle) {
  const SparseReference r({.grid = {4, 6}, .tile = {2, 2}});
  const auto failure = [&](const Ints& window) -> std::string {
    try {
      run(r, window);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(failure({3}).find("window needs one number for each axis"), std::string::npos);
  EXPECT_NE(failure({1, 2}).find("an even window has no tile in its middle"), std::string::npos);
  EXPECT_EQ(failure({2, 4}), "no error") << "all tiles of both axes";
}

}  // namespace
}  // namespace tessera
