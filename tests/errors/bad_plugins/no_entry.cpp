// A library, but no plugin.
extern "C" [[gnu::visibility("default")]] int tsr_plugin_enrty() { return 0; }
