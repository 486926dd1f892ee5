#include "runtime/plan/cost.h"

namespace tessera {
namespace {

// A middling core: what matters is which steps are tiny and which are heavy, and both lie far from the border.
constexpr double flops_per_ns = 50;
constexpr double bytes_per_ns = 8;
constexpr double ns_per_step = 30;

double bytes_of(std::span<const TensorType> tensors) {
  double bytes = 0;
  for (const auto& t : tensors)
    if (t.dtype != DType::undefined)
      bytes += static_cast<double>(count(t.shape)) * static_cast<double>(size_of(t.dtype));
  return bytes;
}

}  // namespace

Cost estimate_cost(const OpDef& op, const Attributes& attributes, std::span<const TensorType> in,
                   std::span<const Tensor* const> values, std::span<const TensorType> out) {
  Cost cost;
  cost.bytes = bytes_of(in) + bytes_of(out);
  if (op.flops) {
    ShapeContext context(op, attributes, {in.begin(), in.end()}, {values.begin(), values.end()}, out.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      if (out[i].dtype != DType::undefined) context.out(static_cast<int>(i), out[i].shape);
    cost.flops = op.flops(context);
  } else if (!out.empty() && out[0].dtype != DType::undefined) {
    cost.flops = static_cast<double>(count(out[0].shape));
  }
  cost.nanoseconds = ns_per_step + std::max(cost.flops / flops_per_ns, cost.bytes / bytes_per_ns);
  return cost;
}

}  // namespace tessera
