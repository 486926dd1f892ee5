#include "tools/explain/lock.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "ops/attention/method.h"
#include "runtime/policy/lock.h"
#include "tools/json.h"

namespace tessera {
namespace {

// As the parser reads it again: all digits that it takes, no exponent.
std::string range_text(const StepRange& r) {
  const auto end_text = [&](double x) {
    char digits[400];
    const auto end = std::to_chars(digits, digits + sizeof digits, x, std::chars_format::fixed).ptr;
    return concat(std::string_view(digits, end), r.percent ? "%" : "");
  };
  return r.first == r.last ? end_text(r.first) : concat(end_text(r.first), "-", end_text(r.last));
}

Json ranges_json(const std::vector<IndexRange>& ranges) {
  Json list = Json::array();
  for (const auto& r : ranges) list.push_back(r.first == r.last ? Json(r.first) : Json(concat(r.first, "-", r.last)));
  return list;
}

Json patterns_json(const std::vector<NamePattern>& patterns) {
  Json list = Json::array();
  for (const auto& p : patterns) list.push_back(p.text);
  return list;
}

Json match_json(const RuleMatch& m) {
  Json json = Json::object();
  for (const auto r : m.roles) json["role"].push_back(name(r));
  if (m.causal) json["causal"] = *m.causal;
  if (!m.layers.empty()) json["layers"] = ranges_json(m.layers);
  if (!m.names.empty()) json["name"] = patterns_json(m.names);
  if (!m.regexes.empty()) json["regex"] = patterns_json(m.regexes);
  if (!m.heads.empty()) json["heads"] = ranges_json(m.heads);
  for (const auto& s : m.steps) json["steps"].push_back(range_text(s));
  if (!m.when.empty()) json["when"] = m.when_text;
  return json;
}

Json parameters_json(const Rule& rule, const AttentionMethod& method) {
  Json json = Json::object();
  for (const auto& p : method.parameters) {
    const auto set = std::find_if(rule.with.begin(), rule.with.end(), [&](const auto& s) { return s.name == p.name; });
    if (set == rule.with.end()) {
      if (!p.fallback.empty()) json[p.name] = attribute_json(parse_parameter(p, p.fallback));
    } else if (const auto& s = set->schedule) {
      json[p.name] = {{"from", s->from}, {"to", s->to}, {"add", s->add}, {"every", s->every}, {"after", s->after}};
    } else {
      json[p.name] = attribute_json(set->value);
    }
  }
  return json;
}

Json rule_json(const Rule& rule, const AttentionMethod& method) {
  Json json = {{"match", match_json(rule.match)}, {"use", rule.method}};
  if (const Json with = parameters_json(rule, method); !with.empty()) json["with"] = with;
  if (rule.optional) json["optional"] = true;
  if (rule.else_dense) json["else"] = "dense";
  if (rule.bf16) json["precision"] = "bf16";
  return json;
}

Json grid_json(const GridSpec& grid) {
  if (!grid.sizes.empty()) return grid.sizes;
  return {{"input", grid.input}, {"axes", grid.axes}, {"patch", grid.patch}};
}

std::string plugin_from(const std::string& plugin, const std::string& policy, const std::string& lock) {
  if (plugin.find('/') == std::string::npos) return plugin;
  namespace fs = std::filesystem;
  const auto file = fs::absolute(fs::absolute(policy).parent_path() / plugin);
  const std::string relative = fs::proximate(file, fs::absolute(lock).parent_path()).string();
  return relative.find('/') == std::string::npos ? "./" + relative : relative;
}

}  // namespace

Json attribute_json(const Attribute& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
  if (const auto* x = std::get_if<float>(&value)) return as_written(*x);
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return *list;
  return to_text(value);
}

Json locked_policy(const Policy& policy, const Graph& loaded, const std::string& path) {
  Json json = {{"version", 1}};
  for (const auto& p : policy.plugins) json["plugins"].push_back(plugin_from(p.name, policy.path, path));
  if (policy.grid) json["grid"] = grid_json(*policy.grid);
  json["default"] = policy.method;
  std::set<std::string> methods = {policy.method};
  for (const auto& rule : policy.rules) {
    methods.insert(rule.method);
    json["rules"].push_back(rule_json(rule, *find_method(rule.method)));
  }
  for (const auto& rule : policy.linear) {
    Json linear = {{"match", match_json(rule.match)}, {"precision", rule.bf16 ? "bf16" : "f32"}};
    if (rule.optional) linear["optional"] = true;
    json["linear"].push_back(linear);
  }
  Json list = Json::array();
  for (const auto& m : methods) {
    const AttentionMethod& method = *find_method(m);
    Json entry = {{"name", m}, {"version", method.version}};
    if (!method.library.empty()) {
      entry["library"] = method.library;
      entry["library_version"] = method.library_version;
    }
    list.push_back(entry);
  }
  json["lock"] = {{"model", structural_hash(loaded)}, {"methods", list}};
  return json;
}

}  // namespace tessera
