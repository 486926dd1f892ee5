#include "runtime/policy/methods.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/nearest.h"

namespace tessera {
namespace {

// A value as the file has it, in the type the schema wants; check_parameter refuses what is left.
Attribute converted(const MethodParameter& p, const Attribute& value) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  const auto* text = std::get_if<std::string>(&value);
  if (p.type == AttributeType::real && whole) return static_cast<float>(*whole);
  if (p.type == AttributeType::integers && whole) return std::vector{*whole};
  if (p.type == AttributeType::integer && text && (*text == "true" || *text == "false"))
    return std::int64_t{*text == "true"};
  return value;
}

// A number in the schema's type, where it has one.
Attribute number(const MethodParameter& p, double x) {
  constexpr double beyond = 0x1p63;  // of 64-bit integers
  const bool whole = std::floor(x) == x && x >= -beyond && x < beyond;
  if (p.type == AttributeType::integer && whole) return static_cast<std::int64_t>(x);
  return static_cast<float>(x);
}

void check_value(const Policy& policy, const MethodParameter& p, const Attribute& value, PolicyPlace at) {
  try {
    check_parameter(p, value);
  } catch (const Error& e) {
    policy_error(policy.path, at, e.message());
  }
}

const MethodParameter& parameter_named(const Policy& policy, const AttentionMethod& method,
                                       const ParameterSetting& setting) {
  std::vector<std::string> names;
  for (const auto& p : method.parameters) {
    if (p.name == setting.name) return p;
    names.push_back(p.name);
  }
  std::string list;
  for (const auto& n : names) list += concat(list.empty() ? "; it takes " : ", ", n);
  const std::string near = did_you_mean(setting.name, names);
  policy_error(policy.path, setting.name_at, "method '", method.name, "' has no parameter '", setting.name, "'",
               !near.empty()   ? near
               : names.empty() ? std::string("; it takes none")
                               : list);
}

}  // namespace

const AttentionMethod& method_named(const Policy& policy, const Registry& registry, const std::string& name,
                                    PolicyPlace at) {
  const auto loaded = [&](const AttentionMethod& m) { return registry.find(attention_domain, m.name) != nullptr; };
  if (const auto* method = find_method(name); method && loaded(*method)) return *method;
  std::vector<std::string> names;
  std::string list;
  for (const auto* m : all_methods()) {
    if (!loaded(*m)) continue;
    names.push_back(m->name);
    list += concat(list.empty() ? "" : ", ", m->name);
  }
  Error error(Code::policy, concat(position(policy.path, at), ": there is no attention method '", name, "'",
                                   did_you_mean(name, names)));
  throw error.hint(concat("methods loaded: ", list, "; plugins bring more: 'plugins: [", name, "]'"));
}

Attributes method_attributes(const Policy& policy, const Rule& rule, const AttentionMethod& method,
                             std::span<const double> scheduled) {
  Attributes attributes;
  std::size_t schedule = 0;
  for (const auto& setting : rule.with) {
    const MethodParameter& p = parameter_named(policy, method, setting);
    Attribute value = converted(p, setting.value);
    if (const auto& s = setting.schedule) {
      for (const double x : {s->from, s->to}) check_value(policy, p, number(p, x), setting.at);
      if (p.type == AttributeType::integer && std::floor(s->add) != s->add)
        policy_error(policy.path, setting.at, "'", p.name, "' is a whole number; adding ", s->add, " leaves it none");
      value = number(p, scheduled[schedule++]);
    }
    check_value(policy, p, value, setting.at);
    attributes[setting.name] = std::move(value);
  }
  for (const auto& p : method.parameters)
    if (p.fallback == "required" && !attributes.contains(p.name))
      policy_error(policy.path, rule.use_at, "method '", method.name, "' needs parameter '", p.name, "': ", p.doc);
  return attributes;
}

void check_policy(const Policy& policy, const Registry& registry) {
  const AttentionMethod& base = method_named(policy, registry, policy.method, policy.method_at);
  for (const auto& p : base.parameters)
    if (p.fallback == "required")
      policy_error(policy.path, policy.method_at, "method '", base.name, "' needs parameter '", p.name,
                   "', which a default cannot give; write a rule");
  for (const auto& rule : policy.rules) {
    std::vector<double> first;
    for (const auto& p : rule.with)
      if (p.schedule) first.push_back(p.schedule->from);
    method_attributes(policy, rule, method_named(policy, registry, rule.method, rule.use_at), first);
  }
}

}  // namespace tessera
