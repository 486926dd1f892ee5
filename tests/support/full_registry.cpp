#include "tests/support/full_registry.h"

#include "runtime/session/plugin_host.h"
#include "runtime/session/plugin_host/search_path.h"

namespace tessera {

const Registry& full_registry() {
  static const Registry registry = [] { return registry_with(load_plugins(plugin_files())); }();
  return registry;
}

}  // namespace tessera
