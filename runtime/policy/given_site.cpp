#include "runtime/policy/given_site.h"

#include <algorithm>

#include "ops/attention/by_head.h"

namespace tessera {
namespace {

constexpr std::size_t first_own = MethodPorts::first_own;
constexpr std::string_view selection = "selection";

// The node with the site's own attributes only, those that dense attention has: the rest belongs to its methods.
Node dense_node(Node n, const OpDef& dense) {
  n.op = &dense;
  std::erase_if(n.attributes, [&](const auto& a) {
    return a.first == "grid" || std::none_of(dense.attributes.begin(), dense.attributes.end(),
                                             [&](const AttributeDef& known) { return known.name == a.first; });
  });
  n.in.resize(std::min(n.in.size(), first_own));
  while (n.in.back() == ValueId::none) n.in.pop_back();
  return n;
}

}  // namespace

bool reads(const AttentionMethod& method, std::string_view name) {
  if (method.select && name == selection) return true;
  if (method.coarse_gate && name == "gate") return true;
  return std::any_of(method.inputs.begin(), method.inputs.end(), [&](const auto& i) { return i.name == name; });
}

std::vector<std::string> own_inputs(const Node& node, const AttentionMethod& method) {
  std::vector<std::string> names;
  for (std::size_t i = first_own; i < node.in.size(); ++i)
    if (node.in[i] != ValueId::none && reads(method, node.op->inputs[i].name))
      names.emplace_back(node.op->inputs[i].name);
  return names;
}

GivenSite::GivenSite(const Node& node, std::int64_t heads, const Registry& registry)
    : node_(node),
      dense_(dense_node(node, registry.at(attention_domain, "dense"))),
      of_head_(static_cast<std::size_t>(heads)) {
  if (const auto* method = method_of(*node.op)) {
    Choice& choice = choices_.emplace_back(Choice{method, {}, nullptr, false});
    for (const auto& p : method->parameters)
      if (const auto at = node.attributes.find(p.name); at != node.attributes.end()) choice.parameters.insert(*at);
    return;
  }
  const AttributeReader attr(node.op->attributes, node.attributes);
  for (const auto& text : attr.texts("methods")) {
    auto [method, parameters] = by_head::parse_method(text);
    choices_.push_back({method, std::move(parameters), nullptr, false});
  }
  const auto of_head = attr.integers("head_method");
  of_head_.assign(of_head.begin(), of_head.end());
}

const Choice& GivenSite::choice(std::int64_t head) const {
  return choices_[static_cast<std::size_t>(of_head_[static_cast<std::size_t>(head)])];
}

std::vector<std::int64_t> GivenSite::grid() const {
  const auto grid = AttributeReader(node_.op->attributes, node_.attributes).integers("grid");
  return {grid.begin(), grid.end()};
}

bool GivenSite::frozen() const {
  for (std::size_t i = first_own; i < node_.in.size(); ++i)
    if (node_.in[i] != ValueId::none && node_.op->inputs[i].name == selection) return true;
  return false;
}

Node GivenSite::with(const OpDef& op, const Attributes& own) const {
  Node n = dense_;
  n.op = &op;
  n.attributes.insert(own.begin(), own.end());
  for (std::size_t i = first_own; i < node_.in.size(); ++i) {
    const std::string_view name = node_.op->inputs[i].name;
    const auto port = std::find_if(op.inputs.begin(), op.inputs.end(), [&](const Port& p) { return p.name == name; });
    if (node_.in[i] == ValueId::none || name == selection || port == op.inputs.end()) continue;
    const auto place = static_cast<std::size_t>(port - op.inputs.begin());
    n.in.resize(std::max(n.in.size(), place + 1), ValueId::none);
    n.in[place] = node_.in[i];
  }
  return n;
}

std::string GivenSite::lost_input(std::int64_t head, const AttentionMethod& method) const {
  for (const auto& name : own_inputs(node_, *choice(head).method))
    if (name == selection || !reads(method, name)) return name;
  return {};
}

}  // namespace tessera
