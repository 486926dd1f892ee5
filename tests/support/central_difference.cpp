#include "tests/support/central_difference.h"

#include <algorithm>
#include <cmath>

#include "runtime/graph/build.h"
#include "runtime/train/differentiate.h"
#include "tests/support/interpret.h"

namespace tessera {
namespace {

// Uneven, so that gradients that cancel in a plain sum show: 1, -0.5, 0.7, ... by position.
Tensor seed_for(const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(1.0 + 2.3 * static_cast<double>(i)) + 0.1;
  return Tensor::of<double>(shape, values);
}

double weighted_sum(const Tensor& y, const Tensor& seed) {
  const auto a = doubles(y), b = doubles(seed);
  double s = 0;
  for (std::size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}

Tensor copy_of(const Tensor& t) { return Tensor::of<double>(t.shape(), t.read<double>()); }

bool takes_f64(const OpDef& op, std::size_t input) {
  const auto& port = op.inputs[std::min(input, op.inputs.size() - 1)];
  return std::any_of(op.types.begin(), op.types.end(),
                     [&](const TypeVar& t) { return t.name == port.type && t.allowed.has(DType::f64); });
}

bool is_shape(const OpDef& op, std::size_t input) {
  return std::find(op.shape_reads.begin(), op.shape_reads.end(), static_cast<int>(input)) != op.shape_reads.end();
}

// Moves elements of inputs[x] and compares d(sum(output * seed))/dx with `gradient`.
void compare(const Graph& g, std::vector<Tensor> inputs, std::size_t x, std::size_t output, const Tensor& seed,
             const Tensor& gradient, const DifferenceOptions& options, std::vector<std::string>& errors) {
  const std::string& name = g.at(g.inputs[x].value).name;
  const auto found = doubles(gradient);
  if (gradient.shape() != inputs[x].shape()) {
    errors.push_back(concat("d.", name, " has shape ", gradient.shape(), ", its input ", inputs[x].shape()));
    return;
  }
  double largest = 1;
  for (const double d : found) largest = std::max(largest, std::abs(d));
  inputs[x] = copy_of(inputs[x]);
  const auto elements = inputs[x].write<double>();
  const std::size_t stride = std::max<std::size_t>(1, elements.size() / options.most);
  for (std::size_t i = 0; i < elements.size(); i += stride) {
    const double at = elements[i], h = options.step * std::max(1.0, std::abs(at) / 1000);
    elements[i] = at + h;
    const double above = weighted_sum(interpret(g, inputs)[output], seed);
    elements[i] = at - h;
    const double below = weighted_sum(interpret(g, inputs)[output], seed);
    elements[i] = at;
    const double expected = (above - below) / (2 * h);
    if (!std::isfinite(expected)) continue;  // no derivative here: infinities and NaN among the inputs
    if (!(std::abs(found[i] - expected) <= options.tolerance * largest))
      errors.push_back(
          concat("d.", name, "[", i, "] of ", g.outputs[output].name, ": ", found[i], ", differences say ", expected));
  }
}

}  // namespace

std::vector<std::string> gradient_errors(const Graph& g, const std::vector<Tensor>& inputs, const Registry& registry,
                                         const DifferenceOptions& options) {
  std::vector<std::string> errors;
  std::vector<std::size_t> variables;
  std::vector<std::string> wrt;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() != DType::f64) continue;
    variables.push_back(i);
    wrt.push_back(g.at(g.inputs[i].value).name);
  }
  for (std::size_t o = 0; o < g.outputs.size(); ++o) {
    const Value& y = g.at(g.outputs[o].value);
    if (y.dtype != DType::f64) continue;
    const auto joint = differentiate(g, g.outputs[o].name, wrt, registry);
    std::vector<Tensor> in = inputs;
    Tensor seed = Tensor::scalar(1.0).reshaped(count(*y.shape) == 1 ? *y.shape : Shape{});
    if (!joint.seed.empty()) in.push_back(seed = converted(seed_for(*y.shape), y.dtype));
    const auto out = interpret(joint.graph, in);
    for (std::size_t i = 0; i < variables.size(); ++i)
      compare(g, inputs, variables[i], o, seed, out[out.size() - variables.size() + i], options, errors);
  }
  return errors;
}

std::vector<std::string> gradient_errors(const OpDef& op, const Attributes& attributes,
                                         const std::vector<Tensor>& inputs, const std::vector<bool>& wanted,
                                         const DifferenceOptions& options, const Registry& registry) {
  if (op.gradient.is(no_gradient)) return {};
  Graph g;
  GraphBuilder build(g, registry);
  std::vector<ValueId> in;
  std::vector<Tensor> variables;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    if (!t || !takes_f64(op, i) || !dtypes::floats.has(t.dtype())) {
      in.push_back(t ? build.constant(t) : ValueId::none);
      continue;
    }
    const Tensor wide = converted(t, DType::f64);
    const std::string name = i < op.inputs.size() ? std::string(op.inputs[i].name) : concat("input", i);
    if (is_shape(op, i) || std::find(options.fixed.begin(), options.fixed.end(), name) != options.fixed.end()) {
      in.push_back(build.constant(wide));
      continue;
    }
    SymbolicShape shape;
    for (const auto d : t.shape()) shape.push_back({d, {}});
    in.push_back(build.input(name, DType::f64, shape));
    variables.push_back(wide);
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < wanted.size(); ++i) names.push_back(wanted[i] ? concat("out", i) : "");
  const auto out = build.add(op, "node", std::move(in), attributes, names);
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i]) build.output(names[i], out[i]);
  return gradient_errors(g, variables, registry, options);
}

}  // namespace tessera
