#include "runtime/policy/bind.h"

#include <algorithm>

#include "ops/attention/by_head.h"
#include "ops/attention/planned_method.h"
#include "runtime/graph/build.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

ShapeContext shape_context(const Graph& g, const Node& n) {
  std::vector<TensorType> in;
  std::vector<const Tensor*> values;
  for (const ValueId v : n.in) {
    in.push_back(v == ValueId::none ? TensorType{} : TensorType{g.at(v).dtype, g.at(v).shape.value_or(Shape{})});
    values.push_back(g.is_constant(v) ? &g.at(v).constant : nullptr);
  }
  return {*n.op, n.attributes, std::move(in), std::move(values), n.out.size()};
}

bool sized(const Graph& g, const std::vector<ValueId>& values) {
  return std::all_of(values.begin(), values.end(), [&](ValueId v) { return v == ValueId::none || g.at(v).shape; });
}

std::vector<std::pair<std::string, Attribute>> listed(const AttentionMethod& method, const Attributes& given) {
  std::vector<std::pair<std::string, Attribute>> all;
  for (const auto& p : method.parameters) {
    if (const auto at = given.find(p.name); at != given.end())
      all.emplace_back(p.name, at->second);
    else if (!p.fallback.empty())
      all.emplace_back(p.name, parse_parameter(p, p.fallback));
  }
  return all;
}

constexpr std::string_view dense_name = "dense", by_head_name = "by_head";

// As by_head has it: "vsa tile=[4, 4, 4] sparsity=0.875".
std::string method_text(const std::string& method, const Attributes& parameters) {
  std::string text = method;
  for (const auto& [name, value] : parameters) {
    const auto* word = std::get_if<std::string>(&value);
    text += concat(" ", name, "=", word ? *word : to_text(value));
  }
  return text;
}

double predicted_density(const AttentionSite& site, const AttentionMethod& method, const Node& n,
                         const Attributes& parameters) {
  if (method.name == dense_name) return 1;
  const AttentionShape shape{.batch = site.batch,
                             .q_heads = site.q_heads,
                             .kv_heads = site.kv_heads,
                             .q_len = site.tokens,
                             .kv_len = site.keys,
                             .qk_dim = site.head_dim,
                             .v_dim = site.v_dim};
  const AttributeReader attr(n.op->attributes, n.attributes);
  const PlannedMethod planned(method, shape, 1, attr.integers("grid"), parameters);
  return planned.all_pairs() > 0 ? planned.pairs() / planned.all_pairs() : 1;
}

// The method of a bound node, and what it will cost.
void describe(const Graph& g, const AttentionSite& site, const AttentionMethod& method, const Attributes& parameters,
              BindingTrail& binding) {
  const Node& n = g.at(site.node);
  binding.method = method.name;
  binding.library = method.library;
  binding.version = method.version;
  binding.parameters = listed(method, parameters);
  binding.flops = predicted_flops(g, n);
  binding.density = predicted_density(site, method, n, parameters);
}

// What a node that stands in the file has.
std::vector<BindingTrail> given_bindings(const Graph& g, const AttentionSite& site) {
  const Node& n = g.at(site.node);
  std::vector<BindingTrail> bindings;
  if (const auto* method = method_of(*n.op)) {
    describe(g, site, *method, n.attributes, bindings.emplace_back());
    return bindings;
  }
  const AttributeReader attr(n.op->attributes, n.attributes);
  for (const auto& text : attr.texts("methods")) {
    const by_head::MethodChoice choice = by_head::parse_method(text);
    describe(g, site, *choice.method, choice.parameters, bindings.emplace_back());
  }
  const auto of_head = attr.integers("head_method");
  for (std::size_t h = 0; h < of_head.size(); ++h)
    bindings[static_cast<std::size_t>(of_head[h])].heads.push_back(static_cast<std::int64_t>(h));
  for (auto& b : bindings) b.flops *= static_cast<double>(b.heads.size()) / static_cast<double>(site.q_heads);
  return bindings;
}

}  // namespace

double predicted_flops(const Graph& g, const Node& n) {
  if (!n.op->flops || !sized(g, n.in) || !sized(g, n.out)) return 0;
  ShapeContext c = shape_context(g, n);
  for (std::size_t i = 0; i < n.out.size(); ++i)
    if (n.out[i] != ValueId::none) c.out(static_cast<int>(i), *g.at(n.out[i]).shape);
  return n.op->flops(c);
}

// The node with the site's own attributes only, those that dense attention has: the rest belongs to the method it had.
Node Binder::dense_node(const Node& given) const {
  constexpr std::size_t own_inputs = 7;  // ONNX Attention's; a method's own follow
  Node n = given;
  n.op = &registry_.at(attention_domain, dense_name);
  std::erase_if(n.attributes, [&](const auto& a) {
    return a.first == "grid" || std::none_of(n.op->attributes.begin(), n.op->attributes.end(),
                                             [&](const AttributeDef& known) { return known.name == a.first; });
  });
  n.in.resize(std::min(n.in.size(), own_inputs));
  while (n.in.back() == ValueId::none) n.in.pop_back();
  return n;
}

// Swaps the operator; its own shape rule says whether it will have the site. Empty: it does.
std::string Binder::refusal_of(Graph& g, NodeId id, std::string_view op, const Attributes& own) const {
  Node& n = g.at(id);
  n.op = &registry_.at(attention_domain, op);
  n.attributes.insert(own.begin(), own.end());
  if (!grid_.empty() && op != dense_name) n.attributes["grid"] = grid_;
  try {
    infer_node(g, id);
  } catch (const Error& e) {
    if (e.code() != Code::bad_input && e.code() != Code::unsupported) throw;
    return e.message();
  }
  return {};
}

void Binder::refuse(const Choice& choice, const AttentionSite& site, const std::string& why) const {
  const PolicyPlace at = choice.rule ? choice.rule->use_at : policy_.method_at;
  Error error(Code::policy, concat(position(policy_.path, at), ": method '", choice.method->name, "' refuses site '",
                                   site.name, "': ", why));
  if (grid_.empty() && why.find("grid") != std::string::npos) throw error.hint("add 'grid: [T, H, W]' to the policy");
  throw error.hint(choice.rule ? "'else: dense' beside 'use' keeps such sites dense, and counts them"
                               : "it is the policy's default; a rule with 'else: dense' would keep such sites dense");
}

// Tries the group's method on the whole site; what it would cost counts for the group's heads.
BindingTrail Binder::settle(Graph& g, const Node& dense, const AttentionSite& site, Group& group) const {
  const Choice& choice = *group.choice;
  BindingTrail binding;
  binding.line = choice.rule ? choice.rule->at.line : 0;
  g.at(site.node) = dense;
  binding.refusal = refusal_of(g, site.node, group.method->name, group.parameters);
  if (!binding.refusal.empty()) {
    if (!choice.rule || !choice.rule->else_dense) refuse(choice, site, binding.refusal);
    binding.refused_method = group.method->name;
    group.method = find_method(dense_name);
    group.parameters.clear();
    g.at(site.node) = dense;
    refusal_of(g, site.node, dense_name, {});
  }
  binding.bf16 = group.bf16;
  describe(g, site, *group.method, group.parameters, binding);
  return binding;
}

// Groups that came out alike are one; what is left apart goes into by_head.
void Binder::bind_groups(Graph& g, const Node& dense, const AttentionSite& site, std::vector<Group> groups) const {
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (std::size_t j = groups.size() - 1; j > i; --j) {
      if (!groups[i].same_as(groups[j])) continue;
      groups[i].heads.insert(groups[i].heads.end(), groups[j].heads.begin(), groups[j].heads.end());
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(j));
    }
  g.at(site.node) = dense;
  if (groups.size() == 1) {
    refusal_of(g, site.node, groups[0].method->name, groups[0].parameters);
    return;
  }
  Attributes by_head;
  std::vector<std::string> methods;
  std::vector<std::int64_t> head_method(static_cast<std::size_t>(site.q_heads));
  for (const auto& group : groups) {
    for (const auto h : group.heads) head_method[static_cast<std::size_t>(h)] = std::ssize(methods);
    methods.push_back(method_text(group.method->name, group.parameters));
    if (group.bf16 != groups[0].bf16)
      policy_error(policy_.path, (group.choice->rule ? group : groups[0]).choice->rule->at, "the heads of site '",
                   site.name, "' cannot differ in precision");
  }
  by_head["methods"] = methods;
  by_head["head_method"] = head_method;
  const std::string why = refusal_of(g, site.node, by_head_name, by_head);
  for (const auto& group : groups)
    if (!why.empty() && group.choice->rule) refuse(*group.choice, site, why);
}

void Binder::bind(Graph& g, const std::vector<const Choice*>& of_head, SiteTrail& trail) const {
  const AttentionSite& site = trail.site;
  const Node given = g.at(site.node), dense = dense_node(given);
  const bool untouched = std::all_of(of_head.begin(), of_head.end(), [](const Choice* c) { return !c->rule; });
  std::vector<Group> groups;
  for (std::size_t h = 0; h < of_head.size(); ++h) {
    const auto same = [&](const Group& group) { return group.choice == of_head[h]; };
    auto at = std::find_if(groups.begin(), groups.end(), same);
    if (at == groups.end())
      at = groups.insert(at, Group{of_head[h], {}, of_head[h]->method, of_head[h]->parameters, of_head[h]->bf16});
    at->heads.push_back(static_cast<std::int64_t>(h));
  }
  g.at(site.node) = dense;
  trail.dense_flops = predicted_flops(g, dense);
  if (groups.empty() || (untouched && given.op != dense.op)) {  // what stands in the file stays where no rule speaks
    g.at(site.node) = given;
    trail.bindings = given_bindings(g, site);
    return;
  }
  for (auto& group : groups) {
    trail.bindings.push_back(settle(g, dense, site, group));
    BindingTrail& binding = trail.bindings.back();
    if (groups.size() == 1) continue;
    binding.heads = group.heads;
    binding.flops *= static_cast<double>(group.heads.size()) / static_cast<double>(site.q_heads);
  }
  bind_groups(g, dense, site, std::move(groups));
}

}  // namespace tessera
