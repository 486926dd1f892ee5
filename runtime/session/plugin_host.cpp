#include "runtime/session/plugin_host.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "ops/attention/method_operator.h"
#include "runtime/load/load.h"
#include "runtime/op/context.h"
#include "runtime/session/plugin_host/library.h"
#include "runtime/session/plugin_host/loaded.h"
#include "runtime/session/plugin_host/methods.h"
#include "runtime/session/plugin_host/operators.h"
#include "runtime/session/plugin_host/search_path.h"
#include "runtime/session/plugin_host/table_copy.h"
#include "runtime/session/plugin_host/tables.h"

namespace tessera {
namespace {

// A plugin and what its operators and methods point to.
struct Loaded {
  explicit Loaded(const tsr_plugin& theirs) : copy(theirs) {}
  Plugin plugin;
  TableCopy copy;
  std::deque<AdoptedOperator> ops;
  std::deque<AdoptedMethod> methods;
};

// Everything loaded in this process; it only grows. What is reached from a Plugin is constant.
struct Process {
  std::mutex mutex;
  std::deque<std::unique_ptr<Loaded>> plugins;
  std::map<std::string, Loaded*> by_path;
};

Process& process() {
  static Process* const everything = new Process;  // plans may outlive the end of main
  return *everything;
}

const Plugin* owner_of(const Process& p, std::string_view domain, std::string_view name) {
  for (const auto& l : p.plugins)
    for (const OpDef* op : l->plugin.ops)
      if (op->domain == domain && op->name == name) return &l->plugin;
  return nullptr;
}

const Plugin* owner_of(const Process& p, const AttentionMethod& method) {
  for (const auto& l : p.plugins)
    for (const AttentionMethod* m : l->plugin.methods)
      if (m == &method) return &l->plugin;
  return nullptr;
}

void check_free(const Process& p, const tsr_plugin& table) {
  const auto taken = [](const std::string& what, const Plugin* by) {
    Error e(Code::plugin, concat(what, by ? concat(" is brought by plugin '", by->name, "' (", by->path, ") already")
                                          : " is built in"));
    throw e.hint(by ? "rename it, or load only one of the two" : "give it another name");
  };
  for (const tsr_op& op : std::span(table.ops, table.op_count)) {
    const std::string_view domain = domain_of(op);
    const Plugin* by = owner_of(p, domain, op.name);
    if (by || builtin_registry().find(domain, op.name)) taken(concat("operator '", op.domain, "::", op.name, "'"), by);
  }
  constexpr std::string_view of_methods = "tessera.attention";
  for (const tsr_method& m : std::span(table.methods, table.method_count)) {
    if (const AttentionMethod* there = find_method(m.name))
      taken(concat("attention method '", m.name, "'"), owner_of(p, *there));
    for (const auto& made : {std::string(m.name), concat(m.name, "Grad")}) {
      const Plugin* by = owner_of(p, of_methods, made);
      if (by || builtin_registry().find(of_methods, made)) taken(concat("operator '", of_methods, "::", made, "'"), by);
    }
  }
}

// All that can be refused is refused before anything is registered.
std::unique_ptr<Loaded> adopt_all(const Process& p, const tsr_plugin& theirs, const std::string& path) {
  auto loaded = std::make_unique<Loaded>(theirs);
  const tsr_plugin& table = loaded->copy.table();
  check_tables(table);
  check_free(p, table);
  loaded->plugin = {table.name, table.version, table.doc, path, {}, {}};
  const std::string frame = concat("plugin '", table.name, "' (", path, ")");
  for (const tsr_op& op : std::span(table.ops, table.op_count)) {
    AdoptedOperator& to = loaded->ops.emplace_back();
    adopt(to, op, frame);
    loaded->plugin.ops.push_back(&to.op);
  }
  std::vector<std::unique_ptr<const AttentionMethod>> records;
  for (const tsr_method& m : std::span(table.methods, table.method_count))
    records.push_back(adopt(loaded->methods.emplace_back(), m, table, frame));
  for (const auto& record : records) const MethodTables refused_here(*record);  // not after others are registered
  for (auto& record : records) {
    loaded->plugin.methods.push_back(record.get());
    const MethodOperators made = make_operator(std::move(record));
    for (const OpDef* op : {made.forward, made.backward})
      if (op) loaded->plugin.ops.push_back(op);
  }
  return loaded;
}

const Loaded* find_loaded(const Plugin& plugin) {
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  for (const auto& l : p.plugins)
    if (&l->plugin == &plugin) return l.get();
  return nullptr;
}

}  // namespace

const tsr_plugin& table_of(const Plugin& plugin) { return find_loaded(plugin)->copy.table(); }

const Plugin& load_plugin(const std::string& library, std::span<const std::string> folders) {
  const std::string found = find_plugin(library, folders);
  std::error_code none;
  const std::string real = std::filesystem::canonical(found, none).string();
  const std::string path = real.empty() ? found : real;
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  if (const auto it = p.by_path.find(path); it != p.by_path.end()) return it->second->plugin;
  try {
    auto loaded = adopt_all(p, open_plugin_library(path), path);
    p.by_path.emplace(path, loaded.get());
    return p.plugins.emplace_back(std::move(loaded))->plugin;
  } catch (Error& e) {
    throw e.in(concat("plugin file '", path, "'"));
  }
}

std::vector<const Plugin*> load_plugins(std::span<const std::string> libraries, std::span<const std::string> folders) {
  std::vector<const Plugin*> plugins;
  for (const auto& library : libraries) plugins.push_back(&load_plugin(library, folders));
  return plugins;
}

std::vector<const Plugin*> loaded_plugins() {
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  std::vector<const Plugin*> plugins;
  for (const auto& l : p.plugins) plugins.push_back(&l->plugin);
  return plugins;
}

Registry registry_with(std::span<const Plugin* const> plugins) {
  Registry registry = builtin_registry();
  for (const Plugin* plugin : plugins)
    for (const OpDef* op : plugin->ops)
      if (registry.find(op->domain, op->name) != op) registry.add(*op);  // a plugin may be named twice
  return registry;
}

const Plugin* plugin_of(const OpDef& op) {
  if (!op.user) return nullptr;
  for (const Plugin* plugin : loaded_plugins())
    if (std::find(plugin->ops.begin(), plugin->ops.end(), &op) != plugin->ops.end()) return plugin;
  return nullptr;
}

const Plugin* plugin_of(const AttentionMethod& method) {
  if (method.library.empty()) return nullptr;
  for (const Plugin* plugin : loaded_plugins())
    if (std::find(plugin->methods.begin(), plugin->methods.end(), &method) != plugin->methods.end()) return plugin;
  return nullptr;
}

const OpDef* find_operator(std::string_view name) {
  const auto split = name.find("::");
  const auto domain = split == std::string_view::npos ? std::string_view() : name.substr(0, split);
  const auto own = split == std::string_view::npos ? name : name.substr(split + 2);
  if (const OpDef* op = builtin_registry().find(domain, own)) return op;
  for (const Plugin* plugin : loaded_plugins())
    for (const OpDef* op : plugin->ops)
      if (op->domain == domain && op->name == own) return op;
  return nullptr;
}

std::string readme_of(const AttentionMethod& method) {
  if (method.library.empty()) return {};
  const auto* text = static_cast<const AdoptedMethod*>(method.user)->table->readme;
  return text ? text : "";
}

void record_plugins(Graph& g) {
  for (const Node& n : g.nodes)
    if (const Plugin* plugin = plugin_of(*n.op))
      g.metadata[plugin_metadata_key(n.op->domain, n.op->name)] = concat(plugin->name, " ", plugin->version);
}

}  // namespace tessera
