#pragma once
// Gives the graph's inputs concrete shapes, from the caller's shapes and the sizes of symbols.
#include <map>
#include <string>

#include "runtime/graph/graph.h"

namespace tessera {

struct Binding {
  std::map<std::string, Shape> shapes;          // by input name
  std::map<std::string, std::int64_t> symbols;  // by dim_param
};

// Sets input shapes. A shape given must agree with the declared one: same rank, same numbers, equal sizes for equal
// symbols (also across inputs). Inputs not given take their declared shape with symbols replaced. With `complete`, an
// input left with an unknown dim is an error naming input and symbols. Errors: bad_input.
void bind_shapes(Graph& g, const Binding& binding, bool complete = true);

}  // namespace tessera
