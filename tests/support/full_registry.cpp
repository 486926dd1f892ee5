#include "tests/support/full_registry.h"

#include "runtime/session/plugin_host.h"

namespace tessera {

const Registry& full_registry() {
  static const Registry registry = [] {
    const std::vector<std::string> names{"bsa", "clip_in_c", "swish", "vsa"};
    return registry_with(load_plugins(names));
  }();
  return registry;
}

}  // namespace tessera
