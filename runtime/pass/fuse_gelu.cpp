// GELU as exporters spell it, multiplied out:
//
//   0.5 x + 0.5 x Erf(x / sqrt 2)
//   0.5 x + 0.5 x Tanh(sqrt(2 / pi) (x + 0.044715 x^3)), also as x Sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))
#include <numbers>

#include "runtime/pass/activation.h"

namespace tessera {
namespace {

constexpr double root_half = 1 / std::numbers::sqrt2, root_two_over_pi = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr double cubic = 0.044715;

struct Gelu : Activation {
  std::string approximate;
};

struct Form {
  std::string_view op;
  Polynomial y, argument;
  std::string_view approximate;
};

Polynomial bend(double c) { return {{c * root_two_over_pi, {1, 0}}, {c * root_two_over_pi * cubic, {3, 0}}}; }

// With F odd, P(x, F(Q(x))) is P(x, -F(-Q(x))): the form in which Q begins positive.
void turn_positive(Activation& a) {
  if (a.argument.empty() || a.argument[0].coefficient > 0) return;
  for (Term& t : a.argument) t.coefficient = -t.coefficient;
  for (Term& t : a.y)
    if (t.power[1] % 2 != 0) t.coefficient = -t.coefficient;
}

std::optional<Gelu> gelu(const Graph& g, const Uses& uses, NodeId n, Furthest* furthest) {
  static const Polynomial half{{0.5, {1, 0}}, {0.5, {1, 1}}}, whole{{1, {1, 1}}}, scaled{{root_half, {1, 0}}};
  static const Form forms[] = {
      {"Erf", half, scaled, "none"}, {"Tanh", half, bend(1), "tanh"}, {"Sigmoid", whole, bend(2), "tanh"}};
  const DType type = g.at(g.at(n).out[0]).dtype;
  for (const Form& form : forms) {
    const auto is = [&](Activation a, Match& m) {
      if (form.op != "Sigmoid") turn_positive(a);
      return m.wants(about(a.argument, form.argument, type), "its ", form.op, " is of ", to_text(a.argument),
                     ", not of ", to_text(form.argument)) &&
             m.wants(about(a.y, form.y, type), "with f its ", form.op, ", it is ", to_text(a.y), ", not ",
                     to_text(form.y));
    };
    if (auto a = activation(g, uses, n, form.op, furthest, is))
      return Gelu{*std::move(a), std::string(form.approximate)};
  }
  return std::nullopt;
}

ValueId write(Edit& edit, const Gelu& c) { return edit.node("Gelu", {c.x}, {{"approximate", c.approximate}}); }

}  // namespace

const PassDef fuse_gelu_pass{
    .name = "fuse_gelu",
    .doc =
        "Makes one Gelu of 0.5 x (1 + Erf(x / sqrt 2)) and of its tanh approximation, however they are multiplied out.",
    .source = "Hendrycks & Gimpel 2016, arXiv:1606.08415; torch.onnx exports, T5, BERT",
    .run = [](Graph& g, const Registry& registry) { return replace_matches(g, registry, gelu, write); },
    .examples = {{"x: f32[2x8]", "Mul(Mul(x, Add(Erf(Div(x, 1.4142135)), 1)), 0.5)", "Gelu(x)"},
                 {"x: f32[2x8]",
                  "cubic = Add(x, Mul(Pow(x, 3), 0.044715)); Mul(Mul(0.5, x), Add(Tanh(Mul(cubic, 0.7978846)), 1))",
                  "Gelu(x, approximate=\"tanh\")"}},
    .near_misses =
        [](const Graph& g) {
          return near_misses(g, gelu, {"Erf", "Tanh"});
        },
};

}  // namespace tessera
