#pragma once
// A plan: what will happen for one set of input shapes, in which order and where in memory. Immutable; shared by
// concurrent runs.
#include <memory>
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
  std::int32_t base = -1;  // view only; never itself a view
  DType dtype = DType::undefined;
  Shape shape;  // not set for late
};

struct Step {
  NodeId node{};                      // in Plan::graph: name, operator, attributes
  std::shared_ptr<const void> state;  // of the operator's prepare hook
  std::vector<std::int32_t> in, out;  // slots; -1 absent
  std::vector<std::int32_t> next;     // steps that wait for this one: data, and memory reuse
  std::int32_t waits_for = 0;         // how many steps come before
  bool late = false;                  // shapes are inferred when it runs
  double cost = 0;                    // estimated nanoseconds on one core, for deciding where to run it
};

struct Plan {
  Graph graph;              // specialised; owns names, attributes and constants
  std::vector<Slot> slots;  // one per value of `graph`
  std::vector<Step> steps;  // in an order that is valid on one thread
  std::size_t arena_bytes = 0;
  double cost = 0;  // sum over steps
  double flops = 0;
};

// Places memory and orders the steps of a graph whose inputs have concrete shapes. Reuse of memory is safe however
// steps overlap: where an order is needed that data does not give, `next` has the edge. Runs each operator's prepare
// hook.
Plan make_plan(Graph g);

}  // namespace tessera
