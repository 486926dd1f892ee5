#pragma once
// The one way nodes are written: by importing, adapting, expanding, differentiating and rewriting. graph/ implements
// it.
#include <optional>
#include <string>
#include <vector>

#include "runtime/op/attribute.h"

namespace tessera {

enum class ValueId : std::int32_t { none = -1 };
constexpr std::size_t index(ValueId v) { return static_cast<std::size_t>(v); }

class NodeBuilder {
 public:
  virtual ~NodeBuilder() = default;
  // Appends a node of operator `op` ("Add", or "domain::Name") with `outputs` outputs, in the operator's newest
  // version; types are inferred at once. Optional inputs left out are ValueId::none. Errors: unsupported for an unknown
  // operator; bad_input where types or shapes do not fit.
  virtual std::vector<ValueId> nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes,
                                     int outputs) = 0;
  // The same, with one output.
  ValueId node(std::string_view op, std::vector<ValueId> in, Attributes attributes = {}) {
    return nodes(op, std::move(in), std::move(attributes), 1)[0];
  }
  // v as elements of `to`: v itself where it has them already.
  ValueId cast(ValueId v, DType to) {
    return dtype(v) == to ? v : node("Cast", {v}, {{"to", static_cast<std::int64_t>(to)}});
  }
  // v in f32 where its elements are sixteen-bit floats, v itself otherwise. For rules that count, square or average:
  // f16 ends at 65504 and 6e-8, and bf16 holds three digits.
  ValueId widened(ValueId v) { return dtype(v) == DType::f16 || dtype(v) == DType::bf16 ? cast(v, DType::f32) : v; }
  virtual ValueId constant(Tensor value) = 0;
  // A scalar of v's element type.
  ValueId scalar_like(ValueId v, double x) { return constant(Tensor::scalar(dtype(v), x)); }
  ValueId ints(std::initializer_list<std::int64_t> x) { return constant(Tensor::vector(x)); }
  ValueId ints(std::span<const std::int64_t> x) { return constant(Tensor::vector<std::int64_t>(x)); }

  virtual DType dtype(ValueId v) const = 0;
  virtual std::optional<Shape> shape(ValueId v) const = 0;  // empty while not known
  virtual const Tensor* value(ValueId v) const = 0;         // null when not constant
};

}  // namespace tessera
