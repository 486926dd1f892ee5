#include <tessera/plugin.h>

#include <stdexcept>

const tsr_plugin* tsr_plugin_entry() { throw std::runtime_error("no licence"); }
