#pragma once
// Graphs in the notation of a pass's examples (PassExample in runtime/pass/pass.h): read, and written back.
#include <string>
#include <string_view>

#include "runtime/graph/graph.h"

namespace tessera {

// `inputs` as "x: f32[2x8], q, k: f32[1x4]"; operators are the built-in ones. A graph attribute is written in braces,
// then_branch={Relu(x)}, and reads the names around it. Error(bad_input) with the rest of the text where it does not
// parse.
Graph graph_of(std::string_view inputs, std::string_view text);

// Equal for graphs that compute the same calls of the same values, whatever names and order they have: values with
// several readers are v0, v1, ... in the order they are met, attributes equal to their defaults are left out. Nodes
// that nobody reads come first.
std::string notation(const Graph& g);

}  // namespace tessera
