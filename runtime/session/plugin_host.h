#pragma once
// Plugins: shared libraries that bring operators and attention methods through plugins/sdk/tessera/plugin.h.
//
//   const Registry registry = registry_with(load_plugins({"vsa", "./mine.so"}));
//   Graph g = load("model.onnx", registry);
//
// A library is loaded once per process, by its real path, and never unloaded: operators, methods and plans point into
// it, and any number of sessions use it. Names of operators and methods are unique in the process. Thread rule: any
// thread may call anything. Errors are Error(plugin) with what is wrong, the plugin and its path, and the next step.
#include <span>
#include <string>
#include <vector>

#include "ops/attention/method.h"
#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

struct Plugin {
  std::string name, version, doc;
  std::string path;               // canonical
  std::vector<const OpDef*> ops;  // also those of its methods
  std::vector<const AttentionMethod*> methods;
};

// Loads a plugin by name ("vsa") or path; again: gives the one that is there. `folders` are searched first, and
// relative paths are looked for there. See plugin_host/search_path.h.
const Plugin& load_plugin(const std::string& library, std::span<const std::string> folders = {});
std::vector<const Plugin*> load_plugins(std::span<const std::string> libraries,
                                        std::span<const std::string> folders = {});

// Those loaded so far, in order.
std::vector<const Plugin*> loaded_plugins();

// The built-in operators and those of the plugins.
Registry registry_with(std::span<const Plugin* const> plugins);

// The plugin that brought an operator or a method; null for built-in ones.
const Plugin* plugin_of(const OpDef& op);
const Plugin* plugin_of(const AttentionMethod& method);

// "Mul" or "domain::Name", built-in or of any loaded plugin; null when there is none.
const OpDef* find_operator(std::string_view qualified);

// Text of `tessera plugins info`; empty when the method brings none.
std::string readme_of(const AttentionMethod& method);

// The plugin's own test, and every example of its operators and methods. One line per failure; empty: all is well.
std::vector<std::string> self_test(const Plugin& plugin);

// Notes in the metadata which plugins the graph needs, one entry per operator, key plugin_metadata_key(op), value
// "NAME VERSION". A file saved with it says which plugin to give when it is loaded without.
void record_plugins(Graph& g);

}  // namespace tessera
