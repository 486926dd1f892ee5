// Gradients of a model under a policy: the sites of a run, and values by their names.
#include "runtime/plan/gradients_of.h"

#include <gmock/gmock.h>

#include "tests/support/compare.h"
#include "tests/support/exported_attention.h"
#include "tests/support/interpret.h"
#include "tests/support/made_up.h"

namespace tessera {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// Two blocks of self-attention, weights transposed as torch keeps them; `form` is what an exporter leaves behind.
struct Blocks : ExportedAttention {
  explicit Blocks(const std::string& form = {}) {
    ValueId x = sized_input("x", {"B", "L", "12"});
    for (const std::string block : {"0", "1"}) x = attend(block, x, form);
    output("y", x);
  }

  ValueId projected(ValueId x, const std::string& name) {
    std::vector<double> w(144);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<double>((i * 7 + ++seed) % 13) / 13 - 0.5;
    const ValueId weight = build.constant(converted(Tensor::of<double>({12, 12}, w), DType::f32), "w" + name);
    return to_heads(named(name, "MatMul", {x, transpose(weight, {1, 0})}));
  }

  ValueId attend(const std::string& block, ValueId x, const std::string& form) {
    const ValueId q = projected(x, "q" + block), k = projected(x, "k" + block), v = projected(x, "v" + block);
    const ValueId scale = build.constant(Tensor::scalar(DType::f32, 0.5), "scale" + block);
    ValueId s = node("Mul", {product(q, k), scale});
    if (form == "bias") s = node("Add", {s, build.constant(Tensor::zeros(DType::f32, {3, 5, 5}), "bias" + block)});
    ValueId p = named("p" + block, "Softmax", {s}, {{"axis", std::int64_t{-1}}});
    if (form == "dead reader") node("Softmax", {scaled(s, 2)});
    if (form == "dropout") p = node("Dropout", {p, scalar(0.1)});
    if (form == "neutral") p = scaled(p, 1);
    ValueId y = named("y" + block, "MatMul", {p, v});
    if (form == "duplicate") y = node("Add", {y, node("MatMul", {p, v})});
    return node("Add", {x, from_heads(y)});
  }
  std::size_t seed = 0;
};

std::string list(const std::vector<AttentionSite>& sites) {
  std::string text;
  for (const auto& s : sites) text += concat(s.name, " ", name(s.role), " ", s.layer, " of ", s.q_heads, "\n");
  return text;
}

struct UnderPolicy {
  explicit UnderPolicy(const std::string& rules = {}) : policy(parse_policy("version: 1\n" + rules, "p.yaml")) {}
  Gradients gradients(const Graph& g, const std::vector<std::string>& wrt, const std::string& loss = "y",
                      const PassOptions& passes = {}) {
    return gradients_of(g, {}, loss, wrt, builtin_registry(), passes, {&policy, step_class(policy, {}), &trail});
  }
  Policy policy;
  Trail trail;
};

TEST(GradientsOf, see_the_sites_of_a_run) {
  for (const char* form : {"", "dead reader", "dropout", "neutral", "duplicate", "bias"})
    for (const std::vector<std::string>& wrt :
         {std::vector<std::string>{"x"}, {"wq0", "wk0", "wv0"}, {"q0", "y0", "y"}}) {
      SCOPED_TRACE(concat(form, ", with respect to ", wrt[0]));
      const Blocks model(form);
      UnderPolicy use;
      use.gradients(model.g, wrt);
      std::vector<AttentionSite> sites;
      for (const auto& s : use.trail.sites) sites.push_back(s.site);
      EXPECT_EQ(list(sites), list(attention_sites(graph_after(Stage::sites, model.g, {}, builtin_registry()))));
      EXPECT_EQ(list(sites), "p0.attention.0 self 0 of 3\np1.attention.1 self 1 of 3\n");
    }
}

// A dense policy changes no gradient: not of what attention takes in when nobody asks, and of no value that passes drop
// or merge.
TEST(GradientsOf, are_of_the_values_asked_for) {
  for (const char* form : {"dropout", "bias"}) {
    const Blocks model(form);
    std::vector<std::string> wrt{"x", "wq0", "q0", "k1", "y0", "y"};
    if (form == std::string("bias")) wrt.push_back("bias0");
    const Gradients plain = gradients_of(model.g, {}, "y", wrt, builtin_registry()),
                    found = UnderPolicy().gradients(model.g, wrt);
    EXPECT_EQ(found.graph.inputs.size(), plain.graph.inputs.size());
    EXPECT_EQ(found.graph.outputs.size(), plain.graph.outputs.size());
    const auto in = made_up_inputs(plain.graph);
    const auto expected = interpret(plain.graph, in), got = interpret(found.graph, in);
    for (const auto& [name, t] : expected) EXPECT_TRUE(close(got.at(name), t, {1e-4, 1e-4})) << form << ": " << name;
  }
}

TEST(GradientsOf, tell_merged_values_apart) {
  SmallGraph m;
  const ValueId x = m.input("x", {1, 1, 2, 2});
  const ValueId a = m.named("a", "Relu", {x}), b = m.named("b", "Relu", {x});
  m.output("y", m.node("Add", {m.node("Mul", {a, m.constant("2")}), b}));
  const Gradients d = UnderPolicy().gradients(m.g, {"a"});
  const auto out = interpret(
      d.graph, {{"x", tensor_from_text("{{{{1, 2}, {3, 4}}}}")}, {"d.y", tensor_from_text("{{{{1, 1}, {1, 1}}}}")}});
  EXPECT_EQ(to_text(out.at("d.a")), "f32{{{{2, 2}, {2, 2}}}}");
}

TEST(GradientsOf, refuse_what_lies_inside_a_site) {
  const auto inside = ThrowsMessage<Error>(HasSubstr("lies inside attention site 'p1.attention.1'"));
  const Blocks model;
  EXPECT_THAT([&] { UnderPolicy().gradients(model.g, {"p1"}); }, inside);
  EXPECT_THAT([&] { UnderPolicy().gradients(model.g, {"scale1"}); }, inside);
  EXPECT_THAT([&] { UnderPolicy().gradients(model.g, {"x"}, "p1"); }, inside);
  EXPECT_NO_THROW(gradients_of(model.g, {}, "p1", {"scale1"}, builtin_registry()));
}

TEST(GradientsOf, leave_attention_alone_where_the_pass_is_off) {
  UnderPolicy use("rules: [{match: {layers: 0}, use: dense}]\n");
  EXPECT_THAT([&] { use.gradients(Blocks().g, {"x"}, "y", {{"find_attention"}}); },
              ThrowsMessage<Error>(HasSubstr("layer 0")));
}

}  // namespace
}  // namespace tessera
