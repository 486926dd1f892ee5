#include <algorithm>

#include "runtime/base/nearest.h"
#include "runtime/graph/verify.h"
#include "runtime/pass/find_attention.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

void check_disabled(const PassOptions& options) {
  std::vector<std::string> names;
  for (const auto* pass : all_passes()) names.emplace_back(pass->name);
  for (const auto& name : options.disabled) {
    check(!always_on(name), "pass '", name, "' cannot be turned off: what follows needs its results");
    check(std::find(names.begin(), names.end(), name) != names.end(), "there is no pass '", name, "'",
          did_you_mean(name, names));
  }
}

}  // namespace

std::span<const PassDef* const> simplify_passes() {
  // Dead nodes go first: what nobody reads cannot make folding fail. Each pass feeds those after it; what they
  // uncover for an earlier one is found in the next round.
  static const PassDef* const passes[] = {&remove_dead_pass,     &fold_constants_pass, &inline_branch_pass,
                                          &drop_identity_pass,   &drop_neutral_pass,   &merge_constants_pass,
                                          &merge_duplicates_pass};
  return passes;
}

std::span<const PassDef* const> fuse_passes() {
  // One spelling for all, then norms and activations: what is left of pointwise operators then runs as chains.
  static const PassDef* const passes[] = {&drop_expand_pass,
                                          &write_signs_pass,
                                          &write_sigmoid_pass,
                                          &factor_out_pass,
                                          &fuse_layer_normalization_pass,
                                          &fuse_rms_normalization_pass,
                                          &fuse_modulation_pass,
                                          &fuse_gelu_pass,
                                          &fuse_silu_pass,
                                          &fuse_rotary_embedding_pass,
                                          &fuse_bias_pass,
                                          &fuse_elementwise_pass};
  return passes;
}

bool always_on(std::string_view name) { return name == "bind_shapes" || name == fold_constants_pass.name; }

std::vector<const PassDef*> all_passes() {
  std::vector<const PassDef*> all;
  all.assign(simplify_passes().begin(), simplify_passes().end());
  all.push_back(&find_attention_pass);
  all.insert(all.end(), fuse_passes().begin(), fuse_passes().end());
  return all;
}

PassRun run_pass(const PassDef& pass, Graph& g, const Registry& registry, const PassOptions& options) {
  PassRun run{.pass = &pass, .off = options.disabled.contains(pass.name)};
  if (!run.off) run.rewrites = pass.run(g, registry);
  if (run.rewrites == 0) return run;
  try {
    verify(g);
  } catch (Error& e) {
    throw e.in(concat("pass ", pass.name));
  }
  return run;
}

std::vector<PassRun> run_passes(std::span<const PassDef* const> passes, Graph& g, const Registry& registry,
                                const PassOptions& options) {
  check_disabled(options);
  std::vector<PassRun> runs;
  for (const auto* pass : passes) runs.push_back({.pass = pass});
  std::string firing;
  std::size_t rounds_left = g.nodes.size() + 100;
  do {
    check(rounds_left-- > 0, Code::internal, "passes undo each other without end: ", firing);
    firing.clear();
    for (auto& run : runs) {
      const PassRun now = run_pass(*run.pass, g, registry, options);
      run.off = now.off;
      run.rewrites += now.rewrites;
      if (now.rewrites > 0) firing += concat(firing.empty() ? "" : ", ", run.pass->name);
    }
  } while (!firing.empty());
  return runs;
}

std::vector<PassRun> simplify(Graph& g, const Registry& registry, const PassOptions& options) {
  return run_passes(simplify_passes(), g, registry, options);
}

std::vector<PassRun> fuse(Graph& g, const Registry& registry, const PassOptions& options) {
  auto runs = run_passes(fuse_passes(), g, registry, options);
  // Tables and scales that were brought into another form, and views that nobody reads now.
  for (const auto* pass : {&fold_constants_pass, &remove_dead_pass})
    runs.push_back(run_pass(*pass, g, registry, options));
  return runs;
}

}  // namespace tessera
