#pragma once
// Operators of plugins as ordinary OpDefs: planner, executor, gradients and tests see no difference.
#include <tessera/plugin.h>

#include <deque>
#include <string>

#include "ops/attention/method.h"
#include "runtime/op/op.h"

namespace tessera {

// What OpDef::user points to. Lives as long as the process.
struct AdoptedOperator {
  const tsr_op* table = nullptr;
  std::string frame;  // "plugin 'swish' (/path/swish.so)", for errors
  std::vector<MethodParameter> attributes;
  std::vector<DType> output_types;  // undefined where `output_like` says it
  std::vector<int> output_like;     // the input whose element type an output has, or -1
  std::deque<std::string> texts;    // what the table's views point to beside the plugin's own strings
  OpDef op;
};

// The table must have passed check_tables. Errors: plugin, for types, attributes or examples that cannot be.
void adopt(AdoptedOperator& adopted, const tsr_op& table, const std::string& frame);

// Of an OpDef made by `adopt`.
inline const AdoptedOperator& adopted(const OpDef& op) { return *static_cast<const AdoptedOperator*>(op.user); }

// The functions an adopted OpDef has.
void plugin_shape(ShapeContext& c);
std::shared_ptr<const void> plugin_prepare(const PrepareContext& p);
void plugin_kernel(const KernelContext& k);
double plugin_flops(const ShapeContext& c);
std::vector<ValueId> plugin_gradient(GradContext& g);

}  // namespace tessera
