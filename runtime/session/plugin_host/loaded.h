#pragma once
// The C table behind a loaded plugin, for the parts of the plugin host.
#include <tessera/plugin.h>

#include "runtime/session/plugin_host.h"

namespace tessera {

const tsr_plugin& table_of(const Plugin& plugin);

}  // namespace tessera
