#pragma once
// Invariants of a graph, checked when it is built and after every pass.
#include "runtime/graph/graph.h"

namespace tessera {

// Throws Error(internal) naming the node or value when: an id is out of range, a value has two producers, a node reads
// a value that comes later (so the order is not topological), a producer does not list its output, a dtype is
// undefined, a constant's type or shape differs from its value's, names repeat, or an output is undefined. O(size of
// the graph).
void verify(const Graph& g);

}  // namespace tessera
