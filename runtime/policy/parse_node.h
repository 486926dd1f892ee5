#pragma once
// One node of a policy file with its place: what the parser reads instead of bare YAML, so that no error lacks a line.
// Private to the parser.
#include <yaml-cpp/yaml.h>

#include <span>
#include <utility>
#include <vector>

#include "runtime/base/nearest.h"
#include "runtime/policy/policy.h"

namespace tessera {

class PolicyNode {
 public:
  // `what` names the node in errors: "rules", "sparsity". The path is borrowed.
  PolicyNode(const std::string& path, YAML::Node node, std::string what)
      : path_(&path), node_(std::move(node)), what_(std::move(what)) {}

  PolicyPlace at() const { return {node_.Mark().line + 1, node_.Mark().column + 1}; }
  const std::string& what() const { return what_; }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... message) const {
    policy_error(*path_, at(), message...);
  }
  // At `offset` characters into the text of a scalar.
  template <class... Parts>
  [[noreturn]] void fail_at(std::size_t offset, const Parts&... message) const {
    PolicyPlace place = at();
    place.column += static_cast<int>(offset) + (quoted() ? 1 : 0);
    policy_error(*path_, place, message...);
  }

  bool is_map() const { return node_.IsMap(); }
  bool is_list() const { return node_.IsSequence(); }

  struct Entry;
  // The entries of a map, in order. Errors: no map, a key twice; with `known`, a key that is none of them.
  std::vector<Entry> entries() const;
  std::vector<Entry> entries(std::span<const std::string_view> known) const;
  // The elements of a list, which may be written without brackets when it is one. Errors: a map, an empty list.
  std::vector<PolicyNode> items() const;

  // Scalars. Quoted text is no number, and not true or false. Errors: another kind.
  bool quoted() const { return node_.IsScalar() && node_.Tag() == "!"; }
  std::string text() const;
  bool boolean() const;
  std::int64_t integer(std::int64_t low, std::int64_t high) const;
  double real() const;
  // The number a scalar stands for, as an integer where it is written as one; nothing for other text.
  std::optional<Attribute> number() const;
  // One of `choices`, by its place there.
  std::size_t choice(std::span<const std::string_view> choices) const;
  std::string kind() const;  // "a list", "text 'abc'": for errors

 private:
  void check_tag() const;
  const std::string* path_;
  YAML::Node node_;
  std::string what_;
};

struct PolicyNode::Entry {
  PolicyNode key, value;
  std::string name;
};

// Elements of a list of names, for suggestions.
std::vector<std::string> strings(std::span<const std::string_view> names);

// One reader per part of the file.
RuleMatch parse_match(const PolicyNode& node, std::span<const std::string_view> known);
Rule parse_rule(const PolicyNode& node);
LinearRule parse_linear(const PolicyNode& node);
std::vector<ParameterSetting> parse_parameters(const PolicyNode& node);
GridSpec parse_grid(const PolicyNode& node);
Lock parse_lock(const PolicyNode& node);

}  // namespace tessera
