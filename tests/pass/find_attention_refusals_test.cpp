// Where the pass must not fire, and that it says which node or edge prevented it.
#include <gmock/gmock.h>

#include <functional>

#include "runtime/pass/find_attention.h"
#include "tests/support/exported_attention.h"

namespace tessera {
namespace {

using A = ExportedAttention;
using testing::HasSubstr;

struct Refusal {
  std::string name;
  std::function<void(A&)> write;
  std::string reason;
};
std::ostream& operator<<(std::ostream& o, const Refusal& r) { return o << r.name; }

ValueId scores(A& a) {
  a.projections();
  return a.named("scores", "MatMul", {a.to_heads(a.q), a.transpose(a.to_heads(a.k), {0, 1, 3, 2})});
}
void finish(A& a, ValueId p) { a.output("y", a.named("mixed", "MatMul", {p, a.to_heads(a.v)})); }

const Refusal refusals[] = {
    {"probabilities_are_an_output",
     [](A& a) {
       const ValueId p = a.softmax(scores(a));
       a.output("attn", p);
       finish(a, p);
     },
     "its probabilities 'blocks.0/attn/Softmax' are the graph output 'attn'"},
    {"probabilities_are_read_twice",
     [](A& a) {
       const ValueId p = a.softmax(scores(a));
       a.output("mean", a.named("mean", "ReduceMean", {p, a.build.ints({1})}));
       finish(a, p);
     },
     "its probabilities 'blocks.0/attn/Softmax' are also read by node 'mean' (ReduceMean)"},
    {"two_sets_of_values_share_probabilities",
     [](A& a) {
       const ValueId p = a.softmax(scores(a));
       a.output("z", a.named("other", "MatMul", {p, a.scaled(a.to_heads(a.v), 2)}));
       finish(a, p);
     },
     "are also read by node 'mixed' (MatMul)"},
    {"scores_are_an_output",
     [](A& a) {
       const ValueId s = scores(a);
       a.output("raw", s);
       finish(a, a.softmax(a.scaled(s, 0.5)));
     },
     "its scores 'scores' are the graph output 'raw'"},
    {"scores_are_read_by_a_selection",
     [](A& a) {
       const ValueId s = scores(a);
       a.output("top", a.build.add(builtin_registry().at("TopK"), "top", {s, a.build.ints({2})}, {}, {"top", "i"})[0]);
       finish(a, a.softmax(s));
     },
     "its scores 'scores' are also read by node 'top' (TopK)"},
    {"another_axis",
     [](A& a) {
       finish(a, a.node("Softmax", {scores(a)}, {{"axis", std::int64_t{2}}}));
     },
     "it normalises axis 2 of [2x3x5x7], not the last"},
    {"classifier",
     [](A& a) {
       const ValueId x = a.sized_input("x", {"B", "4"});
       const ValueId w = a.weight("fc.weight", "{{1, 2}, {3, 4}, {5, 6}, {7, 8}}");
       a.output("y", a.softmax(a.named("fc", "MatMul", {x, w})));
     },
     "node 'fc' (MatMul) multiplies with the weights 'fc.weight', not with keys"},
    {"classifier_with_bias",
     [](A& a) {
       const ValueId x = a.sized_input("x", {"B", "4"});
       const ValueId w = a.weight("fc.weight", "{{1, 2}, {3, 4}, {5, 6}, {7, 8}}");
       a.output("y", a.softmax(a.named("sum", "Add", {a.named("fc", "MatMul", {x, w}), a.weight("b", "{1, 2}")})));
     },
     "multiplies with the weights 'fc.weight'"},
    {"mixture_by_weights",
     [](A& a) {
       a.output("y",
                a.named("mix", "MatMul", {a.softmax(scores(a)), a.weight("w", "{{1}, {2}, {3}, {4}, {5}, {6}, {7}}")}));
     },
     "node 'mix' (MatMul) multiplies with the weights 'w', not with values"},
    {"no_product",
     [](A& a) {
       a.output("y", a.node("MatMul",
                            {a.softmax(a.sized_input("x", {"B", "L", "M"})), a.sized_input("v", {"B", "M", "6"})}));
     },
     "its scores 'x' are no product of two tensors"},
    {"another_operator_between", [](A& a) { finish(a, a.softmax(a.named("relu", "Relu", {scores(a)}))); },
     "node 'relu' (Relu) stands between the product and the softmax"},
    {"scaled_per_head",
     [](A& a) {
       finish(a, a.softmax(a.named("per_head", "Mul", {scores(a), a.weight("tau", "{{{1}}, {{2}}, {{3}}}")})));
     },
     "node 'per_head' (Mul) scales the scores by more than one number"},
    {"filled_from_a_tensor",
     [](A& a) {
       const ValueId m = a.sized_input("m", {"L", "M"}, DType::boolean), other = a.sized_input("o", {"L", "M"});
       finish(a, a.softmax(a.named("choice", "Where", {m, scores(a), other})));
     },
     "node 'choice' (Where) fills in more than one number"},
    {"fills_that_do_not_go_together",
     [](A& a) {
       const ValueId m = a.sized_input("m", {"L", "M"}, DType::boolean), bias = a.sized_input("bias", {"L", "M"});
       const ValueId s = a.node("Add", {a.node("Where", {m, scores(a), a.scalar(-9)}), bias});
       finish(a, a.softmax(s));
     },
     "its mask 'm' fills in -9, which does not go together with its other masks"},
    {"filled_with_nan",
     [](A& a) {
       const ValueId m = a.sized_input("m", {"L", "M"}, DType::boolean);
       finish(a, a.softmax(a.named("hole", "Where", {m, scores(a), a.scalar(NAN)})));
     },
     "node 'hole' (Where) fills in"},
    {"attention_sinks",
     [](A& a) {
       const ValueId sinks = a.sized_input("sinks", {"B", "3", "L", "1"});
       const ValueId s = a.named("sink", "Concat", {scores(a), sinks}, {{"axis", std::int64_t{3}}});
       finish(a, a.node("Slice", {a.softmax(s), a.build.ints({0}), a.build.ints({A::keys}), a.build.ints({3})}));
     },
     "node 'sink' (Concat) stands between the product and the softmax"},
    {"gated_probabilities",
     [](A& a) {
       finish(a, a.named("gate", "Mul", {a.softmax(scores(a)), a.sized_input("g", {"B", "3", "L", "1"})}));
     },
     "are read by node 'gate' (Mul), which is no product with values"},
    {"values_that_depend_on_the_query",
     [](A& a) {
       const ValueId p = a.node("Unsqueeze", {a.softmax(scores(a)), a.build.ints({3})});
       a.output("y", a.node("MatMul", {p, a.sized_input("relative", {"B", "3", "L", "M", "6"})}));
     },
     "do not match"},
};

class NoAttention : public testing::TestWithParam<Refusal> {};

TEST_P(NoAttention, is_left_as_it_is_with_a_reason) {
  for (const bool dynamic : {false, true}) {
    A a(dynamic);
    GetParam().write(a);
    const RewrittenAttention r(a.g);
    EXPECT_EQ(r.count("dense"), 0);
    EXPECT_EQ(r.found.nodes.size(), r.plain.nodes.size());
    EXPECT_THAT(reason_of_miss(a.g), HasSubstr(GetParam().reason));
  }
}

INSTANTIATE_TEST_SUITE_P(Refusals, NoAttention, testing::ValuesIn(refusals),
                         [](const auto& info) { return info.param.name; });

TEST(FindAttention, can_be_turned_off_and_does_its_work_once) {
  A a;
  finish(a, a.softmax(scores(a)));
  RewrittenAttention r(a.g);
  EXPECT_EQ(r.plain.nodes.size() > r.found.nodes.size(), true);
  EXPECT_FALSE(find_attention_pass.run(r.found, builtin_registry()));
  EXPECT_EQ(r.found.at(r.found.outputs[0].value).name, r.plain.at(r.plain.outputs[0].value).name);
}

}  // namespace
}  // namespace tessera
