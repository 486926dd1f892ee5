#pragma once
// What a pass is: one rewrite of a graph, with its documentation; one per file, named after it. Every pass can be
// turned off by name (--pass no-NAME), except the two that later stages need (bind_shapes, fold_constants).
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "runtime/graph/edit.h"

namespace tessera {

struct PassDef {
  std::string_view name, doc, source;
  bool (*run)(Graph&, const Registry&);  // true when something changed; leaves a graph that `verify` accepts
};

// The passes between binding shapes and planning, in order; run to a fixed point.
std::span<const PassDef* const> simplify_passes();

struct PassOptions {
  std::set<std::string, std::less<>> disabled;  // names of passes not to run; Error(bad_input) for an unknown one
};

// Runs the passes over a bound graph until nothing changes, verifying after each.
void simplify(Graph& g, const Registry& registry, const PassOptions& options = {});

}  // namespace tessera
