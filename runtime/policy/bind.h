#pragma once
// Gives one attention site its methods. Private to policy/.
#include "runtime/policy/given_site.h"

namespace tessera {

// What a policy is bound with: `grid` is how tokens lie by the policy, empty: it does not say.
struct BindingContext {
  const Policy& policy;
  const Registry& registry;
  const std::vector<std::int64_t>& grid;
};

// Binds site `trail.site` of `g`; `of_head` has one choice per head, in the end the trail its bindings. Errors: policy,
// naming rule and site, when a method refuses.
void bind_site(Graph& g, const BindingContext& context, const std::vector<const Choice*>& of_head, SiteTrail& trail);

// Floating-point operations of a node with known shapes, by its operator's rule.
double predicted_flops(const Graph& g, const Node& n);

}  // namespace tessera
