#pragma once
// An operator's examples: documentation and test at once.
//
//   "{{1, 2}}; axis=1 -> {3}"        inputs and attributes, then outputs, separated by ';'
//
// Tensors are written as in tensor/text.h, `_` stands for an absent input or an output of no interest; attributes as
// axis=-1, alpha=0.5, mode="linear", perm=[1, 0], value=f32{1}, each by the type of the operator's table.
#include <string>
#include <string_view>
#include <vector>

#include "runtime/op/op.h"

namespace tessera {

struct Example {
  std::vector<Tensor> in, out;  // false where `_`
  Attributes attributes;
};

// Error(internal) naming the operator and the place when the text does not parse.
Example parse_example(const OpDef& op, std::string_view text);
// "axis=1; alpha=0.5" alone; empty is none. The same errors.
Attributes parse_attributes(const OpDef& op, std::string_view text);

// Runs the operator's examples; a line for each that does not hold, within 1e-4 absolute or relative.
std::vector<std::string> failing_examples(const OpDef& op);

}  // namespace tessera
