#pragma once
// A graph as text for people: a listing, and Graphviz.
#include <string>

#include "runtime/graph/graph.h"

namespace tessera {

// One line per input, constant, node and output, in order:
//
//   input   x: f32[1x3]
//   weight  w: f32[3x4]
//   h: f32[1x4] = MatMul(x, w)  # fc1
//   output  y = h
//
// Small constants are written as their values where they are used. A shape not known yet is "?".
std::string to_text(const Graph& g);

// A Graphviz digraph: boxes for nodes, ellipses for inputs and outputs, edges labelled with types. Constants are left
// out.
std::string to_dot(const Graph& g);

}  // namespace tessera
