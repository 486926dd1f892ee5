#pragma once
// A plan: what will happen for one set of input shapes, in which order and where in memory. Immutable; shared by
// concurrent runs.
#include <memory>
#include <optional>
#include <vector>

#include "runtime/graph/graph.h"

namespace tessera {

// Where a value lives during a run.
struct Slot {
  enum class Kind {
    constant,  // the graph's tensor
    input,     // the caller's tensor
    output,    // fresh memory, handed to the caller
    arena,     // at `offset` in the run's arena
    view,      // the elements of slot `base` under this value's shape
    late,      // shape known during the run only; memory of its own
    unused,    // a value nobody computes in this plan
  } kind = Kind::unused;
  std::size_t offset = 0;  // bytes, arena only; a multiple of 64
  std::int32_t base = -1;  // view only; never itself a view, never late
  DType dtype = DType::undefined;
  Shape shape;  // not set for late
  std::size_t bytes() const { return static_cast<std::size_t>(count(shape)) * size_of(dtype); }
};

struct Step {
  NodeId node{};                      // in Plan::graph: name, operator, attributes
  std::shared_ptr<const void> state;  // of the operator's prepare hook
  std::vector<std::int32_t> in, out;  // slots; -1 absent, or an optional output that nobody reads
  std::vector<std::int32_t> next;     // steps that wait for this one: data, and memory reuse; all stand later
  std::int32_t waits_for = 0;         // how many steps come before
  bool late = false;                  // shapes are inferred when it runs
  double flops = 0;                   // by the operator's rule; 0 when late
  double cost = 0;                    // estimated nanoseconds on one core, for deciding where to run it
};

// A graph output: the slot that holds it, and whether the caller gets a copy of that slot, because it is an input, a
// constant, or shares its memory with another output.
struct PlanOutput {
  std::int32_t slot = -1;
  bool copied = false;
};

struct Plan {
  // How the steps run. The order of `steps` is always valid.
  enum class Mode {
    inline_steps,  // in order on the calling thread, loops in kernels too: too little work to share
    ordered,       // in order; the loops inside kernels use all threads
    parallel,      // as their `next` edges allow
  } mode = Mode::parallel;
  Graph graph;                      // specialised; owns names, attributes and constants
  std::vector<Slot> slots;          // one per value of `graph`
  std::vector<Step> steps;          // in an order that is valid on one thread
  std::vector<PlanOutput> outputs;  // one per graph output
  std::size_t arena_bytes = 0;
  std::size_t output_bytes = 0;  // of outputs with shapes known now
  std::size_t constant_bytes = 0;
  double cost = 0;  // sum over steps
  double flops = 0;
};

struct PlanOptions {
  bool one_thread = false;              // steps will never overlap: memory is packed more tightly, without edges
  std::optional<Plan::Mode> mode = {};  // instead of the one that the costs suggest
};

// Places memory and orders the steps of a graph whose inputs have concrete shapes. Reuse of memory is safe however
// steps overlap: where an order is needed that data does not give, `next` has the edge. Runs each operator's prepare
// hook. Errors: bad_input for an input without a shape, or where a shape rule or prepare hook refuses; they name the
// node.
Plan make_plan(Graph g, const PlanOptions& options = {});

}  // namespace tessera
