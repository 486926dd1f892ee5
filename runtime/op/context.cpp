#include "runtime/op/context.h"

namespace tessera {

const TensorType& ShapeContext::type(int i) const {
  check(has(i), "input ", i, " is missing");
  return in_[static_cast<std::size_t>(i)];
}

const Tensor& ShapeContext::value(int i) const {
  const Tensor* t = constant(i);
  check(t != nullptr, Code::internal, op.name, ": the shape rule reads input ", i, ", which is not in shape_reads");
  return *t;
}

void ShapeContext::out(int i, Shape shape) {
  element_count(shape);  // throws on negative or oversized dims
  if (i < outputs()) out_[static_cast<std::size_t>(i)] = std::move(shape);
}

std::vector<Tensor> KernelContext::run(const Subgraph& body, std::span<const Tensor> inputs) const {
  check(runner_ != nullptr, Code::internal, op.name, " needs a session to run its subgraph");
  return runner_->run(body, inputs);
}

void RewriteContext::attribute_to_input(std::string_view name, int i) {
  const auto it = attributes.find(name);
  if (it == attributes.end()) return;
  std::vector<std::int64_t> values;
  if (const auto* one = std::get_if<std::int64_t>(&it->second))
    values = {*one};
  else if (const auto* many = std::get_if<std::vector<std::int64_t>>(&it->second))
    values = *many;
  else
    throw Error(Code::bad_input, concat("attribute '", name, "' must be ints"));
  attributes.erase(it);
  if (static_cast<int>(in.size()) <= i) in.resize(static_cast<std::size_t>(i) + 1, ValueId::none);
  in[static_cast<std::size_t>(i)] = build.constant(Tensor::vector<std::int64_t>(values));
}

std::vector<ValueId> no_gradient(GradContext&) { return {}; }

std::vector<ValueId> gradient_missing(GradContext&) {
  throw Error(Code::unsupported, "this operator's gradient is not written");
}

}  // namespace tessera
