#include "runtime/policy/methods.h"

#include <algorithm>
#include <cmath>

#include "ops/attention/planned_method.h"
#include "runtime/base/nearest.h"

namespace tessera {
namespace {

// Beyond, an f32 need not be the whole number that was written.
bool is_whole(float x) { return std::floor(x) == x && std::abs(x) < 0x1p24F; }

// A value as the file has it, in the type the schema wants; check_parameter refuses what is left.
Attribute converted(const MethodParameter& p, const ParameterSetting& setting) {
  const Attribute& value = setting.value;
  const auto* whole = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<float>(&value);
  const auto* reals = std::get_if<std::vector<float>>(&value);
  const auto* text = setting.quoted ? nullptr : std::get_if<std::string>(&value);
  if (p.type == AttributeType::integer && real && is_whole(*real)) return static_cast<std::int64_t>(*real);
  if (p.type == AttributeType::integers && reals && std::ranges::all_of(*reals, is_whole))
    return std::vector<std::int64_t>(reals->begin(), reals->end());
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

// Of an attention that few methods would mind: by `scale` tokens along each axis, and by as many heads.
std::string refusal_at(const AttentionMethod& method, const Attributes& parameters, std::int64_t scale) {
  std::vector<std::int64_t> grid(3, scale);
  if (cuts_tiles(method)) grid.assign(MethodParameters(method.parameters, parameters).integers("tile").size(), scale);
  std::int64_t tokens = 1;
  for (const auto n : grid) tokens *= n;
  const AttentionShape shape{.batch = 1,
                             .q_heads = scale,
                             .kv_heads = scale,
                             .q_len = tokens,
                             .kv_len = tokens,
                             .qk_dim = 16 * scale,
                             .v_dim = 16 * scale};
  try {
    PlannedMethod(method, shape, 1, grid, parameters);
  } catch (const Error& e) {
    if (e.code() == Code::bad_input) return e.message();
  }
  return {};
}

// A method's check sees parameters and sizes together. What it says in the same words of unlike sizes is said of the
// parameters, and no site is there to be excused by 'else: dense'.
void check_together(const Policy& policy, const AttentionMethod& method, const Attributes& parameters, PolicyPlace at) {
  const std::string why = refusal_at(method, parameters, 1);
  if (why.empty()) return;
  for (const std::int64_t scale : {4, 8, 12, 30})
    if (refusal_at(method, parameters, scale) != why) return;
  policy_error(policy.path, at, "method '", method.name, "' refuses its parameters, whatever the site: ", why);
}

// A tile has as many axes as the policy's grid.
void check_axes(const Policy& policy, const AttentionMethod& method, const Attributes& parameters, PolicyPlace at) {
  if (!policy.grid || !cuts_tiles(method)) return;
  const auto axes = policy.grid->sizes.size() + policy.grid->axes.size();
  const auto tile = MethodParameters(method.parameters, parameters).integers("tile").size();
  if (tile != axes)
    policy_error(policy.path, at, "parameter 'tile' of method '", method.name, "' has ", tile,
                 " axes, the policy's grid has ", axes);
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
    Attribute value = converted(p, setting);
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
  check_together(policy, base, {}, policy.method_at);
  check_axes(policy, base, {}, policy.method_at);
  for (const auto& rule : policy.rules) {
    const AttentionMethod& method = method_named(policy, registry, rule.method, rule.use_at);
    for (const auto end : {&Schedule::from, &Schedule::to}) {
      std::vector<double> scheduled;
      for (const auto& p : rule.with)
        if (p.schedule) scheduled.push_back(*p.schedule.*end);
      const Attributes parameters = method_attributes(policy, rule, method, scheduled);
      check_together(policy, method, parameters, rule.use_at);
      check_axes(policy, method, parameters, rule.use_at);
    }
  }
}

}  // namespace tessera
