#pragma once
// A policy as plain data: which attention sites and matrix products of a model get what. `parse_policy` makes one from
// YAML, `apply_policy` puts it onto a graph. The grammar is in README.md beside this file.
//
// Rules are read top to bottom; the last one that matches a head of a site wins as a whole. Thread rule: a value; const
// use is free.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/op/attribute.h"
#include "runtime/pass/sites.h"

namespace tessera {

// Where something stands in the policy's file, counted from 1; line 0: nowhere, a default.
struct PolicyPlace {
  int line = 0, column = 0;
};

// A number that changes with the step of training: `from` during the first `after` steps, then `add` more at once and
// after every further `every` steps, never beyond `to`, which is reached exactly.
struct Schedule {
  double from = 0, to = 0, add = 0;
  std::int64_t every = 1, after = 1;
  double at(std::int64_t train_step) const;  // train_step < 0: `to`
};

// `name: value` below `with`. Numbers that stand for other types are converted once the method's schema is known.
struct ParameterSetting {
  std::string name;
  Attribute value;      // integer, real, text, integers or reals
  bool quoted = false;  // a text in quotes: neither a number nor true or false
  std::optional<Schedule> schedule;
  PolicyPlace name_at, at;  // of the name, of the value
};

// Integers first to last, both included.
struct IndexRange {
  std::int64_t first = 0, last = 0;
  PolicyPlace at;
};

// Steps of a run of n steps: first to last, both included; or, in percent of n, from `first` up to, not including,
// `last`, so that 0%-25% and 25%-100% share out every run.
struct StepRange {
  double first = 0, last = 0;
  bool percent = false;
  bool holds(int step, int steps) const;
};

enum class Quantity { tokens, keys, batch, heads, head_dim };
enum class Relation { less, less_equal, greater, greater_equal, equal, not_equal };
struct SizeCondition {
  Quantity quantity{};
  Relation relation{};
  std::int64_t value = 0;
};
std::int64_t quantity_of(const AttentionSite& site, Quantity q);
bool holds(const SizeCondition& c, const AttentionSite& site);

// A glob (* any text, ? one character) or a regular expression (ECMAScript, without back-references), for whole names.
struct NamePattern {
  std::string text;
  bool regex = false;
  bool matches(const std::string& name) const;
};
// True for no patterns at all.
bool any_matches(const std::vector<NamePattern>& patterns, const std::string& name);

// Every key that is given must hold; of a list, one element. An empty list: not asked for.
struct RuleMatch {
  std::vector<Role> roles;
  std::optional<bool> causal;
  std::vector<IndexRange> layers, heads;
  std::vector<NamePattern> names, regexes;
  std::vector<StepRange> steps;
  std::vector<SizeCondition> when;  // all of them
  std::string when_text;
};

struct Rule {
  PolicyPlace at, use_at;
  RuleMatch match;
  std::string method;
  std::vector<ParameterSetting> with;
  bool optional = false;    // may match nothing
  bool else_dense = false;  // a site that the method refuses stays dense, and is counted
  bool bf16 = false;        // operands are rounded to bf16; sums stay in f32
};

struct LinearRule {
  PolicyPlace at;
  RuleMatch match;  // names and steps only
  bool optional = false;
  bool bf16 = false;
};

// How the tokens of a site lie in space and time: given, or the sizes of some axes of an input over a patch size.
struct GridSpec {
  PolicyPlace at;
  std::vector<std::int64_t> sizes;  // given; else
  std::string input;
  std::vector<std::int64_t> axes, patch;
};

struct PluginName {
  std::string name;
  PolicyPlace at;
};

// What a lock file adds: the model and the methods it was made with.
struct Lock {
  struct Method {
    std::string name, library, library_version;  // no library: built-in
    std::int64_t version = 1;
    PolicyPlace at;
  };
  PolicyPlace at;
  std::string model;  // structural_hash
  std::vector<Method> methods;
};

struct Policy {
  std::string path;  // as given; begins every error
  std::vector<PluginName> plugins;
  std::optional<GridSpec> grid;
  std::string method = "dense";  // of heads that no rule matches
  PolicyPlace method_at;
  std::vector<Rule> rules;
  std::vector<LinearRule> linear;
  std::optional<Lock> lock;
};

// Whether what it does changes with the step of a loop of runs; with the step of training.
bool follows_steps(const Policy& policy);
bool follows_training(const Policy& policy);

// "policy.yaml:7:12", or the path alone for a place that is nowhere.
std::string position(const std::string& path, PolicyPlace at);

// Throws Error(policy) "policy.yaml:7:12: MESSAGE".
template <class... Parts>
[[noreturn]] void policy_error(const std::string& path, PolicyPlace at, const Parts&... message) {
  throw Error(Code::policy, concat(position(path, at), ": ", message...));
}

// Reads a policy file (YAML, or a lock in JSON). Errors: policy, with file, line and column.
Policy read_policy(const std::string& path);
// The same from text; `path` is for errors and for finding plugins.
Policy parse_policy(const std::string& text, const std::string& path);

}  // namespace tessera
