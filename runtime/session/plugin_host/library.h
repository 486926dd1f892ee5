#pragma once
// Opening a plugin's file: everything that can be wrong with it is found here, each with what to do next.
#include <tessera/plugin.h>

#include <string>

namespace tessera {

// Loads the library and returns its table, whose version and size fit. The library stays for the life of the process,
// also when this fails. Errors (all Error(plugin)): no such file, no ELF shared library, cut short, of another
// architecture, a missing dependency or symbol, no entry, an entry without a table, another ABI version.
const tsr_plugin& open_plugin_library(const std::string& path);

// Error(plugin) when a plugin of ABI version `theirs`, with a tsr_plugin of `size` bytes, cannot be used by a host of
// version `ours`.
void check_abi(std::uint32_t theirs, std::uint32_t size, std::uint32_t ours);

}  // namespace tessera
