// Rules, their parameters, the token grid and the lock.
#include <algorithm>
#include <cmath>

#include "runtime/policy/keys.h"
#include "runtime/policy/parse_node.h"

namespace tessera {
namespace {

constexpr std::int64_t largest = 1'000'000'000'000;

// from, to and add are needed; the first addition comes after `every` steps unless `after` says otherwise.
Schedule parse_schedule(const PolicyNode& node) {
  Schedule s;
  std::optional<std::int64_t> after;
  bool from = false, to = false, add = false;
  for (const auto& e : node.entries(policy_keys::schedule)) {
    if (e.name == "from") {
      s.from = e.value.real();
      from = true;
    } else if (e.name == "to") {
      s.to = e.value.real();
      to = true;
    } else if (e.name == "add") {
      s.add = e.value.real();
      add = true;
    } else {
      (e.name == "every" ? s.every : after.emplace()) = e.value.integer(e.name == "every" ? 1 : 0, largest);
    }
  }
  for (const auto& [given, key] : {std::pair(from, "from"), {to, "to"}, {add, "add"}})
    if (!given) node.fail("the schedule of ", node.what(), " needs '", key, "'");
  s.after = after.value_or(s.every);
  if (s.add == 0 || (s.to - s.from) * s.add < 0) node.fail("adding ", s.add, " to ", s.from, " never reaches ", s.to);
  if ((s.to - s.from) / s.add > 100'000) node.fail("the schedule of ", node.what(), " has more than 100000 stages");
  return s;
}

// A list of numbers: integers when all are written so.
Attribute parse_numbers(const PolicyNode& node) {
  std::vector<std::int64_t> integers;
  std::vector<float> reals;
  for (const auto& item : node.items()) {
    const auto number = item.number();
    if (!number) item.fail(node.what(), " takes a list of numbers, got ", item.kind(), " in it");
    const auto* whole = std::get_if<std::int64_t>(&*number);
    if (whole) integers.push_back(*whole);
    reals.push_back(whole ? static_cast<float>(*whole) : std::get<float>(*number));
  }
  if (integers.size() == reals.size()) return integers;
  return reals;
}

// precision: bf16, or f32, which undoes an earlier rule.
bool parse_precision(const PolicyNode& node) {
  static constexpr std::string_view precisions[] = {"f32", "bf16"};
  return node.choice(precisions) == 1;
}

}  // namespace

std::vector<ParameterSetting> parse_parameters(const PolicyNode& node) {
  std::vector<ParameterSetting> all;
  for (const auto& e : node.entries()) {
    ParameterSetting p{e.name, {}, e.value.quoted(), {}, e.key.at(), e.value.at()};
    if (e.value.is_map()) {
      p.schedule = parse_schedule(e.value);
      p.value = static_cast<float>(p.schedule->from);
    } else if (e.value.is_list()) {
      p.value = parse_numbers(e.value);
    } else if (const auto number = e.value.number()) {
      p.value = *number;
    } else {
      p.value = e.value.text();
    }
    all.push_back(std::move(p));
  }
  return all;
}

Rule parse_rule(const PolicyNode& node) {
  static constexpr std::string_view only_dense[] = {"dense"};
  if (!node.is_map()) node.fail("a rule takes keys with values, got ", node.kind());
  Rule rule;
  rule.at = node.at();
  for (const auto& e : node.entries(policy_keys::rule)) {
    if (e.name == "match") {
      rule.match = parse_match(e.value, policy_keys::match);
    } else if (e.name == "use") {
      rule.method = e.value.text();
      rule.use_at = e.value.at();
    } else if (e.name == "with") {
      rule.with = parse_parameters(e.value);
    } else if (e.name == "optional") {
      rule.optional = e.value.boolean();
    } else if (e.name == "else") {
      e.value.choice(only_dense);
      rule.else_dense = true;
    } else {
      rule.bf16 = parse_precision(e.value);
    }
  }
  if (rule.method.empty()) node.fail("the rule says no method; add 'use: NAME'");
  return rule;
}

LinearRule parse_linear(const PolicyNode& node) {
  if (!node.is_map()) node.fail("a rule takes keys with values, got ", node.kind());
  LinearRule rule;
  rule.at = node.at();
  bool precision = false;
  for (const auto& e : node.entries(policy_keys::linear)) {
    if (e.name == "match") {
      rule.match = parse_match(e.value, policy_keys::linear_match);
    } else if (e.name == "optional") {
      rule.optional = e.value.boolean();
    } else {
      rule.bf16 = parse_precision(e.value);
      precision = true;
    }
  }
  if (!precision) node.fail("the rule says nothing about precision; add 'precision: bf16'");
  return rule;
}

namespace {

std::vector<std::int64_t> different(std::vector<std::int64_t> axes, const PolicyNode& list) {
  const auto items = list.items();
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (std::count(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(i), axes[i]) > 0)
      items[i].fail("axis ", axes[i], " stands in ", list.what(), " twice");
  return axes;
}

}  // namespace

GridSpec parse_grid(const PolicyNode& node) {
  constexpr std::size_t most_axes = 4;
  GridSpec grid;
  grid.at = node.at();
  const auto sizes = [&](const PolicyNode& list, std::int64_t low) {
    std::vector<std::int64_t> all;
    for (const auto& item : list.items()) all.push_back(item.integer(low, largest));
    if (all.size() > most_axes) list.fail(list.what(), " has ", all.size(), " numbers; a grid has 1 to 4 axes");
    return all;
  };
  if (!node.is_map()) {
    grid.sizes = sizes(node, 1);
    return grid;
  }
  for (const auto& e : node.entries(policy_keys::grid)) {
    if (e.name == "input") grid.input = e.value.text();
    if (e.name == "axes") grid.axes = different(sizes(e.value, 0), e.value);
    if (e.name == "patch") grid.patch = sizes(e.value, 1);
  }
  if (grid.input.empty()) node.fail("grid needs 'input': the model's input whose axes form the grid");
  if (grid.axes.empty()) node.fail("grid needs 'axes': which axes of input '", grid.input, "' form the grid");
  if (grid.patch.empty()) grid.patch.assign(grid.axes.size(), 1);
  if (grid.patch.size() != grid.axes.size())
    node.fail("grid has ", grid.axes.size(), " axes but a patch of ", grid.patch.size());
  return grid;
}

Lock parse_lock(const PolicyNode& node) {
  Lock lock;
  lock.at = node.at();
  for (const auto& e : node.entries(policy_keys::lock)) {
    if (e.name == "model") {
      lock.model = e.value.text();
      continue;
    }
    for (const auto& item : e.value.items()) {
      Lock::Method method;
      method.at = item.at();
      for (const auto& m : item.entries(policy_keys::lock_method)) {
        if (m.name == "name") method.name = m.value.text();
        if (m.name == "version") method.version = m.value.integer(1, largest);
        if (m.name == "library") method.library = m.value.text();
        if (m.name == "library_version") method.library_version = m.value.text();
      }
      lock.methods.push_back(std::move(method));
    }
  }
  if (lock.model.empty()) node.fail("the lock says no model");
  return lock;
}

}  // namespace tessera
