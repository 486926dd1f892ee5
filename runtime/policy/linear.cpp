// Rules for matrix products: the same matching, by the names of nodes.
#include <algorithm>
#include <set>

#include "runtime/base/nearest.h"
#include "runtime/policy/bind.h"
#include "runtime/policy/precision.h"

namespace tessera {
namespace {

// A matrix product whose operands can be rounded: not one of integers, and none that is in bf16 as it is.
bool is_product(const Graph& g, const Node& n) {
  if (!n.op->domain.empty() || (n.op->name != "MatMul" && n.op->name != "Gemm")) return false;
  const DType type = g.at(n.in[0]).dtype;
  return type == DType::f32 || type == DType::f64 || type == DType::f16;
}

[[noreturn]] void no_match(const Policy& policy, const LinearRule& rule, const std::vector<std::string>& names) {
  const std::string asked = rule.match.names.empty() ? "" : rule.match.names[0].text;
  Error error(Code::policy,
              concat(position(policy.path, rule.at), ": the rule matches no matrix product in f32, f64 or f16",
                     nearest_or_all(asked, names)));
  throw error.hint("a rule that may match nothing says 'optional: true'");
}

bool takes(const LinearRule& rule, const std::string& name) {
  return any_matches(rule.match.names, name) && any_matches(rule.match.regexes, name);
}

// Errors for a rule that can change nothing, whatever the step.
void check_rule(const Policy& policy, std::size_t r, const std::vector<std::string>& names) {
  const LinearRule& rule = policy.linear[r];
  bool matches = false;
  std::set<std::int64_t> lines;  // of later rules that take what it matches
  for (const auto& name : names) {
    if (!takes(rule, name)) continue;
    matches = true;
    std::size_t later = policy.linear.size() - 1;
    while (later > r && !(policy.linear[later].match.steps.empty() && takes(policy.linear[later], name))) --later;
    if (later == r) return;
    lines.insert(policy.linear[later].at.line);
  }
  if (matches)
    policy_error(policy.path, rule.at, "the rule never wins: at every product a later rule (line ",
                 numbers({lines.begin(), lines.end()}), ") matches too, and the last match wins");
  if (!rule.optional) no_match(policy, rule, names);
}

// Operands are rounded, the result is not: sums, bias and what follows stay in f32.
void multiply_in_bf16(Graph& g, Edit& edit, NodeId id) {
  const Node n = g.at(id);
  edit.before(id);
  const DType given = g.at(n.in[0]).dtype;
  const bool gemm = n.op->name == "Gemm";
  const AttributeReader attr(n.op->attributes, n.attributes);
  const auto rounded = [&](ValueId v, bool transposed) {
    const ValueId x = edit.cast(v, DType::bf16);
    return transposed ? edit.node("Transpose", {x}) : x;
  };
  const auto scaled = [&](ValueId v, float by) {
    return by == 1 ? v : edit.node("Mul", {v, edit.scalar_like(v, static_cast<double>(by))});
  };
  ValueId y = edit.node("tessera::WideMatMul",
                        {rounded(n.in[0], gemm && attr.flag("transA")), rounded(n.in[1], gemm && attr.flag("transB"))});
  y = edit.cast(y, given);
  if (gemm) y = scaled(y, attr.real("alpha"));
  if (n.in.size() > 2) y = edit.node("Add", {y, scaled(n.in[2], attr.real("beta"))});
  edit.replace(n.out[0], y);
  std::swap(g.at(n.out[0]).name, g.at(y).name);  // the file's name stays with the result
  edit.erase(id);
}

// As sites are named: "/blocks.0/ffn/MatMul" is "blocks.0.ffn".
std::string product_name(const Node& n) {
  std::string name = n.name.substr(n.name.starts_with('/') ? 1 : 0);
  const auto slash = name.rfind('/');
  if (slash != std::string::npos && name.compare(slash + 1, n.op->name.size(), n.op->name) == 0) name.resize(slash);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

}  // namespace

std::vector<LinearTrail> apply_linear(Graph& g, Edit& edit, const Policy& policy, const StepClass& at) {
  if (policy.linear.empty()) return {};
  std::vector<LinearTrail> trail;
  std::vector<NodeId> products;
  std::vector<std::string> names;
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    if (!is_product(g, g.nodes[n])) continue;
    products.push_back(static_cast<NodeId>(n));
    names.push_back(product_name(g.nodes[n]));
    trail.push_back({names.back(), 0, false, predicted_flops(g, g.nodes[n])});
  }
  for (std::size_t r = 0; r < policy.linear.size(); ++r) {
    const LinearRule& rule = policy.linear[r];
    check_rule(policy, r, names);
    if (!at.active[policy.rules.size() + r]) continue;
    for (std::size_t p = 0; p < products.size(); ++p) {
      if (!takes(rule, names[p])) continue;
      trail[p].line = rule.at.line;
      trail[p].bf16 = rule.bf16;
    }
  }
  for (std::size_t p = 0; p < products.size(); ++p)
    if (trail[p].bf16) multiply_in_bf16(g, edit, products[p]);
  return trail;
}

}  // namespace tessera
