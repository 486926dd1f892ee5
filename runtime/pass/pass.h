#pragma once
// What a pass is: one rewrite of a graph, with its documentation; one per file, named after it. Every pass can be
// turned off by name (--pass no-NAME), except the two that later stages need (bind_shapes, fold_constants).
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/edit.h"

namespace tessera {

// A place that looks like what a pass rewrites, and what kept the pass from it.
struct Miss {
  std::string node;  // its name
  std::string reason;
};

// What a pass makes of a small graph, in calls:
//
//   inputs  "x: f32[2x8], scale, shift: f32[8]"
//   before  "y = Mul(x, scale); Add(y, shift), Clip(y, _, 1)"
//
// Values that are read twice are named first, the last part computes the outputs. Constants are tensors as in
// tensor/text.h (0.5, i64{0, -1}), attributes go by name, `_` is an absent input. The tests hold every pass to its
// examples: it turns `before` into `after`, once remove_dead has taken what it leaves unread, and both compute the
// same.
struct PassExample {
  std::string_view inputs, before, after;
};

struct PassDef {
  std::string_view name, doc, source;
  int (*run)(Graph&, const Registry&);  // how much it rewrote, 0: nothing; leaves a graph that `verify` accepts
  List<PassExample, 6> examples{};
  // For `inspect --why`: the near misses in a graph that the pass has left.
  std::vector<Miss> (*near_misses)(const Graph&) = nullptr;
};

// The passes between binding shapes and looking for attention, in order; run to a fixed point.
std::span<const PassDef* const> simplify_passes();
// The passes of stage `fuse`, in order; run to a fixed point.
std::span<const PassDef* const> fuse_passes();
// All there are, in the order of the stages.
std::vector<const PassDef*> all_passes();

struct PassOptions {
  std::set<std::string, std::less<>> disabled;  // names of passes not to run; Error(bad_input) for an unknown one
};

// What one pass did to a graph, in all rounds together.
struct PassRun {
  const PassDef* pass;
  bool off = false;  // turned off by name
  int rewrites = 0;
};

// Runs one pass once, unless it is turned off, and verifies what it rewrote.
PassRun run_pass(const PassDef& pass, Graph& g, const Registry& registry, const PassOptions& options);

// Runs passes in rounds until nothing changes. What they did, in order. Errors: internal, naming the passes that still
// rewrite after more rounds than a graph of its size can need.
std::vector<PassRun> run_passes(std::span<const PassDef* const> passes, Graph& g, const Registry& registry,
                                const PassOptions& options = {});

// Runs the passes over a bound graph until nothing changes, verifying after each. What they did, in order.
std::vector<PassRun> simplify(Graph& g, const Registry& registry, const PassOptions& options = {});

// Makes one node of several that compute one thing, where shapes are known. Results may differ from the exporter's
// spelling in the last bits, except those of fuse_elementwise. What the passes did, in order.
std::vector<PassRun> fuse(Graph& g, const Registry& registry, const PassOptions& options = {});

}  // namespace tessera
