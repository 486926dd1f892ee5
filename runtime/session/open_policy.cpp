#include "runtime/session/open_policy.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/log.h"
#include "runtime/policy/lock.h"
#include "runtime/session/plugin_host.h"

namespace tessera {

std::shared_ptr<const Policy> open_policy(const std::string& path) {
  return path.empty() ? nullptr : std::make_shared<const Policy>(read_policy(path));
}

namespace {

void load_plugins_of(const Policy& policy, std::vector<const Plugin*>& loaded) {
  const std::filesystem::path folder = std::filesystem::path(policy.path).parent_path();
  const std::string folders[] = {folder.empty() ? "." : folder.string()};
  for (const auto& plugin : policy.plugins) try {
      const Plugin* p = &load_plugin(plugin.name, folders);
      if (std::find(loaded.begin(), loaded.end(), p) == loaded.end()) loaded.push_back(p);
    } catch (Error& e) {
      throw e.in("policy " + position(policy.path, plugin.at));
    }
}

}  // namespace

Registry registry_for(std::span<const std::string> plugins, const Policy* policy) {
  auto loaded = load_plugins(plugins);
  if (policy) load_plugins_of(*policy, loaded);
  return registry_with(loaded);
}

Registry registry_for(std::span<const std::string> plugins, std::span<const std::shared_ptr<const Policy>> policies) {
  auto loaded = load_plugins(plugins);
  for (const auto& policy : policies) load_plugins_of(*policy, loaded);
  return registry_with(loaded);
}

void warn_of_fallbacks(const Policy& policy, const Trail& trail) {
  const auto refused = std::count_if(trail.sites.begin(), trail.sites.end(), [](const SiteTrail& s) {
    return std::any_of(s.bindings.begin(), s.bindings.end(), [](const auto& b) { return !b.refusal.empty(); });
  });
  if (refused > 0)
    warn(concat("policy '", policy.path, "': ", refused, " of ", trail.sites.size(),
                " attention sites are dense where a method refused them; `tessera explain` says why"));
}

PolicyUse policy_use(const Policy* policy, const Graph& loaded, const Registry& registry, const StepPosition& at) {
  if (!policy) return {};
  check_policy(*policy, registry);
  check_lock(*policy, loaded, registry);
  return {policy, step_class(*policy, at)};
}

}  // namespace tessera
