#pragma once
// Places a plan's arena slots: lifetimes -> offsets, in place where operators allow it, and the edges that make reuse
// safe when steps overlap.
#include "runtime/plan/plan.h"

namespace tessera {

// Sets Slot::offset of arena slots and Plan::arena_bytes; adds to Step::next. Needs slots, steps and their data edges.
//
// * A step's outputs never overlap anything it reads, save where its operator's in_place pairs allow that, the input
//   has no other reader left, and both have the same shape and width.
// * Memory is reused when every step that touched it is an ancestor of the new owner. With `one_thread` every earlier
//   step counts as one. Otherwise, for blocks of at least 1 MiB that would make the arena grow, edges are added from
//   those steps, but only from steps that end before the new owner could begin even on a machine with unlimited cores:
//   so no edge lengthens the longest path, and independent chains of heavy steps still overlap.
void place_memory(Plan& plan, bool one_thread);

}  // namespace tessera
