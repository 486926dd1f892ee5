#pragma once
// Graph -> Graph with gradients, as ordinary nodes.
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

struct Gradients {
  Graph graph;       // the forward graph, plus the gradients as outputs "d.NAME", in the order asked for
  std::string seed;  // name of the added input that holds d(loss)/d(output); empty when the output is a scalar
};

// d(sum(output * seed)) / d(wrt). `g` has concrete shapes. wrt names graph inputs or constants (weights). A value the
// output does not depend on gets zeros. Only nodes on a path from a wanted value to the output are differentiated;
// gradients are summed with Add and reduced over broadcast axes here. Errors: bad_input for unknown names, integer
// values or an output that is no float; unsupported where an operator on the path has no gradient rule.
Gradients differentiate(const Graph& g, const std::string& output, const std::vector<std::string>& wrt,
                        const Registry& registry);

}  // namespace tessera
