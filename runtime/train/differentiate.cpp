#include "runtime/train/differentiate.h"

#include <algorithm>
#include <unordered_set>

#include "runtime/base/nearest.h"
#include "runtime/graph/build.h"
#include "runtime/graph/verify.h"
#include "runtime/op/context.h"
#include "runtime/op/evaluate.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// What a gradient rule sees of one node.
class NodeGradient final : public GradContext {
 public:
  NodeGradient(const Graph& forward, GraphBuilder& build, NodeId id, const Node& node, std::vector<ValueId> dout,
               std::vector<char> needed)
      : forward_(forward),
        build_(build),
        id_(id),
        node_(node),
        attr_(node.op->attributes, node.attributes),
        dout_(std::move(dout)),
        needed_(std::move(needed)) {}

  std::vector<ValueId> nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes, int outputs) override;
  ValueId constant(Tensor value) override { return build_.constant(std::move(value)); }
  DType dtype(ValueId v) const override { return build_.dtype(v); }
  std::optional<Shape> shape(ValueId v) const override { return build_.shape(v); }
  // Of forward values, taken from the graph that does not grow: rules may hold on to them while they write nodes.
  const Tensor* value(ValueId v) const override {
    if (index(v) >= forward_.values.size()) return build_.value(v);
    return forward_.is_constant(v) ? &forward_.at(v).constant : nullptr;
  }

  const OpDef& op() const override { return *node_.op; }
  const AttributeReader& attr() const override { return attr_; }
  int inputs() const override { return static_cast<int>(node_.in.size()); }
  int outputs() const override { return static_cast<int>(node_.out.size()); }
  bool has(int i) const override { return i < inputs() && in(i) != ValueId::none; }
  bool needs(int i) const override { return i < inputs() && needed_[static_cast<std::size_t>(i)]; }
  ValueId in(int i) const override { return node_.in.at(static_cast<std::size_t>(i)); }
  ValueId out(int i) override { return build_.output_of(id_, i); }
  bool has_dout(int i) const override { return i < outputs() && dout_[static_cast<std::size_t>(i)] != ValueId::none; }
  ValueId dout(int i) override;

 private:
  const Graph& forward_;
  GraphBuilder& build_;
  const NodeId id_;  // the same in the forward graph and in the one being written
  const Node& node_;
  const AttributeReader attr_;
  std::vector<ValueId> dout_;
  std::vector<char> needed_;
};

// Integer arithmetic on constants (pads negated, shapes put together) is done at once: shapes that hang on it stay
// known.
std::vector<ValueId> NodeGradient::nodes(std::string_view op, std::vector<ValueId> in, Attributes attributes,
                                         int outputs) {
  auto out = build_.nodes(op, in, attributes, outputs);
  std::vector<const Tensor*> values;
  for (const auto v : in) {
    values.push_back(v == ValueId::none ? nullptr : value(v));
    if (v != ValueId::none && (!values.back() || dtypes::floats.has(dtype(v)))) return out;
  }
  constexpr std::int64_t small = 4096;  // elements: shapes, axes, pads
  for (const auto v : out)
    if (dtypes::floats.has(dtype(v)) || !shape(v) || count(*shape(v)) > small) return out;
  auto results = evaluate(build_.registry.at(op), attributes, values, outputs);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = constant(std::move(results[i]));
  return out;
}

ValueId zeros_like(NodeBuilder& build, ValueId v) {
  return build.node("ConstantOfShape", {build.ints(*build.shape(v))}, {{"value", Tensor::zeros(build.dtype(v), {1})}});
}

ValueId NodeGradient::dout(int i) {
  const auto at = static_cast<std::size_t>(i);
  if (at >= dout_.size()) dout_.resize(at + 1, ValueId::none);  // the node leaves this output out
  ValueId& d = dout_[at];
  if (d == ValueId::none) d = zeros_like(*this, out(i));
  return d;
}

// Sums a gradient over the axes along which `shape` was broadcast.
ValueId reduced(NodeBuilder& build, ValueId d, const Shape& shape) {
  const auto known = build.shape(d);
  check(known.has_value(), Code::internal, "the rule gives a gradient whose shape is not known");
  const Shape& from = *known;
  if (from == shape) return d;
  check(broadcasts_to(shape, from), Code::internal, "the gradient has shape ", from, ", its input ", shape);
  Axes axes;
  const std::size_t added = from.size() - shape.size();
  for (std::size_t a = 0; a < from.size(); ++a)
    if (a < added || (shape[a - added] == 1 && from[a] != 1)) axes.push_back(static_cast<std::int64_t>(a));
  if (!axes.empty()) d = build.node("ReduceSum", {d, build.ints(axes)}, {{"keepdims", std::int64_t{0}}});
  return reshaped(build, d, shape);
}

class Differentiation {
 public:
  Differentiation(const Graph& g, const Registry& registry)
      : forward_(g), graph_(g), build_(graph_, registry), depends_(g.values.size()), parts_(g.values.size()) {}

  Gradients run(const std::string& output, const std::vector<std::string>& wrt) {
    const ValueId y = find(output);
    std::vector<ValueId> wanted;
    std::unordered_set<std::string> names;
    for (const auto& name : wrt) {
      check(names.insert(name).second, "the gradient with respect to '", name, "' is asked for twice");
      wanted.push_back(find(name));
      check(std::none_of(forward_.outputs.begin(), forward_.outputs.end(),
                         [&](const auto& o) { return o.name == "d." + name; }),
            "the graph has an output 'd.", name, "', which is the name of the gradient with respect to '", name, "'");
      depends_[index(wanted.back())] = 1;
    }
    mark_dependent();
    const std::string seed = add_seed(y, output);
    for (std::size_t n = forward_.nodes.size(); n-- > 0;) visit(static_cast<NodeId>(n));
    for (std::size_t i = 0; i < wrt.size(); ++i) {
      build_.name_nodes("d." + wrt[i]);
      const ValueId d = sum(wanted[i]);
      build_.output("d." + wrt[i], d != ValueId::none ? d : zeros_like(build_, wanted[i]));
    }
    verify(graph_);
    return {std::move(graph_), seed};
  }

 private:
  bool is_float(ValueId v) const { return dtypes::floats.has(forward_.at(v).dtype); }

  ValueId find(const std::string& name) const {
    const auto v = find_value(name);
    check(v.has_value(), "the graph has no value '", name, "'", nearest_or_all(name, known_names()));
    check(is_float(*v), "gradients are of floats; '", name, "' is ", forward_.at(*v).dtype);
    check(forward_.at(*v).shape.has_value(), Code::unsupported, "the shape of '", name,
          "' is known during the run only");
    return *v;
  }
  std::optional<ValueId> find_value(const std::string& name) const {
    for (const auto& o : forward_.outputs)
      if (o.name == name) return o.value;
    for (std::size_t v = 0; v < forward_.values.size(); ++v)
      if (forward_.values[v].name == name) return static_cast<ValueId>(v);
    return std::nullopt;
  }
  std::vector<std::string> known_names() const {
    std::vector<std::string> names;
    for (const auto& v : forward_.values) names.push_back(v.name);
    for (const auto& o : forward_.outputs)
      if (o.name != forward_.at(o.value).name) names.push_back(o.name);
    return names;
  }

  // Forward: which values a wanted one can change. Integers and operators without derivative end the path.
  void mark_dependent() {
    for (const auto& n : forward_.nodes) {
      const bool reached =
          std::any_of(n.in.begin(), n.in.end(), [&](ValueId v) { return v != ValueId::none && depends_[index(v)]; });
      if (!reached || n.op->gradient.is(no_gradient)) continue;
      for (const auto v : n.out)
        if (v != ValueId::none && is_float(v)) depends_[index(v)] = 1;
    }
  }

  std::string add_seed(ValueId y, const std::string& output) {
    const Shape& shape = *forward_.at(y).shape;
    const DType dtype = forward_.at(y).dtype;
    if (count(shape) == 1) {
      parts_[index(y)] = {build_.constant(Tensor::scalar(dtype, 1).reshaped(shape))};
      return {};
    }
    const std::string name = "d." + output;
    SymbolicShape declared;
    for (const auto d : shape) declared.push_back({d, {}});
    parts_[index(y)] = {build_.input(name, dtype, std::move(declared))};
    return name;
  }

  // The gradient of v: the sum of what its readers gave. None when there is nothing.
  ValueId sum(ValueId v) {
    auto& parts = parts_[index(v)];
    if (parts.empty()) return ValueId::none;
    ValueId total = parts[0];
    for (std::size_t i = 1; i < parts.size(); ++i) total = build_.node("Add", {total, parts[i]});
    parts = {total};
    return total;
  }

  void visit(NodeId id) {
    const Node& n = forward_.at(id);
    std::vector<char> needed;
    bool any = false;
    for (const auto v : n.in) {
      needed.push_back(v != ValueId::none && depends_[index(v)]);
      any |= needed.back() != 0;
    }
    if (!any) return;
    build_.name_nodes("d." + n.name, n.scope);
    std::vector<ValueId> dout;
    bool reached = false;
    for (const auto v : n.out) {
      dout.push_back(v != ValueId::none && depends_[index(v)] ? sum(v) : ValueId::none);
      reached |= dout.back() != ValueId::none;
    }
    if (!reached) return;
    try {
      differentiate_node(id, std::move(dout), std::move(needed));
    } catch (Error& e) {
      throw e.in(concat("the gradient of ", describe(n)));
    }
  }

  void differentiate_node(NodeId id, std::vector<ValueId> dout, std::vector<char> needed) {
    const Node& n = forward_.at(id);
    check(n.op->gradient && !n.op->gradient.is(gradient_missing), Code::unsupported, "gradient of '", n.op->name,
          "' is not written");
    for (const auto& values : {n.in, n.out})
      for (const auto v : values)
        check(v == ValueId::none || forward_.at(v).shape, Code::unsupported,
              "a gradient needs shapes known beforehand; '", v == ValueId::none ? "" : forward_.at(v).name,
              "' has one during the run only");
    NodeGradient context(forward_, build_, id, n, std::move(dout), needed);
    const auto gradients = n.op->gradient(context);
    // Rules may name gradients of optional inputs that this node does not have; nobody needs those.
    for (std::size_t i = 0; i < std::min(gradients.size(), n.in.size()); ++i) {
      if (gradients[i] == ValueId::none || !needed[i]) continue;
      const Value& x = forward_.at(n.in[i]);
      parts_[index(n.in[i])].push_back(build_.cast(reduced(build_, gradients[i], *x.shape), x.dtype));
    }
  }

  const Graph& forward_;
  Graph graph_;
  GraphBuilder build_;
  std::vector<char> depends_;                // of forward values: can a wanted value change it?
  std::vector<std::vector<ValueId>> parts_;  // of forward values: gradients to be summed
};

}  // namespace

Gradients differentiate(const Graph& g, const std::string& output, const std::vector<std::string>& wrt,
                        const Registry& registry) {
  return Differentiation(g, registry).run(output, wrt);
}

}  // namespace tessera
