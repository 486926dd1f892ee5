#pragma once
// Tensors to run graphs on: normal numbers, integers 0 and 1, booleans. The same for the same seed.
#include <map>
#include <string>

#include "runtime/graph/graph.h"

namespace tessera {

Tensor made_up(DType t, const Shape& shape, unsigned seed);

// For each input of a graph whose sizes are known.
std::map<std::string, Tensor> made_up_inputs(const Graph& g);

}  // namespace tessera
