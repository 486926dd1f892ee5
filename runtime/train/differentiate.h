#pragma once
// Graph -> Graph with gradients, as ordinary nodes. runtime/plan/gradients_of.h does all of it for a loaded model.
#include <string>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

struct Gradients {
  Graph graph;       // the forward graph, plus the gradients as outputs "d.NAME", in the order asked for
  std::string seed;  // name of the added input "d.OUTPUT", d(loss)/d(output); empty for an output of one element
};

// d(sum(output * seed)) / d(wrt); the seed of an output of one element is 1. `g` has concrete shapes. `output` names a
// graph output or a value; `wrt` names floating values: inputs, constants (weights) or what nodes compute. A value that
// the output does not depend on gets zeros. Only nodes on a path from a wanted value to the output are differentiated,
// in reverse order. The nodes written for node N are named "d.N". Gradients of a value read several times are summed
// with Add; one that is larger than its value by broadcasting is reduced, and one of another type is cast, here.
//
// A constant in `wrt` stays a constant. Passes that run before (folding, merging) must leave the values of `wrt` alone,
// see Keep in pass/passes.h; afterwards the usual passes may run over the joint graph.
//
// Errors: bad_input for unknown names, names given twice, values that are no floats, or a graph with an output of a
// gradient's name; unsupported where an operator on the path has no gradient rule, or a shape there is known during the
// run only.
Gradients differentiate(const Graph& g, const std::string& output, const std::vector<std::string>& wrt,
                        const Registry& registry);

}  // namespace tessera
