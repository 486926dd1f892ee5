#include "runtime/session/open_policy.h"

#include <filesystem>

#include "runtime/policy/lock.h"
#include "runtime/session/plugin_host.h"

namespace tessera {

std::shared_ptr<const Policy> open_policy(const std::string& path) {
  return path.empty() ? nullptr : std::make_shared<const Policy>(read_policy(path));
}

Registry registry_for(std::span<const std::string> plugins, const Policy* policy) {
  auto loaded = load_plugins(plugins);
  if (!policy) return registry_with(loaded);
  const std::filesystem::path folder = std::filesystem::path(policy->path).parent_path();
  const std::string folders[] = {folder.empty() ? "." : folder.string()};
  for (const auto& plugin : policy->plugins) try {
      loaded.push_back(&load_plugin(plugin.name, folders));
    } catch (Error& e) {
      throw e.in("policy " + position(policy->path, plugin.at));
    }
  return registry_with(loaded);
}

PolicyUse policy_use(const Policy* policy, const Graph& loaded, const Registry& registry, const StepPosition& at) {
  if (!policy) return {};
  check_policy(*policy, registry);
  check_lock(*policy, loaded, registry);
  return {policy, step_class(*policy, at)};
}

}  // namespace tessera
