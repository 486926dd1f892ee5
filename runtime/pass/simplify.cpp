#include <algorithm>

#include "runtime/base/nearest.h"
#include "runtime/graph/verify.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

void check_disabled(const PassOptions& options) {
  std::vector<std::string> names;
  for (const auto* pass : simplify_passes()) names.emplace_back(pass->name);
  for (const auto& name : options.disabled) {
    check(name != "bind_shapes" && name != fold_constants_pass.name, "pass '", name,
          "' cannot be turned off: what follows needs its results");
    check(std::find(names.begin(), names.end(), name) != names.end(), "there is no pass '", name, "'",
          did_you_mean(name, names));
  }
}

}  // namespace

std::span<const PassDef* const> simplify_passes() {
  // Dead nodes go first: what nobody reads cannot make folding fail. Each pass feeds those after it; what they
  // uncover for an earlier one is found in the next round.
  static const PassDef* const passes[] = {&remove_dead_pass,   &fold_constants_pass,  &inline_branch_pass,
                                          &drop_identity_pass, &merge_constants_pass, &merge_duplicates_pass};
  return passes;
}

void simplify(Graph& g, const Registry& registry, const PassOptions& options) {
  check_disabled(options);
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto* pass : simplify_passes()) {
      if (options.disabled.contains(pass->name) || !pass->run(g, registry)) continue;
      changed = true;
      try {
        verify(g);
      } catch (Error& e) {
        throw e.in(concat("pass ", pass->name));
      }
    }
  }
}

}  // namespace tessera
