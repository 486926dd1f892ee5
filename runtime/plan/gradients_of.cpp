#include "runtime/plan/gradients_of.h"

#include "runtime/pass/find_attention.h"
#include "runtime/pass/passes.h"

namespace tessera {

Gradients gradients_of(Graph loaded, const Binding& binding, const std::string& output,
                       const std::vector<std::string>& wrt, const Registry& registry, const PassOptions& options,
                       const PolicyUse& policy) {
  Graph g = std::move(loaded);
  bind_shapes(g, binding);
  // Only what differentiating needs: shapes, and no branches. Dropping and merging would lose values of `wrt`.
  const Keep keep(wrt.begin(), wrt.end());
  do fold_constants(g, registry, keep);
  while (inline_branch_pass.run(g, registry));
  if (policy.policy) {
    find_attention_pass.run(g, registry);
    apply_policy(g, *policy.policy, registry, policy.at);
  }
  Gradients gradients = differentiate(g, output, wrt, registry);
  simplify(gradients.graph, registry, options);
  return gradients;
}

}  // namespace tessera
