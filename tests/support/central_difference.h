#pragma once
// Gradients of differentiate() against central differences, in f64.
//
//   EXPECT_THAT(gradient_errors(builtin_registry().at("Mul"), {}, {a, b}, {true}), testing::IsEmpty());
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

struct DifferenceOptions {
  double step = 1e-5;                // h of (f(x + h) - f(x - h)) / 2h, times max(1, |x| / 1000)
  double tolerance = 1e-6;           // of the difference, relative to max(1, largest gradient)
  std::size_t most = 64;             // elements of each input that are moved, spread evenly
  std::vector<std::string> fixed{};  // inputs of an operator that are not moved, by the names of its table
};

// One line per wrong element: "d.x[3] of y: 1.5, differences say 1.25". Empty when all agree. Each f64 output is
// checked by itself, with a fixed uneven seed; the f64 inputs of the graph are the variables. Inputs are in the order
// of g.inputs. Throws what differentiate throws, so a missing rule is Error(unsupported).
std::vector<std::string> gradient_errors(const Graph& g, const std::vector<Tensor>& inputs, const Registry& registry,
                                         const DifferenceOptions& options = {});

// The same for one operator. Floating inputs are turned to f64 and moved where the operator takes f64, others become
// constants, as do those its shapes depend on; an empty Tensor is an absent input. Operators without a gradient
// (no_gradient) have no errors. `wanted` has an entry per output; those that are false are left out of the node.
std::vector<std::string> gradient_errors(const OpDef& op, const Attributes& attributes,
                                         const std::vector<Tensor>& inputs, const std::vector<bool>& wanted,
                                         const DifferenceOptions& options = {},
                                         const Registry& registry = builtin_registry());

}  // namespace tessera
