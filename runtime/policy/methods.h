#pragma once
// A rule's method and parameters against the methods that are loaded. Private to policy/.
#include "ops/attention/method.h"
#include "runtime/policy/apply.h"

namespace tessera {

inline constexpr std::string_view attention_domain = "tessera.attention";

// The method a rule or the default names. Errors: policy, at `at`, with the nearest names.
const AttentionMethod& method_named(const Policy& policy, const Registry& registry, const std::string& name,
                                    PolicyPlace at);

// The rule's parameters as attributes of a node; `scheduled` holds the values of its schedules. Errors: policy.
Attributes method_attributes(const Policy& policy, const Rule& rule, const AttentionMethod& method,
                             std::span<const double> scheduled);

}  // namespace tessera
