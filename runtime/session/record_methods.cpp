#include "runtime/session/record_methods.h"

#include <cmath>

#include "ops/attention/by_head.h"
#include "runtime/load/load.h"
#include "runtime/session/plugin_host.h"

namespace tessera {
namespace {

std::string schema_text(const MethodParameter& p) {
  std::string text = concat("; ", p.name, ": ", name(p.type));
  if (!p.fallback.empty()) text += concat(" = ", p.fallback);
  if (!p.choices.empty()) return concat(text, " of ", p.choices);
  if (p.type != AttributeType::text && std::isfinite(p.low)) text += concat(" from ", p.low);
  if (p.type != AttributeType::text && std::isfinite(p.high)) text += concat(" to ", p.high);
  return text;
}

void record(Graph& g, const AttentionMethod& method) {
  if (const Plugin* plugin = plugin_of(method))
    g.metadata[plugin_metadata_key("tessera.attention", method.name)] = concat(plugin->name, " ", plugin->version);
  if (method.parameters.empty()) return;
  std::string text = concat("version ", method.version);
  for (const auto& p : method.parameters) text += schema_text(p);
  g.metadata[method_metadata_key(method.name)] = text;
}

}  // namespace

void record_methods(Graph& g) {
  record_plugins(g);
  for (const Node& n : g.nodes) {
    if (n.op->domain != "tessera.attention") continue;
    if (const auto* method = method_of(*n.op)) record(g, *method);
    const auto several = n.attributes.find("methods");
    if (n.op->name != "by_head" || several == n.attributes.end()) continue;
    for (const auto& text : std::get<std::vector<std::string>>(several->second))
      record(g, *by_head::parse_method(text).method);
  }
}

}  // namespace tessera
