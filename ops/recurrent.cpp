#include "ops/recurrent.h"

#include <cctype>
#include <limits>

#include "ops/vector_math.h"

namespace tessera {
namespace {

using Kind = GateFunction::Kind;

// Names as ONNX has them; what `activation_alpha` and `activation_beta` have no number for is as for the operators of
// these names. Only functions that have an alpha or beta take one from the list.
struct Known {
  std::string_view name;
  Kind kind;
  bool has_alpha = false, has_beta = false;
  float alpha = 0, beta = 0;
};
constexpr Known known[] = {{"Affine", Kind::affine, true, true, 1, 0},
                           {"Elu", Kind::elu, true, false, 1},
                           {"HardSigmoid", Kind::hard_sigmoid, true, true, 0.2f, 0.5f},
                           {"LeakyRelu", Kind::leaky_relu, true, false, 0.01f},
                           {"Relu", Kind::relu},
                           {"ScaledTanh", Kind::scaled_tanh, true, true, 1, 1},
                           {"Sigmoid", Kind::sigmoid},
                           {"Softplus", Kind::softplus},
                           {"Softsign", Kind::softsign},
                           {"Tanh", Kind::tanh},
                           {"ThresholdedRelu", Kind::thresholded_relu, true, false, 1}};

const Known& find(std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  std::string list;
  for (const auto& k : known) {
    if (std::ranges::equal(k.name, name, same)) return k;
    list += concat(list.empty() ? "" : ", ", k.name);
  }
  throw Error(Code::unsupported, concat("activation '", name, "' is none of ", list));
}

template <class C, class F>
void each(C* x, std::int64_t n, F f) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) x[i] = f(x[i]);
}

}  // namespace

template <class C>
void GateFunction::operator()(C* x, std::int64_t n) const {
  const C a = static_cast<C>(alpha), b = static_cast<C>(beta), most = static_cast<C>(clip);
  if (std::isfinite(clip)) each(x, n, [=](C v) { return v > most ? most : v < -most ? -most : v; });
  switch (kind) {
    case Kind::affine:
      return each(x, n, [=](C v) { return a * v + b; });
    case Kind::elu:
      return each(x, n, [=](C v) { return v < C(0) ? a * vector_math::expm1(v) : v; });
    case Kind::hard_sigmoid:
      return each(x, n, [=](C v) {
        const C y = a * v + b;
        return y < C(0) ? C(0) : y > C(1) ? C(1) : y;
      });
    case Kind::leaky_relu:
      return each(x, n, [=](C v) { return v < C(0) ? a * v : v; });
    case Kind::relu:
      return each(x, n, [](C v) { return v < C(0) ? C(0) : v; });
    case Kind::scaled_tanh:
      return each(x, n, [=](C v) { return a * vector_math::tanh(b * v); });
    case Kind::sigmoid:
      return each(x, n, [](C v) { return vector_math::sigmoid(v); });
    case Kind::softplus:
      return each(x, n, [](C v) { return vector_math::softplus(v); });
    case Kind::softsign:
      return each(x, n, [](C v) { return v / (C(1) + std::abs(v)); });
    case Kind::tanh:
      return each(x, n, [](C v) { return vector_math::tanh(v); });
    case Kind::thresholded_relu:
      return each(x, n, [=](C v) { return v < a ? C(0) : v; });
  }
}
template void GateFunction::operator()(float*, std::int64_t) const;
template void GateFunction::operator()(double*, std::int64_t) const;

std::vector<GateFunction> gate_functions(const AttributeReader& attr, std::int64_t directions,
                                         std::initializer_list<Kind> defaults) {
  const auto per_direction = static_cast<std::int64_t>(defaults.size());
  const float clip = attr.has("clip") ? attr.real("clip") : std::numeric_limits<float>::infinity();
  check(clip >= 0, "clip must not be negative, got ", clip);
  std::vector<GateFunction> list;
  const auto names = attr.texts("activations");
  if (names.empty())
    for (std::int64_t d = 0; d < directions; ++d)
      for (const Kind kind : defaults) list.push_back({kind, 0, 0, clip});
  auto alphas = attr.reals("activation_alpha"), betas = attr.reals("activation_beta");
  const auto next = [](std::span<const float>& given, bool takes, float fallback) {
    if (!takes || given.empty()) return fallback;
    const float x = given[0];
    given = given.subspan(1);
    return x;
  };
  for (const auto& name : names) {
    const Known& f = find(name);
    const float alpha = next(alphas, f.has_alpha, f.alpha), beta = next(betas, f.has_beta, f.beta);
    list.push_back({f.kind, alpha, beta, clip});
  }
  check(std::ssize(list) == directions * per_direction, "activations must name ", per_direction,
        " functions for each of ", directions, " directions, got ", list.size());
  return list;
}

Recurrence recurrence(const AttributeReader& attr, const Shape& x, const Shape& w, const Shape& r, std::int64_t gates) {
  check(x.rank() == 3, "X must have rank 3, got ", x);
  check(w.rank() == 3 && w[2] == x[2], "W must be [directions, ", gates, " hidden, ", x[2], "], got ", w);
  const auto direction = attr.text("direction");
  const std::int64_t layout = attr.integer("layout"), hidden = w[1] / gates;
  check(layout == 0 || layout == 1, "layout must be 0 or 1, got ", layout);
  const bool batch_first = layout == 1;
  const Recurrence s{.steps = x[batch_first ? 1 : 0],
                     .batch = x[batch_first ? 0 : 1],
                     .inputs = x[2],
                     .hidden = hidden,
                     .gates = gates,
                     .directions = direction == "bidirectional" ? 2 : 1,
                     .backward = direction == "reverse",
                     .batch_first = batch_first};
  check(w[1] % gates == 0 && w[0] == s.directions, "W must be [", s.directions, ", ", gates, " hidden, ", x[2],
        "], got ", w);
  check(!attr.has("hidden_size") || attr.integer("hidden_size") == hidden, "hidden_size is ",
        attr.has("hidden_size") ? attr.integer("hidden_size") : 0, ", W ", w, " has ", hidden);
  const Shape of_r{s.directions, s.width(), hidden};
  check(r == of_r, "R must be ", of_r, ", got ", r);
  return s;
}

void recurrent_shape(ShapeContext& c, std::int64_t gates) {
  const Recurrence s = recurrence(c.attr, c.in(0), c.in(1), c.in(2), gates);
  const Shape state = s.batch_first ? Shape{s.batch, s.directions, s.hidden} : Shape{s.directions, s.batch, s.hidden};
  const auto expect = [&](int i, const Shape& shape) {
    if (c.has(i))
      check(c.in(i) == shape, c.op.inputs[static_cast<std::size_t>(i)].name, " must be ", shape, ", got ", c.in(i));
  };
  expect(3, {s.directions, 2 * s.width()});
  expect(4, {s.batch});
  expect(5, state);
  expect(6, state);
  expect(7, {s.directions, 3 * s.hidden});
  c.out(0, s.batch_first ? Shape{s.batch, s.steps, s.directions, s.hidden}
                         : Shape{s.steps, s.directions, s.batch, s.hidden});
  c.out(1, state);
  c.out(2, state);
}

double recurrent_flops(const ShapeContext& c, std::int64_t gates) {
  const Recurrence s = recurrence(c.attr, c.in(0), c.in(1), c.in(2), gates);
  return 2.0 * double(s.steps) * double(s.batch) * double(s.directions) * double(s.width()) *
         double(s.inputs + s.hidden);
}

void without_output_sequence(RewriteContext& c) { c.attributes.erase("output_sequence"); }

}  // namespace tessera
