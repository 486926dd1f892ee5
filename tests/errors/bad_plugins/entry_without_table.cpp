#include <tessera/plugin.h>

const tsr_plugin* tsr_plugin_entry() { return nullptr; }
