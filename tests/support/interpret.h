#pragma once
// The plainest way to run a graph: every node in order with evaluate(), nothing folded, placed or overlapped. The
// yardstick for passes, plans and the executor.
#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tessera {

// The graph's outputs, in their order. `inputs` are in the order of graph.inputs; shapes need not be bound. If runs the
// branch it takes in the same way.
std::vector<Tensor> interpret(const Graph& g, std::span<const Tensor> inputs);

// The same by name; every input of the graph must be there.
std::map<std::string, Tensor> interpret(const Graph& g, const std::map<std::string, Tensor>& inputs);

}  // namespace tessera
