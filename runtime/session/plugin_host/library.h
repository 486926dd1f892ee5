#pragma once
// Opening a plugin's file: everything that can be wrong with it is found here, each with what to do next.
#include <tessera/plugin.h>

#include <string>

namespace tessera {

// Loads the library and returns its table, as the plugin wrote it, whose version fits. The library stays for the life
// of the process, also when this fails. Errors (all Error(plugin)): no such file, no ELF shared library, cut short, of
// another architecture, a missing dependency or symbol, no entry, an entry without a table, another ABI version.
const tsr_plugin& open_plugin_library(const std::string& path);

// Error(plugin) when a host of ABI version `ours` cannot use a plugin that was built for version `theirs` and works
// with hosts from `least` on (0: from `theirs` on).
void check_abi(std::uint32_t theirs, std::uint32_t least, std::uint32_t ours);

}  // namespace tessera
