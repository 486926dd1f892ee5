#pragma once
// The trail of decisions: what a policy did to each attention site and matrix product, and why. Plain data, for
// `explain`, locks and tests.
#include <string>
#include <vector>

#include "runtime/op/attribute.h"
#include "runtime/pass/sites.h"

namespace tessera {

// What became of one rule at one site.
struct RuleTrail {
  enum class Outcome { won, lost, unmatched } outcome = Outcome::unmatched;
  int line = 0;
  std::string reason;  // "heads 0-3", "to line 12", "role is cross"; empty for a rule that won all heads
};

// Heads of one site that got the same.
struct BindingTrail {
  std::vector<std::int64_t> heads;  // empty: all
  int line = 0;                     // of the rule that won; 0: the policy's default
  std::string method, library;      // library: empty for built-in
  int version = 1;
  std::vector<std::pair<std::string, Attribute>> parameters;  // all that have a value, in the order of the schema
  std::vector<std::string> inputs;  // of the file's node that the method reads beside q, k and v: "gate"
  bool bf16 = false;
  std::string refusal;  // set: the method that won refused the site, which stays dense because of `else: dense`
  std::string refused_method;
  double flops = 0;    // predicted, of these heads
  double density = 1;  // predicted: pairs computed by all pairs
};

struct SiteTrail {
  AttentionSite site;
  std::vector<BindingTrail> bindings;  // in the order of heads
  std::vector<RuleTrail> rules;        // one per rule of the policy
  double flops = 0, dense_flops = 0, density = 1;
};

struct LinearTrail {
  std::string name;  // of the product
  int line = 0;      // of the rule that won; 0: none
  bool bf16 = false;
  double flops = 0;
};

// "0-3, 7"
std::string numbers(const std::vector<std::int64_t>& sorted);

struct Trail {
  std::vector<SiteTrail> sites;
  std::vector<LinearTrail> linear;
  std::vector<std::int64_t> grid;  // empty: the policy gives none
  int fallbacks = 0;               // bindings that a method refused
};

}  // namespace tessera
