// RNN, GRU and LSTM against their definition in f64, one number at a time: sizes, directions, layouts, lengths, states,
// biases, peepholes and the functions of the gates.
#include "ops/recurrent.h"

#include <gmock/gmock.h>

#include <cmath>

#include "runtime/op/evaluate.h"
#include "runtime/tensor/text.h"
#include "tests/support/compare.h"
#include "tests/support/full_registry.h"
#include "tests/support/made_up.h"
#include "tests/support/threads.h"

namespace tessera {
namespace {

struct Sizes {
  std::int64_t steps, batch, inputs, hidden;
};

struct Case {
  std::string op;
  Sizes size;
  Attributes attributes{};
  std::vector<std::int32_t> lengths{};  // none: whole sequences
  bool states = true, bias = true, peepholes = false;

  std::int64_t gates() const { return op == "LSTM" ? 4 : op == "GRU" ? 3 : 1; }
  bool has(const std::string& name) const { return attributes.find(name) != attributes.end(); }
  std::string direction() const { return has("direction") ? std::get<std::string>(attributes.at("direction")) : ""; }
  std::int64_t directions() const { return direction() == "bidirectional" ? 2 : 1; }
  bool flag(const std::string& name) const { return has(name) && std::get<std::int64_t>(attributes.at(name)) != 0; }
};

std::vector<Tensor> inputs(const Case& c, DType type) {
  const auto& [steps, batch, inputs, hidden] = c.size;
  const std::int64_t d = c.directions(), wide = c.gates() * hidden;
  const auto tensor = [&](Shape shape, unsigned seed, double factor = 1) {
    Tensor t = made_up(DType::f64, shape, seed);
    for (double& x : t.write<double>()) x *= factor;
    return converted(t, type);
  };
  const bool first = c.flag("layout");
  const Shape state = first ? Shape{batch, d, hidden} : Shape{d, batch, hidden};
  std::vector<Tensor> in{tensor(first ? Shape{batch, steps, inputs} : Shape{steps, batch, inputs}, 1),
                         tensor({d, wide, inputs}, 2, 0.4), tensor({d, wide, hidden}, 3, 0.4)};
  in.push_back(c.bias ? tensor({d, 2 * wide}, 4) : Tensor());
  in.push_back(c.lengths.empty() ? Tensor() : Tensor::vector<std::int32_t>(c.lengths));
  in.push_back(c.states ? tensor(state, 5) : Tensor());
  if (c.op == "LSTM") {
    in.push_back(c.states ? tensor(state, 6) : Tensor());
    in.push_back(c.peepholes ? tensor({d, 3 * hidden}, 7) : Tensor());
  }
  return in;
}

double function(const std::string& name, double x) {
  if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (name == "Tanh") return std::tanh(x);
  if (name == "Relu") return std::max(x, 0.0);
  if (name == "Softsign") return x / (1 + std::abs(x));
  if (name == "Softplus") return std::log1p(std::exp(x));
  if (name == "Affine:2:0.5") return 2 * x + 0.5;
  if (name == "LeakyRelu:0.25") return x < 0 ? 0.25 * x : x;
  if (name == "ThresholdedRelu:0.25") return x >= 0.25 ? x : 0;
  if (name == "ScaledTanh:1.5:0.5") return 1.5 * std::tanh(0.5 * x);
  if (name == "HardSigmoid:0.25:0.75") return std::clamp(0.25 * x + 0.75, 0.0, 1.0);
  if (name == "HardSigmoid:0.2:0.5") return std::clamp(static_cast<double>(0.2f) * x + 0.5, 0.0, 1.0);
  if (name == "Elu:0.5") return x < 0 ? 0.5 * (std::exp(x) - 1) : x;
  throw std::invalid_argument(name);
}

// The definition. `functions` are those of each direction, with their alpha and beta.
class Definition {
 public:
  Definition(const Case& c, const std::vector<Tensor>& in, std::vector<std::string> functions)
      : c_(c), functions_(std::move(functions)) {
    for (const auto& t : in) in_.push_back(t ? doubles(t) : std::vector<double>());
    const auto& [steps, batch, inputs, hidden] = c.size;
    const std::int64_t d = c.directions(), states = d * batch * hidden;
    out[0] =
        Tensor::zeros(DType::f64, c.flag("layout") ? Shape{batch, steps, d, hidden} : Shape{steps, d, batch, hidden});
    for (int i : {1, 2})
      out[i] = Tensor::zeros(DType::f64, c.flag("layout") ? Shape{batch, d, hidden} : Shape{d, batch, hidden});
    EXPECT_EQ(out[1].size(), states);
    for (std::int64_t at = 0; at < d; ++at)
      for (std::int64_t b = 0; b < batch; ++b) sequence(at, b);
  }
  Tensor out[3];

 private:
  double at(std::size_t i, std::int64_t place) const {
    return in_.size() <= i || in_[i].empty() ? 0 : in_[i][static_cast<std::size_t>(place)];
  }
  double f(std::int64_t d, std::size_t which, double x) const {
    if (c_.has("clip")) {
      const double clip = static_cast<double>(std::get<float>(c_.attributes.at("clip")));
      x = std::clamp(x, -clip, clip);
    }
    const std::size_t each = functions_.size() / static_cast<std::size_t>(c_.directions());
    return function(functions_[static_cast<std::size_t>(d) * each + which], x);
  }

  void sequence(std::int64_t d, std::int64_t b) {
    const std::int64_t steps = c_.size.steps, batch = c_.size.batch, hidden = c_.size.hidden;
    const bool first = c_.flag("layout");
    const std::int64_t length = c_.lengths.empty() ? steps : c_.lengths[static_cast<std::size_t>(b)];
    const auto state = [&](std::int64_t j) { return (first ? b * c_.directions() + d : d * batch + b) * hidden + j; };
    std::vector<double> h, cell;
    for (std::int64_t j = 0; j < hidden; ++j) h.push_back(at(5, state(j))), cell.push_back(at(6, state(j)));
    for (std::int64_t s = 0; s < length; ++s) {
      const std::int64_t t = d == 1 || c_.direction() == "reverse" ? length - 1 - s : s;
      step(d, (first ? b * steps + t : t * batch + b) * c_.size.inputs, h, cell);
      const std::int64_t row = first ? (b * steps + t) * c_.directions() + d : (t * c_.directions() + d) * batch + b;
      for (std::int64_t j = 0; j < hidden; ++j)
        out[0].write<double>()[static_cast<std::size_t>(row * hidden + j)] = h[static_cast<std::size_t>(j)];
    }
    for (std::int64_t j = 0; j < hidden; ++j) {
      out[1].write<double>()[static_cast<std::size_t>(state(j))] = h[static_cast<std::size_t>(j)];
      out[2].write<double>()[static_cast<std::size_t>(state(j))] = cell[static_cast<std::size_t>(j)];
    }
  }

  double of_x(std::int64_t d, std::int64_t gate, std::int64_t j, std::int64_t x) const {
    const std::int64_t row = d * c_.gates() * c_.size.hidden + gate * c_.size.hidden + j;
    double sum = at(3, 2 * d * c_.gates() * c_.size.hidden + gate * c_.size.hidden + j);
    for (std::int64_t i = 0; i < c_.size.inputs; ++i) sum += at(0, x + i) * at(1, row * c_.size.inputs + i);
    return sum;
  }
  double of_h(std::int64_t d, std::int64_t gate, std::int64_t j, const std::vector<double>& h) const {
    const std::int64_t n = c_.size.hidden, row = d * c_.gates() * n + gate * n + j;
    double sum = at(3, (2 * d + 1) * c_.gates() * n + gate * n + j);
    for (std::int64_t i = 0; i < n; ++i) sum += h[static_cast<std::size_t>(i)] * at(2, row * n + i);
    return sum;
  }

  void step(std::int64_t d, std::int64_t x, std::vector<double>& h, std::vector<double>& cell) const {
    const std::vector<double> h0 = h;
    const std::int64_t n = c_.size.hidden;
    const auto both = [&](std::int64_t gate, std::int64_t j) { return of_x(d, gate, j, x) + of_h(d, gate, j, h0); };
    std::vector<double> reset_h = h0;
    if (c_.op == "GRU")
      for (std::int64_t j = 0; j < n; ++j) reset_h[static_cast<std::size_t>(j)] *= f(d, 0, both(1, j));
    for (std::int64_t j = 0; j < n; ++j) {
      double& to = h[static_cast<std::size_t>(j)];
      double& c = cell[static_cast<std::size_t>(j)];
      if (c_.op == "RNN") {
        to = f(d, 0, both(0, j));
      } else if (c_.op == "GRU") {
        const double z = f(d, 0, both(0, j)), r = f(d, 0, both(1, j));
        const double old = c_.flag("linear_before_reset") ? r * of_h(d, 2, j, h0) : of_h(d, 2, j, reset_h);
        to = (1 - z) * f(d, 1, of_x(d, 2, j, x) + old) + z * to;
      } else {
        const auto peephole = [&](std::int64_t which) { return at(7, (3 * d + which) * n + j) * c; };
        const double i = f(d, 0, both(0, j) + peephole(0));
        const double forget = c_.flag("input_forget") ? 1 - i : f(d, 0, both(2, j) + peephole(2));
        c = forget * c + i * f(d, 1, both(3, j));
        to = f(d, 0, both(1, j) + peephole(1)) * f(d, 2, c);
      }
    }
  }

  const Case& c_;
  const std::vector<std::string> functions_;
  std::vector<std::vector<double>> in_;
};

std::vector<std::string> default_functions(const Case& c) {
  std::vector<std::string> names;
  for (std::int64_t d = 0; d < c.directions(); ++d) {
    if (c.op != "RNN") names.emplace_back("Sigmoid");
    names.emplace_back("Tanh");
    if (c.op == "LSTM") names.emplace_back("Tanh");
  }
  return names;
}

std::vector<Tensor> run(const Case& c, const std::vector<Tensor>& in) {
  std::vector<const Tensor*> pointers;
  for (const auto& t : in) pointers.push_back(t ? &t : nullptr);
  return evaluate(builtin_registry().at(c.op), c.attributes, pointers, c.op == "LSTM" ? 3 : 2);
}

void expect_definition(const Case& c, std::vector<std::string> functions = {}) {
  if (functions.empty()) functions = default_functions(c);
  for (const DType type : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    const auto in = inputs(c, type);
    const Definition expected(c, in, functions);
    const auto got = run(c, in);
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(close(got[i], converted(expected.out[i], type), tolerance_of(type)))
          << c.op << " " << type << " output " << i << " of " << c.size.steps << " x " << c.size.batch << " x "
          << c.size.inputs << " -> " << c.size.hidden << " " << c.direction();
  }
}

const std::vector<std::string> operators{"RNN", "GRU", "LSTM"};

TEST(Recurrent, of_any_size) {
  for (const auto& op : operators)
    for (const auto& size : {Sizes{1, 1, 1, 1}, {7, 1, 9, 5}, {3, 4, 2, 33}, {5, 2, 40, 16}, {4, 130, 3, 8}})
      for (const bool given : {false, true}) expect_definition({op, size, {}, {}, given, given});
}

TEST(Recurrent, in_both_directions_and_layouts) {
  for (const auto& op : operators)
    for (const std::string direction : {"forward", "reverse", "bidirectional"})
      for (const std::int64_t layout : {0, 1})
        for (const bool lengths : {false, true})
          expect_definition({op,
                             {6, 4, 3, 5},
                             {{"direction", direction}, {"layout", layout}},
                             lengths ? std::vector<std::int32_t>{6, 0, 3, 1} : std::vector<std::int32_t>{}});
}

// More rows than are multiplied with W at once.
TEST(Recurrent, of_long_sequences) {
  for (const auto& op : operators)
    expect_definition({op, {300, 2, 3, 4}, {{"direction", std::string("bidirectional")}}, {300, 260}});
}

TEST(Recurrent, with_what_only_one_of_them_has) {
  for (const std::int64_t flag : {0, 1}) {
    expect_definition({"GRU", {5, 3, 4, 6}, {{"linear_before_reset", flag}}});
    expect_definition({"GRU", {5, 3, 4, 6}, {{"linear_before_reset", flag}}, {}, true, false});
    Case lstm{"LSTM", {5, 3, 4, 6}, {{"input_forget", flag}, {"direction", std::string("bidirectional")}}};
    lstm.peepholes = true;
    expect_definition(lstm);
  }
}

TEST(Recurrent, with_other_functions) {
  using Names = std::vector<std::string>;
  expect_definition({"LSTM",
                     {4, 2, 3, 5},
                     {{"activations", Names{"HardSigmoid", "softsign", "ScaledTanh"}},
                      {"activation_alpha", std::vector<float>{0.25f, 1.5f}},
                      {"activation_beta", std::vector<float>{0.75f, 0.5f}},
                      {"clip", 0.5f}}},
                    {"HardSigmoid:0.25:0.75", "Softsign", "ScaledTanh:1.5:0.5"});
  expect_definition({"GRU",
                     {4, 2, 3, 5},
                     {{"direction", std::string("bidirectional")},
                      {"activations", Names{"Sigmoid", "Elu", "HardSigmoid", "LeakyRelu"}},
                      {"activation_alpha", std::vector<float>{0.5f, 0.2f, 0.25f}}}},
                    {"Sigmoid", "Elu:0.5", "HardSigmoid:0.2:0.5", "LeakyRelu:0.25"});
  for (const auto& [name, function] : {std::pair{"Relu", "Relu"},
                                       {"Softplus", "Softplus"},
                                       {"ThresholdedRelu", "ThresholdedRelu:0.25"},
                                       {"Affine", "Affine:2:0.5"}})
    expect_definition({"RNN",
                       {2, 2, 3, 5},
                       {{"activations", Names{name}},
                        {"activation_alpha", std::vector<float>{std::string(name) == "Affine" ? 2.0f : 0.25f}},
                        {"activation_beta", std::vector<float>{0.5f}}}},
                      {function});
}

TEST(Recurrent, without_steps_or_sequences) {
  for (const auto& op : operators) {
    expect_definition({op, {0, 2, 3, 4}});
    expect_definition({op, {3, 0, 3, 4}});
  }
}

TEST(Recurrent, threads_change_no_bit) {
  for (const auto& op : operators) {
    const Case c{op, {6, 300, 20, 70}, {{"direction", std::string("bidirectional")}}};
    const auto in = inputs(c, DType::f32);
    std::vector<Tensor> one, many;
    with_threads(1, [&] { one = run(c, in); });
    with_threads(8, [&] { many = run(c, in); });
    for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(close(one[i], many[i], {0, 0})) << op << " output " << i;
  }
}

std::string refusal(const Case& c, const std::vector<Tensor>& in) {
  try {
    run(c, in);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Recurrent, says_what_does_not_fit) {
  const Case good{"GRU", {3, 2, 4, 5}};
  const auto with = [&](std::size_t i, const std::string& text) {
    auto in = inputs(good, DType::f32);
    in[i] = tensor_from_text(text);
    return refusal(good, in);
  };
  using testing::HasSubstr;
  EXPECT_THAT(with(0, "{{1, 2}}"), HasSubstr("X must have rank 3"));
  EXPECT_THAT(with(1, "{{{1, 2}}}"), HasSubstr("W must be [directions, 3 hidden, 4]"));
  EXPECT_THAT(with(2, "{{{1, 2}}}"), HasSubstr("R must be [1x15x5], got [1x1x2]"));
  EXPECT_THAT(with(3, "{{1}}"), HasSubstr("B must be [1x30], got [1x1]"));
  EXPECT_THAT(with(4, "i32{1, 2, 3}"), HasSubstr("sequence_lens must be [2], got [3]"));
  EXPECT_THAT(with(4, "i32{1, 4}"), HasSubstr("sequence_lens has 4 for sequences of 3 steps"));
  EXPECT_THAT(with(5, "{{{1}}}"), HasSubstr("initial_h must be [1x2x5]"));
  const auto given = [&](const std::string& name, Attribute a) {
    Case c = good;
    c.attributes[name] = std::move(a);
    return refusal(c, inputs(good, DType::f32));
  };
  EXPECT_THAT(given("direction", std::string("backward")),
              HasSubstr("'direction' must be forward, reverse or bidirectional, got 'backward'"));
  EXPECT_THAT(given("layout", std::int64_t{2}), HasSubstr("layout must be 0 or 1"));
  EXPECT_THAT(given("hidden_size", std::int64_t{6}), HasSubstr("hidden_size is 6"));
  EXPECT_THAT(given("clip", -1.0f), HasSubstr("clip must not be negative"));
  EXPECT_THAT(given("activations", std::vector<std::string>{"Tanh"}),
              HasSubstr("2 functions for each of 1 directions"));
  EXPECT_THAT(given("activations", std::vector<std::string>{"Tanh", "Cosh"}),
              HasSubstr("activation 'Cosh' is none of"));
}

}  // namespace
}  // namespace tessera
