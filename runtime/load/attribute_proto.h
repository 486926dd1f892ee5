#pragma once
// AttributeProto <-> Attribute, graphs excepted. Private to load/.
#include "runtime/load/tensor_proto.h"
#include "runtime/op/attribute.h"

namespace tessera {

// The attribute's type; where the file leaves it out, told from the value that is set. Errors: bad_input when a value
// of another type is set.
onnx::AttributeProto::AttributeType kind_of(const onnx::AttributeProto& proto);

// Errors: bad_input; unsupported for kinds that no operator of ours takes (lists of tensors, sparse tensors, types).
Attribute to_attribute(const onnx::AttributeProto& proto, TensorReader& tensors);

onnx::AttributeProto to_proto(const std::string& name, const Attribute& value);

}  // namespace tessera
