#pragma once
// The keys a policy file may have, for the parser and for the check of policy.schema.json against it.
#include <string_view>

namespace tessera::policy_keys {

inline constexpr std::string_view file[] = {"version", "plugins", "grid", "default", "rules", "linear", "lock"};
inline constexpr std::string_view grid[] = {"input", "axes", "patch"};
inline constexpr std::string_view rule[] = {"match", "use", "with", "optional", "else", "precision"};
inline constexpr std::string_view match[] = {"role", "causal", "layers", "name", "regex", "heads", "steps", "when"};
inline constexpr std::string_view linear[] = {"match", "precision", "optional"};
inline constexpr std::string_view linear_match[] = {"name", "regex", "steps"};
inline constexpr std::string_view schedule[] = {"from", "to", "add", "every", "after"};
inline constexpr std::string_view lock[] = {"model", "methods"};
inline constexpr std::string_view lock_method[] = {"name", "version", "library", "library_version"};

}  // namespace tessera::policy_keys
