#include "runtime/policy/bind.h"

#include <algorithm>
#include <charconv>

#include "ops/attention/planned_method.h"
#include "runtime/base/log.h"
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

// So that parse_parameter reads the same value: all digits of a number, what would end a text escaped.
std::string parameter_text(const Attribute& value) {
  if (const auto* x = std::get_if<float>(&value)) {
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof digits, *x).ptr};
  }
  const auto* text = std::get_if<std::string>(&value);
  if (!text) return to_text(value);
  std::string quoted = "\"";
  for (const char c : *text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

// As by_head has it: bsa kv_rule="cdf" tau=0.875 tile=[4, 4, 4]
std::string method_text(const std::string& method, const Attributes& parameters) {
  std::string text = method;
  for (const auto& [name, value] : parameters) text += concat(" ", name, "=", parameter_text(value));
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

// Heads of one site that are to become the same.
struct Group {
  const Choice* choice;
  std::vector<std::int64_t> heads;
  const AttentionMethod* method = nullptr;  // the choice's, or dense where that refuses
  Attributes parameters;
  bool bf16 = false;
  bool same_as(const Group& other) const {
    return method == other.method && equal(parameters, other.parameters) && bf16 == other.bf16;
  }
};

class SiteBinder {
 public:
  SiteBinder(Graph& g, const BindingContext& context, const AttentionSite& site)
      : g_(g),
        context_(context),
        site_(site),
        given_(g.at(site.node), site.q_heads, context.registry),
        grid_(context.grid) {}
  void bind(const std::vector<const Choice*>& of_head, SiteTrail& trail);

 private:
  const OpDef& op(std::string_view name) const { return context_.registry.at(attention_domain, name); }
  std::vector<Group> groups_of(const std::vector<const Choice*>& of_head) const;
  void keep_grid(const std::vector<Group>& groups);
  BindingTrail settle(Group& group);
  void warn_of_cross(const Group& group) const;
  void join(std::vector<Group> groups);
  Node node_by(const OpDef& op, const Attributes& own) const;
  std::string refusal_of(const OpDef& op, const Attributes& own);
  BindingTrail describe(const Group& group) const;
  [[noreturn]] void refuse(const Choice& choice, const std::string& why) const;
  [[noreturn]] void cannot_split(const Rule& rule, const std::string& why) const;

  Graph& g_;
  const BindingContext& context_;
  const AttentionSite& site_;
  const GivenSite given_;
  std::vector<std::int64_t> grid_;  // a node has one
};

void SiteBinder::refuse(const Choice& choice, const std::string& why) const {
  const PolicyPlace at = choice.rule ? choice.rule->use_at : context_.policy.method_at;
  Error error(Code::policy, concat(position(context_.policy.path, at), ": method '", choice.method->name,
                                   "' refuses site '", site_.name, "': ", why));
  if (grid_.empty() && why.find("grid") != std::string::npos) throw error.hint("add 'grid: [T, H, W]' to the policy");
  throw error.hint(choice.rule ? "'else: dense' beside 'use' makes such sites dense, and counts them"
                               : "it is the policy's default; a rule with 'else: dense' would keep such sites dense");
}

void SiteBinder::cannot_split(const Rule& rule, const std::string& why) const {
  Error error(Code::policy, concat(position(context_.policy.path, rule.use_at), ": the heads of site '", site_.name,
                                   "' cannot go by several methods: ", why));
  throw error.hint("match all heads of the site");
}

// By choices; where no rule speaks, what the file says stays.
std::vector<Group> SiteBinder::groups_of(const std::vector<const Choice*>& of_head) const {
  std::vector<Group> groups;
  for (std::int64_t h = 0; h < std::ssize(of_head); ++h) {
    const Choice* choice = of_head[static_cast<std::size_t>(h)];
    if (!choice->rule && given_.has_methods()) choice = &given_.choice(h);
    auto at = std::find_if(groups.begin(), groups.end(), [&](const Group& group) { return group.choice == choice; });
    if (at == groups.end()) at = groups.insert(at, Group{choice, {}, choice->method, choice->parameters, choice->bf16});
    at->heads.push_back(h);
  }
  return groups;
}

// Heads that stay as the file has them keep its grid.
void SiteBinder::keep_grid(const std::vector<Group>& groups) {
  const auto file = given_.grid();
  const auto stays = [](const Group& group) { return !group.choice->rule; };
  if (!given_.has_methods() || std::none_of(groups.begin(), groups.end(), stays)) return;
  for (const auto& group : groups) {
    if (stays(group)) continue;
    if (given_.frozen()) cannot_split(*group.choice->rule, "in the file they freeze their selection");
    if (group.method->name != dense_name && !file.empty() && !grid_.empty() && grid_ != file)
      cannot_split(*group.choice->rule,
                   concat("in the file they have the grid ", to_text(file), ", the policy's is ", to_text(grid_)));
  }
  if (!file.empty()) grid_ = file;
}

Node SiteBinder::node_by(const OpDef& op, const Attributes& own) const {
  Node n = given_.with(op, own);
  if (!grid_.empty() && op.name != dense_name) n.attributes["grid"] = grid_;
  return n;
}

// Writes the site anew; the operator's own shape rule says whether it will have it. Empty: it does.
std::string SiteBinder::refusal_of(const OpDef& op, const Attributes& own) {
  g_.at(site_.node) = node_by(op, own);
  try {
    infer_node(g_, site_.node);
  } catch (const Error& e) {
    if (e.code() != Code::bad_input && e.code() != Code::unsupported) throw;
    return e.message();
  }
  return {};
}

// The method of a group, and what it would cost on the whole site.
BindingTrail SiteBinder::describe(const Group& group) const {
  const Node n = node_by(op(group.method->name), group.parameters);
  BindingTrail binding;
  binding.line = group.choice->rule ? group.choice->rule->at.line : 0;
  binding.method = group.method->name;
  binding.library = group.method->library;
  binding.version = group.method->version;
  binding.parameters = listed(*group.method, group.parameters);
  binding.inputs = own_inputs(g_.at(site_.node), *group.method);
  binding.bf16 = group.bf16;
  binding.flops = predicted_flops(g_, n);
  binding.density = predicted_density(site_, *group.method, n, group.parameters);
  return binding;
}

// As many keys as queries are no proof that they are the same tokens. Nor does the role show that they are not:
// queries, keys and values that the model takes as inputs grow from no tensor in common.
void SiteBinder::warn_of_cross(const Group& group) const {
  const Rule* rule = group.choice->rule;
  const bool stays = !rule && given_.has_methods();
  if (site_.role != Role::cross || stays || !cuts_tiles(*group.method)) return;
  if (rule && std::ranges::find(rule->match.roles, Role::cross) != rule->match.roles.end()) return;
  warn(concat(position(context_.policy.path, rule ? rule->use_at : context_.policy.method_at), ": '",
              group.method->name, "' cuts the keys of site '", site_.name,
              "' by the grid of its queries, but its role is cross; match 'role: self', or 'role: [self, cross]' where "
              "queries and keys are the same tokens"));
}

// Tries the group's method on the whole site; what it would cost counts for the group's heads.
BindingTrail SiteBinder::settle(Group& group) {
  std::string refusal;
  for (const auto h : group.heads)
    if (const std::string lost = given_.lost_input(h, *group.method); !lost.empty())
      refusal = concat("it cannot take the input '", lost, "' that the site has in the file");
  if (refusal.empty()) refusal = refusal_of(op(group.method->name), group.parameters);
  if (refusal.empty()) {
    warn_of_cross(group);
    return describe(group);
  }
  const Choice& choice = *group.choice;
  if (!choice.rule || !choice.rule->else_dense) refuse(choice, refusal);
  group.method = find_method(dense_name);
  group.parameters.clear();
  refusal_of(op(dense_name), {});
  BindingTrail binding = describe(group);
  binding.refusal = refusal;
  binding.refused_method = choice.method->name;
  return binding;
}

// Groups that came out alike are one; what is left apart goes into by_head.
void SiteBinder::join(std::vector<Group> groups) {
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (std::size_t j = groups.size() - 1; j > i; --j) {
      if (!groups[i].same_as(groups[j])) continue;
      groups[i].heads.insert(groups[i].heads.end(), groups[j].heads.begin(), groups[j].heads.end());
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(j));
    }
  if (groups.size() == 1) {
    refusal_of(op(groups[0].method->name), groups[0].parameters);
    return;
  }
  std::vector<std::string> methods;
  std::vector<std::int64_t> head_method(static_cast<std::size_t>(site_.q_heads));
  for (const auto& group : groups) {
    for (const auto h : group.heads) head_method[static_cast<std::size_t>(h)] = std::ssize(methods);
    methods.push_back(method_text(group.method->name, group.parameters));
    if (group.bf16 == groups[0].bf16) continue;
    const Rule& rule = *(group.choice->rule ? group : groups[0]).choice->rule;
    Error error(Code::policy, concat(position(context_.policy.path, rule.at), ": the heads of site '", site_.name,
                                     "' cannot differ in precision"));
    throw error.hint("give all of them one precision; heads that no rule matches are f32");
  }
  const std::string why = refusal_of(op(by_head_name), {{"methods", methods}, {"head_method", head_method}});
  for (const auto& group : groups)
    if (!why.empty() && group.choice->rule) cannot_split(*group.choice->rule, why);
}

void SiteBinder::bind(const std::vector<const Choice*>& of_head, SiteTrail& trail) {
  std::vector<Group> groups = groups_of(of_head);
  const bool ruled = std::any_of(groups.begin(), groups.end(), [](const Group& group) { return group.choice->rule; });
  const bool stays = groups.empty() || (given_.has_methods() && !ruled);
  trail.dense_flops = predicted_flops(g_, given_.dense());
  keep_grid(groups);
  for (auto& group : groups) {
    BindingTrail& binding = trail.bindings.emplace_back(stays ? describe(group) : settle(group));
    if (groups.size() == 1) continue;
    binding.heads = group.heads;
    binding.flops *= static_cast<double>(group.heads.size()) / static_cast<double>(site_.q_heads);
  }
  if (!stays) join(std::move(groups));
}

}  // namespace

double predicted_flops(const Graph& g, const Node& n) {
  if (!n.op->flops || !sized(g, n.in) || !sized(g, n.out)) return 0;
  ShapeContext c = shape_context(g, n);
  for (std::size_t i = 0; i < n.out.size(); ++i)
    if (n.out[i] != ValueId::none) c.out(static_cast<int>(i), *g.at(n.out[i]).shape);
  return n.op->flops(c);
}

void bind_site(Graph& g, const BindingContext& context, const std::vector<const Choice*>& of_head, SiteTrail& trail) {
  SiteBinder(g, context, trail.site).bind(of_head, trail);
}

}  // namespace tessera
