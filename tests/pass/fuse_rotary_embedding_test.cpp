// Every spelling of rotary positions becomes one RotaryEmbedding, and computes the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/op/reshaped.h"
#include "tests/support/rewritten.h"

namespace tessera {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t heads = 3, tokens = 5, half = 4;
struct Sizes {
  std::int64_t batch = 1, heads = tessera::heads, tokens = tessera::tokens;
};

// A table whose entries come twice: next to each other, or half a row apart.
Tensor repeating(Shape shape, bool neighbours, unsigned seed) {
  Tensor wide = made_up(DType::f32, shape, seed);
  const auto x = wide.write<float>();
  for (std::size_t row = 0; row < x.size(); row += 2 * half)
    for (std::size_t i = 0; i < half; ++i)
      neighbours ? x[row + 2 * i + 1] = x[row + 2 * i] : x[row + half + i] = x[row + i];
  return wide;
}

enum class Form { stack_slice, stack_gather, stack_split, scatter, chunk_slice, chunk_split, half_wide, stack_wide };
constexpr Form forms[] = {Form::stack_slice, Form::stack_gather, Form::stack_split, Form::scatter,
                          Form::chunk_slice, Form::chunk_split,  Form::half_wide,   Form::stack_wide};

struct Rope {
  SmallGraph e;
  ValueId x, cos, sin;
  Shape shape;

  // Data [B x H x L x D] or [B x L x H x D]; tables for all batches, or for each.
  Rope(Form form, Sizes n, bool heads_first, bool own_tables) {
    shape = heads_first ? Shape{n.batch, n.heads, n.tokens, 2 * half} : Shape{n.batch, n.tokens, n.heads, 2 * half};
    x = e.input("x", shape);
    const bool wide = form == Form::half_wide || form == Form::stack_wide;
    const std::int64_t b = own_tables ? n.batch : 1, width = wide ? 2 * half : half;
    const Shape table = heads_first ? Shape{b, 1, n.tokens, width} : Shape{b, n.tokens, 1, width};
    if (wide) {
      cos = e.build.constant(repeating(table, form == Form::stack_wide, 7));
      sin = e.build.constant(repeating(table, form == Form::stack_wide, 8));
    } else {
      cos = e.input("cos", table);
      sin = e.input("sin", table);
    }
    e.output("y", rotate(form));
  }

  ValueId node(std::string_view op, std::vector<ValueId> in, Attributes a = {}) { return e.node(op, in, a); }
  ValueId mul(ValueId a, ValueId b) { return node("Mul", {a, b}); }
  ValueId pairs() {
    Shape s = shape;
    s.back() = half;
    s.push_back(2);
    return reshaped(e.build, x, s);
  }
  ValueId slice(std::int64_t begin, std::int64_t end, std::int64_t step) {
    return node("Slice", {x, e.build.ints({begin}), e.build.ints({end}), e.build.ints({3}), e.build.ints({step})});
  }
  std::pair<ValueId, ValueId> members(Form form) {
    const auto split = [&](ValueId v) {
      const auto both = e.build.nodes("Split", {v}, {{"axis", std::int64_t{-1}}, {"num_outputs", std::int64_t{2}}}, 2);
      return std::pair(both[0], both[1]);
    };
    switch (form) {
      case Form::stack_slice:
      case Form::stack_wide:
        return {slice(0, 1000, 2), slice(1, 1000, 2)};
      case Form::stack_gather: {
        const auto p = pairs();
        const auto at = [&](std::int64_t i) {
          return node("Gather", {p, e.build.constant(Tensor::scalar(i))}, {{"axis", std::int64_t{4}}});
        };
        return {at(0), at(1)};
      }
      case Form::stack_split:
      case Form::scatter: {
        const auto [a, b] = split(pairs());
        const auto squeeze = [&](ValueId v) { return node("Squeeze", {v, e.build.ints({-1})}); };
        return {squeeze(a), squeeze(b)};
      }
      case Form::chunk_split:
        return split(x);
      default:
        return {slice(0, half, 1), slice(half, 2 * half, 1)};
    }
  }
  ValueId stacked(ValueId a, ValueId b) {
    const auto last = [&](ValueId v) { return node("Unsqueeze", {v, e.build.ints({-1})}); };
    const auto both = node("Concat", {last(a), last(b)}, {{"axis", std::int64_t{-1}}});
    return reshaped(e.build, both, shape);
  }
  ValueId scattered(ValueId into, ValueId v, std::int64_t first) {
    std::vector<std::int64_t> at;
    for (std::int64_t i = 0; i < count(shape) / 2; ++i) {
      const std::int64_t q = shape[2], p = shape[1], row = i / half;
      for (const auto c : {row / q / p, row / q % p, row % q, i % half * 2 + first}) at.push_back(c);
    }
    Shape indices = shape;
    indices.back() = half;
    indices.push_back(4);
    return node("ScatterND", {into, e.build.constant(Tensor::of<std::int64_t>(indices, at)), v});
  }
  ValueId rotate(Form form) {
    const auto [a, b] = members(form);
    if (form == Form::half_wide || form == Form::stack_wide) {
      const auto minus = node("Neg", {b});
      const auto turned =
          form == Form::stack_wide ? stacked(minus, a) : node("Concat", {minus, a}, {{"axis", std::int64_t{-1}}});
      return node("Add", {mul(x, cos), mul(turned, sin)});
    }
    const auto re = node("Sub", {mul(a, cos), mul(b, sin)}), im = node("Add", {mul(a, sin), mul(cos, b)});
    if (form == Form::scatter)
      return scattered(scattered(e.build.constant(Tensor::zeros(DType::f32, shape)), re, 0), im, 1);
    const bool chunk = form == Form::chunk_slice || form == Form::chunk_split;
    return chunk ? node("Concat", {re, im}, {{"axis", std::int64_t{3}}}) : stacked(re, im);
  }
};

// Applies the pass, and holds the result against the graph as it was.
void expect_one_rotary_embedding(Graph& g) {
  const Graph before = g;
  EXPECT_TRUE(apply(fuse_rotary_embedding_pass, g));
  remove_dead_pass.run(g, builtin_registry());
  EXPECT_THAT(ops(g), Contains("RotaryEmbedding").Times(1));
  EXPECT_THAT(ops(g), Not(Contains(AnyOf("Mul", "Sub", "Neg", "Concat", "ScatterND", "Split", "Gather"))));
  expect_same_outputs(g, before);
}

TEST(FuseRotaryEmbedding, reads_every_spelling_and_layout) {
  for (const Form form : forms)
    for (const bool heads_first : {false, true})
      for (const std::int64_t batch : {1, 2})
        for (const bool own_tables : {false, true}) {
          SCOPED_TRACE(concat("form ", static_cast<int>(form), heads_first ? ", heads first" : ", tokens first",
                              ", batch ", batch, own_tables ? ", own tables" : ""));
          Rope rope(form, {.batch = batch}, heads_first, own_tables);
          expect_one_rotary_embedding(rope.e.g);
        }
}

TEST(FuseRotaryEmbedding, turns_nothing_when_there_is_nothing) {
  for (const Form form : forms)
    for (const bool heads_first : {false, true})
      for (const bool own_tables : {false, true})
        for (const Sizes n : {Sizes{.batch = 0}, Sizes{.batch = 2, .tokens = 0}}) {
          SCOPED_TRACE(concat("form ", static_cast<int>(form), heads_first ? ", heads first" : ", tokens first", ", [",
                              n.batch, " x ", n.heads, " x ", n.tokens, "]", own_tables ? ", own tables" : ""));
          Rope rope(form, n, heads_first, own_tables);
          expect_one_rotary_embedding(rope.e.g);
        }
}

TEST(FuseRotaryEmbedding, leaves_data_without_heads) {
  for (const bool heads_first : {false, true}) {
    Rope rope(Form::chunk_split, {.heads = 0}, heads_first, false);
    EXPECT_FALSE(fuse_rotary_embedding_pass.run(rope.e.g, builtin_registry()));
    EXPECT_THAT(fuse_rotary_embedding_pass.near_misses(rope.e.g)[0].reason, HasSubstr("no heads"));
  }
}

TEST(FuseRotaryEmbedding, leaves_tables_that_differ_within_a_pair) {
  Rope rope(Form::half_wide, {}, true, false);
  Graph& g = rope.e.g;
  g.at(rope.cos).constant = made_up(DType::f32, g.at(rope.cos).constant.shape(), 3);
  EXPECT_FALSE(fuse_rotary_embedding_pass.run(g, builtin_registry()));
  const auto misses = fuse_rotary_embedding_pass.near_misses(g);
  ASSERT_EQ(misses.size(), 1u);
  EXPECT_THAT(misses[0].reason, HasSubstr("not known to repeat"));
}

TEST(FuseRotaryEmbedding, sees_that_computed_tables_repeat) {
  // As LLaMA computes them from positions: Cos(Concat(f, f)).
  SmallGraph e;
  const auto x = e.input("x", {1, heads, tokens, 2 * half}), f = e.input("f", {1, tokens, half});
  const auto angles = e.node("Concat", {f, f}, {{"axis", std::int64_t{-1}}});
  const auto table = [&](const char* op) {
    const auto scaled = e.node("Mul", {e.node(op, {angles}), e.constant("1.5")});
    return e.node("Unsqueeze", {scaled, e.build.ints({1})});
  };
  const auto slice = [&](std::int64_t begin) {
    return e.node("Slice", {x, e.build.ints({begin}), e.build.ints({begin + half}), e.build.ints({-1})});
  };
  const auto turned = e.node("Concat", {e.node("Neg", {slice(half)}), slice(0)}, {{"axis", std::int64_t{-1}}});
  e.output("y", e.node("Add", {e.node("Mul", {turned, table("Sin")}), e.node("Mul", {x, table("Cos")})}));
  expect_same_after(fuse_rotary_embedding_pass, e.g);
}

TEST(FuseRotaryEmbedding, sees_that_computed_tables_hold_each_angle_twice) {
  // As diffusers computes them (Flux, CogVideoX): repeat_interleave(Cos(f), 2), here by Expand, Tile and Concat.
  for (const std::string how : {"Expand", "Tile", "Concat", "before Cos"}) {
    SCOPED_TRACE(how);
    Rope rope(Form::stack_wide, {}, true, false);
    SmallGraph& e = rope.e;
    const auto f = e.input("f", {tokens, half});
    const auto twice = [&](ValueId v) {
      v = e.node("Unsqueeze", {v, e.build.ints({-1})});
      if (how == "Tile") v = e.node("Tile", {v, e.build.ints({1, 1, 2})});
      if (how == "Concat") v = e.node("Concat", {v, v}, {{"axis", std::int64_t{-1}}});
      if (how == "Expand" || how == "before Cos") v = e.node("Expand", {v, e.build.ints({tokens, half, 2})});
      return e.node("Reshape", {v, e.build.ints({tokens, 2 * half})});
    };
    const auto table = [&](const char* op) {
      const auto t = how == "before Cos" ? e.node(op, {twice(f)}) : twice(e.node(op, {f}));
      return e.node("Unsqueeze", {t, e.build.ints({0, 1})});
    };
    rope.cos = table("Cos");
    rope.sin = table("Sin");
    e.g.outputs.clear();
    e.output("y", rope.rotate(Form::stack_wide));
    expect_same_after(fuse_rotary_embedding_pass, e.g);
  }
}

TEST(FuseRotaryEmbedding, wants_the_signs_of_a_rotation) {
  SmallGraph e;
  const auto x = e.input("x", {1, tokens, heads, 2 * half});
  const auto cos = e.input("cos", {1, tokens, 1, half}), sin = e.input("sin", {1, tokens, 1, half});
  const auto halves = e.build.nodes("Split", {x}, {{"axis", std::int64_t{-1}}, {"num_outputs", std::int64_t{2}}}, 2);
  const auto mul = [&](ValueId a, ValueId b) { return e.node("Mul", {a, b}); };
  const auto re = e.node("Sub", {mul(halves[1], cos), mul(halves[0], sin)});
  const auto im = e.node("Add", {mul(halves[0], sin), mul(halves[1], cos)});
  e.output("y", e.node("Concat", {re, im}, {{"axis", std::int64_t{-1}}}));
  EXPECT_FALSE(fuse_rotary_embedding_pass.run(e.g, builtin_registry()));
}

}  // namespace
}  // namespace tessera
