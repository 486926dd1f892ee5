#pragma once
// A program of pointwise operators, written down as one text per step:
//
//   "Mul(x0, x1)"  "Add(s0, x2)"  "Gelu(s1, approximate=\"tanh\")"
//
// x0, x1, ... are the program's inputs, s0, s1, ... what the steps before computed, _ an optional input left out. The
// last step computes the result. Names of operators and attributes are theirs; an operator of a domain is written
// domain::Name. Values, cheap to move; no state.
#include <string>
#include <vector>

#include "runtime/op/registry.h"

namespace tessera {

struct PointwiseStep {
  const OpDef* op = nullptr;
  Attributes attributes;
  std::vector<int> in;  // slots: the program's inputs come first, then the results of the steps; -1: left out
};

// Whether an operator can be a step: built in, pointwise, one output, no state and no randomness, attributes that can
// be written down.
bool can_be_step(const OpDef& op, const Attributes& attributes);

std::string to_text(const PointwiseStep& step, int inputs);
// Error(bad_input) with the step's text where it is malformed, names no operator that can be a step, or reads a slot
// that is not there yet.
std::vector<PointwiseStep> parse_steps(std::span<const std::string> texts, int inputs);

}  // namespace tessera
