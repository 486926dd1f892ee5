#pragma once
// Types of a node's outputs from the operator's table: element types by its type variables, shapes by its shape rule.
#include <optional>
#include <span>
#include <vector>

#include "runtime/op/context.h"

namespace tessera {

// Element types of `outputs` outputs. Checks the number of inputs, the presence of required ones, that the tensors of
// one type variable agree, that each is allowed, that attributes are known to the table and of its kinds and that
// required ones are given. Inputs that are absent are DType::undefined. Errors: bad_input; unsupported for a type that
// the operator (or the runtime) does not take.
std::vector<DType> infer_dtypes(const OpDef& op, const Attributes& attributes, std::span<const DType> in, int outputs);

// Shapes of all outputs, or nothing while an input's shape, or the value of an input in shape_reads, is not known, or
// the operator is late. `shapes[i]` is null when unknown, `values[i]` when not constant.
std::optional<std::vector<Shape>> infer_shapes(const OpDef& op, const Attributes& attributes, std::span<const DType> in,
                                               std::span<const Shape* const> shapes,
                                               std::span<const Tensor* const> values, int outputs);

}  // namespace tessera
