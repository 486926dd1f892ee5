#pragma once
// Policies with the plugins they name.
#include <memory>

#include "runtime/plan/specialise.h"

namespace tessera {

// Null for an empty path. Errors: policy, with file, line and column.
std::shared_ptr<const Policy> open_policy(const std::string& path);

// The built-in operators, those of `plugins`, and those of the policy's plugins, which are looked for in its folder
// first. Errors: plugin; of a policy's plugin with file, line and column.
Registry registry_for(std::span<const std::string> plugins, const Policy* policy);
// The same for several policies.
Registry registry_for(std::span<const std::string> plugins, std::span<const std::shared_ptr<const Policy>> policies);

// Warns when methods refused sites, which stay dense because of `else: dense`.
void warn_of_fallbacks(const Policy& policy, const Trail& trail);

// What stage `policy` needs, for those who make plans themselves. Checks the policy against the methods loaded and its
// lock, if it is one, against the model. A null policy gives nothing to apply. Errors: policy.
PolicyUse policy_use(const Policy* policy, const Graph& loaded, const Registry& registry, const StepPosition& at);

}  // namespace tessera
