// Masks of decomposed attention keep their answers: rows that see no key, finite numbers filled in, guards against NaN,
// NaN behind the mask. Each test holds the rewritten graph against the graph as it was written.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/support/exported_attention.h"

namespace tessera {
namespace {

using A = ExportedAttention;
using testing::HasSubstr;

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
constexpr double lowest = std::numeric_limits<float>::lowest();

struct Masked {
  std::function<ValueId(A&, ValueId s)> scores;
  bool guarded = false, dynamic = false;
};

void write(A& a, const Masked& m) {
  a.projections();
  ValueId p = a.softmax(m.scores(a, a.scaled(a.product(a.to_heads(a.q), a.to_heads(a.k)), 0.5)));
  if (m.guarded) p = a.node("Where", {a.node("IsNaN", {p}), a.scalar(0), p});
  a.output("y", a.from_heads(a.node("MatMul", {p, a.to_heads(a.v)})));
}

// Made-up inputs, the mask given, and V poisoned behind it.
class MaskedAttention : public RewrittenAttention {
 public:
  explicit MaskedAttention(const Graph& g) : RewrittenAttention(g) {}
  // keep[b][i][j] as a function, in the shape the input has.
  void set(const std::string& name, const std::function<double(std::int64_t, std::int64_t, std::int64_t)>& value) {
    Tensor& t = inputs.at(name);
    const Shape s = t.shape();
    std::vector<double> x;
    for (std::int64_t at = 0; at < t.size(); ++at) {
      const std::int64_t j = at % s[s.size() - 1], i = at / s[s.size() - 1] % s[s.size() - 2];
      x.push_back(value(at / (s[s.size() - 1] * s[s.size() - 2]), i, j));
    }
    t = converted(Tensor::of<double>(s, x), t.dtype());
  }
  void poison(double x, std::int64_t key) {
    for (std::int64_t b = 0; b < A::batch; ++b)
      inputs.at("v").write<float>()[static_cast<std::size_t>((b * A::keys + key) * A::heads * A::v_dim + 2)] =
          static_cast<float>(x);
  }
};

// Batch entry 0: every query sees all but the last key. Entry 1: query 2 sees nothing, the others only keys 0 and 3.
double kept(std::int64_t b, std::int64_t i, std::int64_t j) {
  return b == 0 ? j < A::keys - 1 : i == 2 ? 0 : j == 0 || j == 3;
}

ValueId keep_input(A& a) { return a.sized_input("m", {"B", "1", "L", "M"}, DType::boolean); }
ValueId bias_input(A& a) { return a.sized_input("m", {"B", "1", "L", "M"}); }

using Scores = std::function<ValueId(A&, ValueId)>;
Scores filled(double fill) {
  return [=](A& a, ValueId s) { return a.node("Where", {keep_input(a), s, a.scalar(fill)}); };
}
Scores filled_where_true(double fill) {
  return [=](A& a, ValueId s) { return a.node("Where", {a.node("Not", {keep_input(a)}), a.scalar(fill), s}); };
}
Scores added_choice(double fill) {
  return [=](A& a, ValueId s) {
    return a.node("Add", {s, a.node("Where", {keep_input(a), a.scalar(0), a.scalar(fill)})});
  };
}

// With a fill among the visible scores, infinity behind the mask would be seen as such; the node says NaN.
void expect_same(const Masked& m, const std::function<void(MaskedAttention&)>& values, bool infinities = true) {
  for (const bool dynamic : {false, true}) {
    A a(dynamic);
    write(a, m);
    MaskedAttention r(a.g);
    EXPECT_EQ(r.count("Softmax"), 0) << reason_of_miss(a.g);
    values(r);
    EXPECT_EQ(r.difference(), "");
    for (const double x : {nan, infinities ? infinity : nan}) {
      r.poison(x, A::keys - 1);
      EXPECT_EQ(r.difference(), "") << "with " << x << " behind the mask";
    }
  }
}

TEST(MaskedAttentionForms, keep_rows_without_keys_and_what_was_filled_in) {
  for (const double fill : {-infinity, lowest, -1e30, -1e9, -1e4, -8.0, 0.0})
    for (const bool guarded : {false, true})
      for (const auto& write : {filled(fill), filled_where_true(fill), added_choice(fill)}) {
        SCOPED_TRACE(concat("fill ", fill, guarded ? ", guarded" : ""));
        expect_same(
            {write, guarded}, [](MaskedAttention& r) { r.set("m", kept); }, fill <= -1e4);
      }
}

TEST(MaskedAttentionForms, keep_biases_as_they_are) {
  const Scores added = [](A& a, ValueId s) { return a.node("Add", {bias_input(a), s}); };
  const Scores subtracted = [](A& a, ValueId s) { return a.node("Sub", {s, bias_input(a)}); };
  for (const double fill : {-infinity, lowest, -1e4})
    expect_same({added}, [&](MaskedAttention& r) {
      r.set("m", [&](auto b, auto i, auto j) { return kept(b, i, j) ? 0.1 * static_cast<double>(j - i) : fill; });
    });
  expect_same({subtracted}, [](MaskedAttention&) {});
}

TEST(MaskedAttentionForms, scale_a_mask_that_was_added_before_the_scale) {
  const Scores early = [](A& a, ValueId s) { return a.scaled(a.node("Add", {s, bias_input(a)}), 3); };
  expect_same({early}, [](MaskedAttention&) {});
  A a;
  write(a, {early});
  const RewrittenAttention r(a.g);
  EXPECT_EQ(r.text("scale"), "1.5");
  EXPECT_EQ(r.count("Mul"), 1);
  const Scores fill = [](A& a, ValueId s) { return a.scaled(a.node("Where", {keep_input(a), s, a.scalar(-2)}), 4); };
  expect_same(
      {fill}, [](MaskedAttention& r) { r.set("m", kept); }, false);
}

// [L, M] with `fill` beyond the diagonal, from a triangle of ones.
ValueId triangle(A& a, double low, double fill) {
  const ValueId ones = a.node("Expand", {a.scalar(1), a.dims({a.dim_of(a.q, 1), a.dim_of(a.k, 1)})});
  const ValueId upper = a.node("Trilu", {ones, a.build.constant(Tensor::scalar<std::int64_t>(1))});
  return a.node("Where", {a.node("Equal", {upper, a.scalar(0)}), a.scalar(low), a.scalar(fill)});
}

TEST(MaskedAttentionForms, know_causal_masks_however_they_are_written) {
  const auto positions = [](A& a, std::int64_t from, std::int64_t axis) {
    const ValueId end =
        a.node("Add", {a.dim_of(from ? a.k : a.q, 1), a.build.constant(Tensor::scalar<std::int64_t>(0))});
    const ValueId r = a.node("Range", {a.build.constant(Tensor::scalar<std::int64_t>(0)), end,
                                       a.build.constant(Tensor::scalar<std::int64_t>(1))});
    return a.node("Unsqueeze", {r, a.build.ints({axis})});
  };
  const std::vector<Scores> writings{
      [](A& a, ValueId s) {
        return a.node("Add", {s, triangle(a, 0, -infinity)});
      },
      [](A& a, ValueId s) {
        return a.node("Add", {triangle(a, 0, lowest), s});
      },
      [](A& a, ValueId s) {  // nanoGPT's buffer, cut from a longer one
        std::vector<double> x;
        for (int i = 0; i < 16; ++i)
          for (int j = 0; j < 16; ++j) x.push_back(j <= i);
        const ValueId bits = a.build.constant(converted(Tensor::of<double>({1, 1, 16, 16}, x), DType::boolean));
        const ValueId rows = a.dims({a.dim_of(a.q, 1)}), columns = a.dims({a.dim_of(a.k, 1)}), zero = a.build.ints({0});
        const ValueId cut =
            a.node("Slice", {a.node("Slice", {bits, zero, rows, a.build.ints({2})}), zero, columns, a.build.ints({3})});
        return a.node("Where", {cut, s, a.scalar(lowest)});
      },
      [&](A& a, ValueId s) {
        return a.node("Where",
                      {a.node("LessOrEqual", {positions(a, 1, 0), positions(a, 0, 1)}), s, a.scalar(-infinity)});
      },
      [&](A& a, ValueId s) {
        return a.node("Where", {a.node("Less", {positions(a, 0, 1), positions(a, 1, 0)}), a.scalar(-1e4), s});
      },
  };
  for (const auto& w : writings) {
    SCOPED_TRACE(&w - writings.data());
    expect_same({w}, [](MaskedAttention&) {});
    A a(true);
    write(a, {w});
    const RewrittenAttention r(a.g);
    EXPECT_EQ(r.text("is_causal"), "1");
    EXPECT_EQ(r.found.nodes.size(), 1u);  // the mask is gone
  }
}

TEST(MaskedAttentionForms, know_a_causal_mask_that_ends_at_the_last_key) {
  const Scores cached = [](A& a, ValueId s) {  // query i stands at place i + M - L
    const ValueId ones = a.node("Expand", {a.scalar(1), a.build.ints({A::queries, A::keys})});
    const ValueId k = a.build.constant(Tensor::scalar<std::int64_t>(A::keys - A::queries));
    const ValueId lower = a.node("Trilu", {ones, k}, {{"upper", std::int64_t{0}}});
    return a.node("Where", {a.node("Cast", {lower}, {{"to", std::int64_t{9}}}), s, a.scalar(-infinity)});
  };
  expect_same({cached}, [](MaskedAttention&) {});
  A a;
  write(a, {cached});
  const RewrittenAttention r(a.g);
  EXPECT_EQ(r.text("is_causal"), "1");
  EXPECT_EQ(r.site().in.size(), 7u);  // all keys are valid, which says where the mask ends
}

TEST(MaskedAttentionForms, leave_triangles_that_are_not_causal) {
  for (const std::int64_t k : {-1, 1, 3}) {
    const Scores off = [=](A& a, ValueId s) {
      const ValueId ones = a.node("Expand", {a.scalar(1), a.build.ints({A::queries, A::keys})});
      const ValueId lower = a.node("Trilu", {ones, a.build.constant(Tensor::scalar(k))}, {{"upper", std::int64_t{0}}});
      return a.node("Where", {a.node("Cast", {lower}, {{"to", std::int64_t{9}}}), s, a.scalar(-infinity)});
    };
    expect_same({off}, [](MaskedAttention&) {});
    A a;
    write(a, {off});
    EXPECT_FALSE(RewrittenAttention(a.g).has("is_causal"));
  }
}

TEST(MaskedAttentionForms, drop_masks_that_do_nothing) {
  const std::vector<Scores> nothing{
      [](A& a, ValueId s) {
        return a.node("Add", {s, a.scalar(0)});
      },
      [](A& a, ValueId s) {
        return a.node("Where", {a.constant("bool{true}"), s, a.scalar(-infinity)});
      },
      [](A& a, ValueId s) {
        return a.node("Add", {s, triangle(a, 0, 0)});
      },
  };
  for (const auto& w : nothing) {
    expect_same({w}, [](MaskedAttention&) {});
    A a;
    write(a, {w});
    EXPECT_EQ(RewrittenAttention(a.g).site().in.size(), 3u);
  }
}

TEST(MaskedAttentionForms, bring_several_masks_together) {
  const auto key_bias = [](A& a) { return a.sized_input("key_bias", {"B", "1", "1", "M"}); };
  const std::vector<Scores> several{
      [&](A& a, ValueId s) {
        return a.node("Add", {a.node("Add", {s, key_bias(a)}), triangle(a, 0, -infinity)});
      },
      [&](A& a, ValueId s) {
        return a.node("Add", {filled(-infinity)(a, s), key_bias(a)});
      },
      [&](A& a, ValueId s) {
        return filled(lowest)(a, a.node("Add", {s, key_bias(a)}));
      },
      [&](A& a, ValueId s) {
        return a.node("Add", {filled(lowest)(a, s), key_bias(a)});
      },  // GPT-2
      [&](A& a, ValueId s) {
        return a.node("Add", {filled(-infinity)(a, s), triangle(a, 0, -infinity)});
      },
      [&](A& a, ValueId s) {
        return a.node("Add", {filled(lowest)(a, s), triangle(a, 0, -infinity)});
      },
      [&](A& a, ValueId s) {
        return a.node("Add", {filled(lowest)(a, s), triangle(a, 0, lowest)});
      },
      [&](A& a, ValueId s) {  // T5
        const ValueId m = a.sized_input("attention_mask", {"B", "M"});
        const ValueId four = a.node("Unsqueeze", {a.node("Unsqueeze", {m, a.build.ints({1})}), a.build.ints({2})});
        const ValueId padding = a.scaled(a.node("Sub", {a.scalar(1), four}), -1e4);
        return a.node("Add", {s, a.node("Add", {a.sized_input("position_bias", {"1", "3", "L", "M"}), padding})});
      },
  };
  for (const auto& w : several) {
    SCOPED_TRACE(&w - several.data());
    for (const bool guarded : {false, true})
      expect_same({w, guarded}, [](MaskedAttention& r) {
        if (r.inputs.contains("m")) r.set("m", kept);
        if (r.inputs.contains("key_bias"))
          r.set("key_bias",
                [](auto b, auto, auto j) { return b == 1 && j > 4 ? lowest : 0.25 * static_cast<double>(j); });
      });
  }
}

TEST(MaskedAttentionForms, fit_masks_of_every_shape) {
  const std::vector<std::vector<std::string>> shapes{{"L", "M"},           {"1", "M"},           {"M"},
                                                     {"3", "L", "M"},      {"B", "3", "L", "M"}, {"B", "1", "1", "M"},
                                                     {"1", "3", "1", "M"}, {"B", "1", "L", "1"}};
  for (const auto& dims : shapes)
    for (const DType t : {DType::f32, DType::boolean}) {
      SCOPED_TRACE(testing::PrintToString(dims));
      expect_same({[&](A& a, ValueId s) {
                    const ValueId m = a.sized_input("m", dims, t);
                    return t == DType::f32 ? a.node("Add", {s, m}) : a.node("Where", {m, s, a.scalar(-infinity)});
                  }},
                  [](MaskedAttention&) {});
    }
}

TEST(MaskedAttentionForms, see_through_an_expand_to_padding) {
  A a;
  write(a, {[](A& a, ValueId s) {
          const ValueId padding = a.sized_input("m", {"B", "1", "1", "M"}, DType::boolean);
          const ValueId wide = a.node("Expand", {padding, a.build.ints({A::batch, 1, A::queries, A::keys})});
          return a.node("Add", {s, a.node("Where", {wide, a.scalar(0), a.scalar(-infinity)})});
        }});
  const RewrittenAttention r(a.g);
  EXPECT_EQ(r.found.nodes.size(), 1u);
  EXPECT_EQ(*r.found.at(r.site().in[3]).shape, (Shape{2, 1, 1, 7}));
  EXPECT_EQ(r.difference(), "");
}

TEST(MaskedAttentionForms, mask_three_dimensional_scores) {  // old CLIP: scores to 4-D for the mask, and back
  for (const bool dynamic : {false, true}) {
    A a(dynamic);
    a.projections();
    const auto flat = [&](ValueId x, std::int64_t l, std::int64_t d) { return a.reshape(a.to_heads(x), {-1, l, d}); };
    const ValueId q = flat(a.q, A::queries, A::dim), k = flat(a.k, A::keys, A::dim), v = flat(a.v, A::keys, A::v_dim);
    const ValueId s = a.reshape(a.node("MatMul", {q, a.transpose(k, {0, 2, 1})}), {-1, A::heads, A::queries, A::keys});
    const ValueId masked = a.node("Add", {s, bias_input(a)});
    const ValueId p = a.softmax(a.reshape(masked, {-1, A::queries, A::keys}));
    const ValueId y = a.reshape(a.node("MatMul", {p, v}), {-1, A::heads, A::queries, A::v_dim});
    a.output("y", a.from_heads(y));
    const RewrittenAttention r(a.g);
    EXPECT_EQ(r.found.nodes.size(), 1u) << reason_of_miss(a.g);
    EXPECT_EQ(r.difference(), "");
  }
}

TEST(MaskedAttentionForms, pass_through_the_matrix_of_an_old_softmax) {  // opset 12, of a rank unknown when loaded
  A a;
  const Scores flat = [](A& a, ValueId s) {
    return a.node("Flatten", {a.node("Add", {s, bias_input(a)})}, {{"axis", std::int64_t{3}}});
  };
  a.projections();
  const ValueId s = a.product(a.to_heads(a.q), a.to_heads(a.k)), p = a.softmax(flat(a, s));
  a.output("y", a.from_heads(a.node("MatMul", {a.node("Reshape", {p, a.node("Shape", {s})}), a.to_heads(a.v)})));
  const RewrittenAttention r(a.g);
  EXPECT_EQ(r.count("Softmax"), 0) << reason_of_miss(a.g);
  EXPECT_EQ(r.difference(), "");
}

TEST(MaskedAttentionForms, know_the_causal_mask_of_a_long_sequence_without_computing_it) {
  constexpr std::int64_t length = 2048;  // a mask of 16 MB, beyond what is folded
  for (const bool add : {false, true}) {
    A a;
    const auto in = [&](const char* name) { return a.input(name, {1, 1, length, 4}); };
    const ValueId s = a.product(in("q"), in("k")), n = a.dim_of(s, 2);
    const ValueId ones = a.node("Expand", {a.scalar(1), a.dims({n, n})});
    const ValueId lower = a.node("Trilu", {ones, ValueId::none}, {{"upper", std::int64_t{0}}});
    const ValueId hidden = a.node("Equal", {lower, a.scalar(0)});
    const ValueId masked = add ? a.node("Add", {s, a.node("Where", {hidden, a.scalar(-infinity), a.scalar(0)})})
                               : a.node("Where", {hidden, a.scalar(lowest), s});
    const ValueId zeros = a.node("Mul", {a.node("ConstantOfShape", {a.node("Shape", {s})}), a.scalar(0)});
    a.output("y", a.node("MatMul", {a.softmax(a.node("Add", {zeros, masked})), in("v")}));
    const RewrittenAttention r(a.g);
    EXPECT_GT(r.plain.nodes.size(), 6u);
    EXPECT_EQ(r.found.nodes.size(), 1u);
    EXPECT_EQ(r.text("is_causal"), "1");
  }
}

TEST(MaskedAttentionForms, keep_the_range_of_a_mask_that_is_wider_than_its_operands) {
  A a;
  const auto in = [&](const char* n, const char* l) { return a.sized_input(n, {"B", "3", l, "4"}, DType::f16); };
  const auto to = [&](ValueId x, std::int64_t t) { return a.node("Cast", {x}, {{"to", t}}); };
  const ValueId s = a.node("Add", {to(a.product(in("q", "L"), in("k", "M")), 1), bias_input(a)});
  a.output("y", a.node("MatMul", {to(a.softmax(s), 10), in("v", "M")}));
  MaskedAttention r(a.g);
  EXPECT_EQ(r.count("Softmax"), 0);
  r.set("m", [](auto b, auto i, auto j) { return kept(b, i, j) ? 0 : lowest; });
  EXPECT_EQ(r.difference(), "");
}

TEST(MaskedAttentionForms, softcap_before_the_mask_only) {
  const auto cap = [](A& a, ValueId s) { return a.scaled(a.node("Tanh", {a.scaled(s, 0.2)}), 3); };
  expect_same({[&](A& a, ValueId s) { return filled(-infinity)(a, cap(a, s)); }},
              [](MaskedAttention& r) { r.set("m", kept); });
  A a;
  write(a, {[&](A& a, ValueId s) { return cap(a, a.node("Add", {s, bias_input(a)})); }});
  EXPECT_THAT(reason_of_miss(a.g), HasSubstr("adds to the scores before the softcap"));
}

}  // namespace
}  // namespace tessera
