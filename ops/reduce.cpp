#include "ops/reduce.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// Which axes go.
InlineVector<bool, 8> gone_axes(int rank, std::span<const std::int64_t> axes, bool all_when_empty) {
  InlineVector<bool, 8> gone(static_cast<std::size_t>(rank), axes.empty() && all_when_empty);
  for (const auto a : normal_axes(axes, rank)) gone[static_cast<std::size_t>(a)] = true;
  return gone;
}

// The input's shape with 1 for each axis that goes.
Shape kept_shape(GradContext& g) {
  const Tensor* axes = g.has(1) ? g.value(g.in(1)) : nullptr;
  check(!g.has(1) || axes != nullptr, Code::unsupported, "the gradient of a reduction needs constant axes");
  Shape shape = *g.shape(g.in(0));
  const auto gone = gone_axes(shape.rank(), axes ? integers(*axes) : Shape{}, !g.attr().flag("noop_with_empty_axes"));
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (gone[i]) shape[i] = 1;
  return shape;
}

}  // namespace

void reduced_shape(ShapeContext& c) {
  if (c.has(1)) check(c.rank(1) <= 1, "axes must be a list, got shape ", c.in(1));
  const Shape& in = c.in(0);
  const bool keep = c.attr.flag("keepdims");
  const auto gone =
      gone_axes(in.rank(), c.has(1) ? integers(c.value(1)) : Shape{}, !c.attr.flag("noop_with_empty_axes"));
  Shape out;
  for (std::size_t i = 0; i < in.size(); ++i)
    if (!gone[i])
      out.push_back(in[i]);
    else if (keep)
      out.push_back(1);
  c.out(0, std::move(out));
}

bool reduces_nothing(const ShapeContext& c) { return c.out(0) == c.in(0); }

double reduction_flops(const ShapeContext& c) { return static_cast<double>(count(c.in(0))); }

void axes_to_input(RewriteContext& c) { c.attribute_to_input("axes", 1); }

ValueId with_reduced_axes(GradContext& g, ValueId v) { return reshaped(g, v, kept_shape(g)); }

ValueId reduce_alike(GradContext& g, std::string_view op, ValueId v) {
  return g.node(op, {v, g.has(1) ? g.in(1) : ValueId::none},
                {{"noop_with_empty_axes", g.attr().integer("noop_with_empty_axes")}});
}

ValueId expanded_like(GradContext& g, ValueId v, ValueId like) {
  return *g.shape(v) == *g.shape(like) ? v : g.node("Expand", {v, g.ints(*g.shape(like))});
}

std::vector<ValueId> gradient_to_extremes(GradContext& g) {
  const ValueId x = g.in(0), equal = g.node("Equal", {x, with_reduced_axes(g, g.out(0))});
  const ValueId ones = g.node("Where", {equal, g.scalar_like(x, 1), g.scalar_like(x, 0)});
  const ValueId ties = reduce_alike(g, "ReduceSum", g.widened(ones));
  const ValueId share = g.node("Div", {g.widened(with_reduced_axes(g, g.dout(0))), ties});
  return {g.node("Mul", {ones, g.cast(share, g.dtype(x))})};
}

double reduced_count(GradContext& g) {
  const auto outputs = static_cast<double>(count(kept_shape(g)));
  return outputs == 0 ? 0 : static_cast<double>(count(*g.shape(g.in(0)))) / outputs;
}

StridedWalk::StridedWalk(const Shape& dims, const Shape& strides, std::int64_t first)
    : dims_(dims), strides_(strides), at_(dims.size()) {
  for (std::size_t a = dims.size(); a-- > 0;) {
    at_[a] = first % dims[a];
    first /= dims[a];
    offset_ += at_[a] * strides[a];
  }
}

void StridedWalk::next() {
  for (std::size_t a = dims_.size(); a-- > 0;) {
    offset_ += strides_[a];
    if (++at_[a] < dims_[a]) return;
    offset_ -= dims_[a] * strides_[a];
    at_[a] = 0;
  }
}

ReducedAxes::ReducedAxes(const KernelContext& k)
    : ReducedAxes(k.in(0).shape(), k.has(1) ? integers(k.in(1)) : Shape{}, !k.attr.flag("noop_with_empty_axes")) {}

ReducedAxes::ReducedAxes(const Shape& in, std::span<const std::int64_t> axes, bool all_when_empty) {
  const auto goes = gone_axes(in.rank(), axes, all_when_empty);
  std::int64_t stride = 1;
  bool first = true, previous = false;
  for (std::size_t a = in.size(); a-- > 0;) {
    (goes[a] ? per_output : outputs) *= in[a];
    if (in[a] == 1) continue;
    auto& dims = goes[a] ? gone : kept;
    auto& strides = goes[a] ? gone_strides : kept_strides;
    if (first) {
      inner_gone = goes[a];
      width = in[a];
    } else if (goes[a] == previous && stride == width) {  // still inside the innermost axis
      width *= in[a];
    } else if (goes[a] == previous) {
      dims.back() *= in[a];
    } else {
      dims.push_back(in[a]);
      strides.push_back(stride);
    }
    first = false;
    previous = goes[a];
    stride *= in[a];
  }
  std::reverse(kept.begin(), kept.end());
  std::reverse(kept_strides.begin(), kept_strides.end());
  std::reverse(gone.begin(), gone.end());
  std::reverse(gone_strides.begin(), gone_strides.end());
}

}  // namespace tessera
