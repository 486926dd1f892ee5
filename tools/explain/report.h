#pragma once
// A policy's decisions as text and JSON.
#include "runtime/policy/apply.h"
#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

struct Explanation {
  std::string model;
  const Policy& policy;
  StepPosition at;
  Trail trail;
};

// Sites with what won, then what lost and why, matrix products that a rule took, totals.
std::string explanation_text(const Explanation& x, Format format);
Json explanation_json(const Explanation& x);

}  // namespace tessera
