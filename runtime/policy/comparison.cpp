#include "runtime/policy/comparison.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "ops/attention/geometry.h"
#include "runtime/graph/build.h"
#include "runtime/graph/verify.h"

namespace tessera {
namespace {

namespace to = attention_output;

// One of the graphs, as it is copied into the joint one.
struct Copy {
  const Graph* from;
  std::string prefix;
  std::vector<ValueId> values;    // by value of `from`: where it is in the joint graph; none: not there yet
  std::vector<std::size_t> ends;  // for each site, one past its node
  std::size_t next = 0;           // node of `from` to be copied next
};

class Joining {
 public:
  Joining(const Graph& reference, std::span<const Graph> policies, const Registry& registry)
      : build_(result_.graph, registry), reference_{begin(reference, "")} {
    result_.sites = attention_sites(reference);
    result_.graph.name = reference.name;
    result_.graph.opset = reference.opset;
    for (const auto& input : reference.inputs) {
      const Value& v = reference.at(input.value);
      inputs_[v.name] = build_.input(v.name, v.dtype, input.declared);
      result_.graph.at(inputs_[v.name]).shape = v.shape;
    }
    set_ends(reference_, result_.sites);
    take_inputs(reference_);
    for (std::size_t p = 0; p < policies.size(); ++p) {
      Copy copy = begin(policies[p], concat("policy ", p, "/"));
      const auto sites = attention_sites(policies[p]);
      check(sites.size() == result_.sites.size(), Code::internal, "the policy's graph has ", sites.size(),
            " sites, the reference ", result_.sites.size());
      set_ends(copy, sites);
      take_inputs(copy);
      copies_.push_back(std::move(copy));
      result_.policies.push_back({{}, {}, copies_.back().prefix});
    }
  }

  JointGraph run() {
    for (std::size_t s = 0; s < result_.sites.size(); ++s) {
      advance(reference_, reference_.ends[s]);
      result_.site_nodes.push_back(reference_.from->nodes[reference_.ends[s] - 1].name);
      result_.site_densities.push_back(
          measured("reference/" + result_.sites[s].name + "/density", build_.output_of(last_site_, to::density)));
      for (std::size_t p = 0; p < copies_.size(); ++p) {
        advance(copies_[p], copies_[p].ends[s]);
        result_.policies[p].sites.push_back(compare_site(s, p));
      }
    }
    advance(reference_, reference_.from->nodes.size());
    for (std::size_t p = 0; p < copies_.size(); ++p) {
      advance(copies_[p], copies_[p].from->nodes.size());
      compare_outputs(p);
    }
    verify(result_.graph);
    return std::move(result_);
  }

 private:
  static Copy begin(const Graph& from, std::string prefix) {
    return {&from, std::move(prefix), std::vector<ValueId>(from.values.size(), ValueId::none), {}};
  }
  static void set_ends(Copy& copy, const std::vector<AttentionSite>& sites) {
    for (const auto& site : sites) copy.ends.push_back(index(site.node) + 1);
  }
  void take_inputs(Copy& copy) {
    for (const auto& input : copy.from->inputs)
      copy.values[index(input.value)] = inputs_.at(copy.from->at(input.value).name);
  }

  // The value in the joint graph; constants are brought in when first asked for, once for all copies.
  ValueId value(Copy& copy, ValueId v) {
    if (v == ValueId::none) return v;
    ValueId& here = copy.values[index(v)];
    if (here == ValueId::none && copy.from->is_constant(v)) {
      const Tensor& constant = copy.from->at(v).constant;
      ValueId& shared = constants_[{constant.raw(), concat(constant.dtype(), constant.shape())}].value;
      if (shared == ValueId::none || constant.bytes() == 0) shared = build_.constant(constant);
      here = shared;
    }
    check(here != ValueId::none, Code::internal, "value '", copy.from->at(v).name, "' is used before it is there");
    return here;
  }

  // A node like `node` that has its outputs and, for a site, those that are `measured`.
  std::vector<ValueId> add(const Node& node, const std::string& name, std::vector<ValueId> in,
                           std::initializer_list<std::size_t> measured = {}) {
    std::vector<std::string> names(std::max(node.out.size(), measured.size() > 0 ? std::max(measured) + 1 : 0));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const bool wanted = i < node.out.size() && node.out[i] != ValueId::none;
      if (wanted || std::count(measured.begin(), measured.end(), i) > 0) names[i] = build_.unique(concat(name, ":", i));
    }
    return build_.add(*node.op, name, std::move(in), node.attributes, names);
  }

  void advance(Copy& copy, std::size_t end) {
    for (; copy.next < end; ++copy.next) {
      const Node& node = copy.from->nodes[copy.next];
      const bool site = std::find(copy.ends.begin(), copy.ends.end(), copy.next + 1) != copy.ends.end();
      std::vector<ValueId> in;
      for (const ValueId v : node.in) in.push_back(value(copy, v));
      const auto out = add(node, copy.prefix + node.name, std::move(in));
      for (std::size_t i = 0; i < node.out.size(); ++i)
        if (node.out[i] != ValueId::none) copy.values[index(node.out[i])] = out[i];
      if (site && &copy == &reference_) last_site_ = static_cast<NodeId>(result_.graph.nodes.size() - 1);
    }
  }

  // The operands of a policy's site if all before it were the reference's: the reference's own, rounded where the
  // policy's are. What the reference's site does not have in that place is computed from its values.
  std::vector<ValueId> isolated_operands(Copy& copy, const Node& site, const Node& dense, const std::string& name) {
    std::map<ValueId, ValueId> rounded;  // a packed QKV tensor is given three times
    std::vector<ValueId> in;
    for (std::size_t i = 0; i < site.in.size(); ++i) {
      if (!same_place(copy, site, dense, i)) {
        in.push_back(isolated_value(copy, site.in[i]));
        continue;
      }
      in.push_back(value(reference_, dense.in[i]));
      const DType given = copy.from->at(site.in[i]).dtype;
      if (build_.dtype(in.back()) == given) continue;
      const auto [at, fresh] = rounded.try_emplace(in.back(), ValueId::none);
      if (fresh) {
        build_.name_nodes(name);
        at->second = build_.cast(in.back(), given);
      }
      in.back() = at->second;
    }
    return in;
  }

  // Whether operand i of both sites lies in the same way in a tensor of the same shape.
  bool same_place(const Copy& copy, const Node& site, const Node& dense, std::size_t i) const {
    static constexpr std::array<const char*, 3> views{"q_view", "k_view", "v_view"};
    if (i >= dense.in.size() || site.in[i] == ValueId::none || dense.in[i] == ValueId::none) return false;
    const auto view = [&](const Node& n) {
      const AttributeReader attr(n.op->attributes, n.attributes);
      const bool given = i < views.size() && attr.has(views[i]);
      const auto numbers = given ? attr.integers(views[i]) : std::span<const std::int64_t>{};
      return std::vector<std::int64_t>(numbers.begin(), numbers.end());
    };
    return copy.from->at(site.in[i]).shape == reference_.from->at(dense.in[i]).shape && view(site) == view(dense);
  }

  // What value v of a policy's graph would be then: the value of the same name, or, where the reference has none, the
  // nodes that compute it on such values.
  ValueId isolated_value(Copy& copy, ValueId v) {
    if (v == ValueId::none || copy.from->is_constant(v)) return value(copy, v);
    const Value& wanted = copy.from->at(v);
    if (const auto it = reference_names_.find(wanted.name); it != reference_names_.end())
      return value(reference_, it->second);
    check(wanted.producer != NodeId::none, Code::internal, "the reference has no value '", wanted.name, "'");
    const Node& node = copy.from->at(wanted.producer);
    std::vector<ValueId> in;
    for (const ValueId x : node.in) in.push_back(isolated_value(copy, x));
    const auto out = add(node, "ISOLATED/" + copy.prefix + node.name, std::move(in));
    return out[static_cast<std::size_t>(std::find(node.out.begin(), node.out.end(), v) - node.out.begin())];
  }

  std::string measured(const std::string& name, ValueId v) {
    build_.output(name, v);
    return name;
  }

  // ErrorSums of a against b, which is the reference's.
  ValueId error(ValueId a, ValueId b) {
    if (!dtypes::floats.has(build_.dtype(b))) b = build_.cast(b, DType::f64);
    return build_.node("tessera::ErrorSums", {build_.cast(a, build_.dtype(b)), b});
  }

  ComparedSite compare_site(std::size_t s, std::size_t p) {
    Copy& copy = copies_[p];
    const Node& node = copy.from->nodes[copy.ends[s] - 1];
    const Node& dense = reference_.from->nodes[reference_.ends[s] - 1];
    if (reference_names_.empty())
      for (std::size_t v = 0; v < reference_.from->values.size(); ++v)
        reference_names_.emplace(reference_.from->values[v].name, static_cast<ValueId>(v));
    const std::string at = copy.prefix + result_.sites[s].name;
    ComparedSite names{at + "/isolated",
                       at + "/cumulative",
                       at + "/density",
                       at + "/mass",
                       "ISOLATED/" + copy.prefix + node.name,
                       copy.prefix + node.name};
    const ValueId y = value(reference_, dense.out[to::y]), lse = build_.output_of(last_site_, to::lse);
    std::vector<ValueId> in = isolated_operands(copy, node, dense, names.node);
    build_.name_nodes("MEASURE/" + at);
    const auto isolated = add(node, names.node, std::move(in), {to::y, to::lse, to::density});
    measured(names.isolated, error(isolated[to::y], y));
    measured(names.density, isolated[to::density]);
    measured(names.mass, kept_mass(isolated[to::lse], lse));
    measured(names.cumulative, error(value(copy, node.out[to::y]), y));
    return names;
  }

  // The keys a method attends to are some of the dense one's, so sum_kept exp(s) / sum_all exp(s) = exp(lse - dense).
  // Queries that copy another's output have lse = -inf and do not count.
  ValueId kept_mass(ValueId lse, ValueId dense) {
    const DType type = build_.dtype(dense);
    const auto total = [&](ValueId v) { return build_.node("ReduceSum", {v}, {{"keepdims", std::int64_t{0}}}); };
    lse = build_.cast(lse, type);
    const ValueId computed = build_.node("Not", {build_.node("IsInf", {lse})});
    const ValueId share = build_.node("Exp", {build_.node("Sub", {lse, dense})});
    const ValueId kept = build_.node("Where", {computed, share, build_.scalar_like(dense, 0)});
    return build_.node("Div", {total(kept), total(build_.cast(computed, type))});
  }

  void compare_outputs(std::size_t p) {
    Copy& copy = copies_[p];
    for (std::size_t o = 0; o < reference_.from->outputs.size(); ++o) {
      const auto& output = reference_.from->outputs[o];
      build_.name_nodes("MEASURE/" + copy.prefix + output.name);
      const ValueId sums = error(value(copy, copy.from->outputs.at(o).value), value(reference_, output.value));
      result_.policies[p].outputs.push_back(measured(copy.prefix + output.name + "/error", sums));
      if (p == 0) result_.outputs.push_back(output.name);
    }
  }

  JointGraph result_;
  GraphBuilder build_;
  Copy reference_;
  std::vector<Copy> copies_;
  std::map<std::string, ValueId> inputs_;
  // std::map gives 0 for a new key, not ValueId::none.
  struct Shared {
    ValueId value = ValueId::none;
  };
  std::map<std::pair<const void*, std::string>, Shared> constants_;
  std::unordered_map<std::string, ValueId> reference_names_;
  NodeId last_site_ = NodeId::none;  // of the reference, in the joint graph
};

}  // namespace

JointGraph compare_graphs(const Graph& reference, std::span<const Graph> policies, const Registry& registry) {
  return Joining(reference, policies, registry).run();
}

}  // namespace tessera
