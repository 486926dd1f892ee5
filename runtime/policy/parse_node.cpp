#include "runtime/policy/parse_node.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tessera {
namespace {

template <class T>
std::optional<T> parsed(const std::string& text) {
  T value{};
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string> strings(std::span<const std::string_view> names) { return {names.begin(), names.end()}; }

void PolicyNode::check_tag() const {
  const auto& tag = node_.Tag();
  if (!tag.empty() && tag != "?" && tag != "!") fail("the tag ", tag, " has no meaning in a policy");
}

std::string PolicyNode::kind() const {
  if (node_.IsMap()) return "keys with values";
  if (node_.IsSequence()) return "a list";
  if (!node_.IsScalar()) return "nothing";
  return concat(number() ? "the number " : "the text '", node_.Scalar(), number() ? "" : "'");
}

std::vector<PolicyNode::Entry> PolicyNode::entries() const {
  check_tag();
  if (!node_.IsMap()) fail(what_, " takes keys with values, got ", kind());
  std::vector<Entry> all;
  for (const auto& pair : node_) {
    PolicyNode key(*path_, pair.first, concat("a key of ", what_));
    std::string name = key.text();
    for (const auto& earlier : all)
      if (earlier.name == name) key.fail("'", name, "' stands here twice; first in line ", earlier.key.at().line);
    all.push_back({key, PolicyNode(*path_, pair.second, name), name});
  }
  return all;
}

std::vector<PolicyNode::Entry> PolicyNode::entries(std::span<const std::string_view> known) const {
  auto all = entries();
  for (const auto& e : all) {
    if (std::find(known.begin(), known.end(), e.name) != known.end()) continue;
    std::string list;
    for (const auto k : known) list += concat(list.empty() ? "" : ", ", k);
    const std::string near = did_you_mean(e.name, strings(known));
    e.key.fail("unknown key '", e.name, "' in ", what_, near.empty() ? concat("; it takes ", list) : near);
  }
  return all;
}

std::vector<PolicyNode> PolicyNode::items() const {
  check_tag();
  if (node_.IsScalar()) return {*this};
  if (!node_.IsSequence()) fail(what_, " takes a list, got ", kind());
  std::vector<PolicyNode> all;
  for (const auto& item : node_) all.emplace_back(*path_, item, what_);
  if (all.empty()) fail(what_, " is an empty list; leave the key out");
  return all;
}

std::string PolicyNode::text() const {
  check_tag();
  if (!node_.IsScalar()) fail(what_, " takes text, got ", kind());
  if (node_.Scalar().empty()) fail(what_, " is empty");
  return node_.Scalar();
}

bool PolicyNode::boolean() const {
  check_tag();
  if (node_.IsScalar() && !quoted() && (node_.Scalar() == "true" || node_.Scalar() == "false"))
    return node_.Scalar() == "true";
  fail(what_, " takes true or false, got ", kind());
}

std::optional<Attribute> PolicyNode::number() const {
  if (!node_.IsScalar() || quoted()) return std::nullopt;
  if (const auto i = parsed<std::int64_t>(node_.Scalar())) return Attribute(*i);
  const auto x = parsed<double>(node_.Scalar());
  if (!x || !std::isfinite(*x) || std::abs(*x) > 1e30) return std::nullopt;
  return Attribute(static_cast<float>(*x));
}

std::int64_t PolicyNode::integer(std::int64_t low, std::int64_t high) const {
  check_tag();
  const auto value = node_.IsScalar() && !quoted() ? parsed<std::int64_t>(node_.Scalar()) : std::nullopt;
  if (!value) fail(what_, " takes a whole number, got ", kind());
  if (*value < low || *value > high) fail(what_, " must be from ", low, " to ", high, ", got ", *value);
  return *value;
}

double PolicyNode::real() const {
  check_tag();
  const auto value = node_.IsScalar() && !quoted() ? parsed<double>(node_.Scalar()) : std::nullopt;
  if (!value || !std::isfinite(*value) || std::abs(*value) > 1e30) fail(what_, " takes a number, got ", kind());
  return *value;
}

std::size_t PolicyNode::choice(std::span<const std::string_view> choices) const {
  const std::string name = text();
  const auto at = std::find(choices.begin(), choices.end(), name);
  if (at != choices.end()) return static_cast<std::size_t>(at - choices.begin());
  fail(what_, " must be ", either(choices), ", got '", name, "'", did_you_mean(name, strings(choices)));
}

}  // namespace tessera
