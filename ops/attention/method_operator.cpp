#include "ops/attention/method_operator.h"

#include <algorithm>
#include <functional>

#include "ops/attention/attention_node.h"
#include "runtime/op/registry.h"

namespace tessera {
namespace {

const AttentionMethod& method_behind(const OpDef& op) { return *static_cast<const AttentionMethod*>(op.user); }

MethodPorts ports_of(const AttentionMethod& m) {
  return {m.select ? (m.coarse_gate ? 1 : 0) : static_cast<int>(m.inputs.size())};
}

std::shared_ptr<const AttentionNode> node_of(const OpDef& op, const AttributeReader& attr, AttentionGeometry geometry,
                                             const std::function<bool(int)>& has) {
  const auto& method = method_behind(op);
  const auto& s = geometry.shape;
  const HeadRun all{0, 1, s.q_heads, 0, 1, s.kv_heads};
  auto node = std::make_shared<AttentionNode>(method.name, std::move(geometry), ports_of(method), has);
  node->add(all, method, attr.integers("grid"), attr.all());
  return node;
}

std::shared_ptr<const AttentionNode> node_of(const ShapeContext& c) {
  return node_of(c.op, c.attr, attention_geometry(c), [&](int i) { return c.has(i); });
}

Shape selection_shape(const AttentionNode& node) {
  const auto& planned = *node.parts()[0].planned;
  return planned.selects() ? planned.selection_shape() : Shape{0};
}

// The gradient of an own input that is absent has no elements, and the type of dQ.
void backward_dtype(const AttributeReader&, std::span<const DType> in, std::span<DType> out) {
  std::ranges::replace(out, DType::undefined, in[attention_input::q]);
}

void forward_shape(ShapeContext& c) {
  const auto node = node_of(c);
  node->forward_shape(c, selection_shape(*node));
}
void backward_shape(ShapeContext& c) {
  const auto node = node_of(c);
  node->backward_shape(c, selection_shape(*node));
}
std::shared_ptr<const void> prepare(const PrepareContext& p) {
  return node_of(p.op, p.attr, attention_geometry(p), [&](int i) { return has_input(p, i); });
}
void forward_kernel(const KernelContext& k) { k.state<AttentionNode>().forward(k); }
void backward_kernel(const KernelContext& k) { k.state<AttentionNode>().backward(k); }

double forward_flops(const ShapeContext& c) {
  return node_of(c)->flops(method_behind(c.op).coarse_gate && c.has(MethodPorts::first_own));
}
// Five products in place of two.
double backward_flops(const ShapeContext& c) { return 2.5 * forward_flops(c); }

std::vector<ValueId> gradient(GradContext& g) { return attention_node_gradient(g, ports_of(method_behind(g.op()))); }

void check_record(const AttentionMethod& m) {
  const auto demand = [&](bool holds, const char* what) {
    check(holds, Code::plugin, "attention method '", m.name, "' ", what);
  };
  demand(!m.name.empty() && !m.doc.empty() && !m.source.empty(), "must have a name, a documentation and a source");
  demand((m.select != nullptr) != (m.forward != nullptr), "must have either select or forward");
  demand(!m.backward || m.forward, "has a backward without a forward");
  demand(!(m.keep && m.coarse_gate), "cannot have both keep and a coarse gate");
  demand(m.select || !(m.keep || m.width || m.coarse_gate),
         "selects no tiles and has a keep, a width or a coarse gate, which are parts of selecting");
  demand(!m.select || m.inputs.empty(), "selects tiles and has no inputs of its own but the gate");
  demand(m.inputs.size() <= 3, "has more than three inputs of its own");
  demand(!m.name.ends_with("Grad"), "has a name that ends as those of gradients do");
  const OpDef& dense = builtin_registry().at("tessera.attention::dense");
  for (const auto& i : m.inputs) {
    bool taken = false;
    for (const Port& port : dense.inputs) taken = taken || i.name == port.name;
    for (const auto* name : {"Y", "lse", "dY", "dlse", "selection"}) taken = taken || i.name == name;
    demand(!taken, "has an input of its own under the name of one that every attention has");
  }
  bool tiled = false;
  for (const auto& p : m.parameters) {
    for (const auto& a : dense.attributes)
      demand(p.name != a.name, "has a parameter under the name of an attribute that every attention has");
    const bool tile = p.name == "tile";
    demand(!tile || (p.type == AttributeType::integers && !p.fallback.empty()),
           "has a parameter 'tile' that is no list of integers, or may be left out: it cuts the grid");
    tiled = tiled || tile;
    if (!p.fallback.empty() && p.fallback != "required") parse_parameter(p, p.fallback);
  }
  demand(!m.select || tiled, "selects tiles and needs a parameter 'tile', a list of integers");
}

// Ports and attributes of one method's operators, in the order of their places.
class TableWriter {
 public:
  TableWriter(const AttentionMethod& method, std::deque<std::string>& texts) : method_(method), texts_(texts) {}

  OpDef common() {
    OpDef op;
    op.domain = "tessera.attention";
    op.since = method_.version;
    op.source = method_.source;
    const OpDef& dense = builtin_registry().at("tessera.attention::dense");
    for (const auto& t : dense.types) add(op.types, t);
    for (Port i : dense.inputs) {
      if (i.presence == Presence::optional) i.doc = "refused: no method but dense honours it";
      add(op.inputs, i);
    }
    for (AttributeDef a : dense.attributes) {
      if (a.name == "grid") a.doc = "[T, H, W]: token (t, y, x) is row (t H + y) W + x; needed by methods with tiles";
      add(op.attributes, a);
    }
    if (method_.coarse_gate) add(op.inputs, {"gate", "T1", "shape of Y; absent: no coarse term", Presence::optional});
    for (const auto& i : method_.inputs) {
      const auto type = text("T_" + i.name);
      add(op.types, {type, i.types});
      add(op.inputs, {text(i.name), type, text(i.doc), i.optional ? Presence::optional : Presence::required});
    }
    for (const auto& p : method_.parameters) add(op.attributes, attribute_of(p, p.doc, texts_));
    op.prepare = prepare;
    op.user = &method_;
    return op;
  }

  OpDef forward() {
    OpDef op = common();
    op.name = method_.name;
    op.doc = method_.doc;
    if (method_.select)
      add(op.inputs, {"selection", "i32", "freezes the choice: an output `selection`", Presence::optional});
    add(op.outputs, {"Y", "T1", "as dense"});
    for (const auto* name : {"present_key", "present_value", "qk_matmul_output"})
      add(op.outputs, {name, "T1", "[0]: not given", Presence::optional});
    add(op.outputs, {"lse", "L", "[B x Hq x L]: log of the sum of exponentials, -inf where no key is attended",
                     Presence::optional});
    add(op.outputs, {"density", "f32", "[B x Hq]: kept pairs / all pairs", Presence::optional});
    if (method_.select)
      add(op.outputs, {"selection", "i32",
                       "[B x Hq x tiles x width + largest tile]: key tiles ascending, then -1; then for each token of "
                       "the tile the token computed for it, -1 none, -2 beyond the tile",
                       Presence::optional});
    op.dtype = attention_node_dtype;
    op.shape = forward_shape;
    op.flops = forward_flops;
    op.kernel = forward_kernel;
    op.gradient = tessera::gradient_missing;
    if (method_.select || method_.backward) op.gradient = gradient;
    for (const auto& e : method_.examples) add(op.examples, text(e));
    return op;
  }

  OpDef backward() {
    OpDef op = common();
    op.name = text(method_.name + "Grad");
    op.doc = text("Gradients of " + method_.name + " from its results, its choices held constant.");
    add(op.inputs, {"Y", "T1", "of the forward pass"});
    add(op.inputs, {"lse", "L", "of the forward pass"});
    add(op.inputs, {"dY", "T1", "shape of Y"});
    add(op.inputs, {"dlse", "L", "shape of lse; absent: zeros", Presence::optional});
    if (method_.select) add(op.inputs, {"selection", "i32", "of the forward pass"});
    add(op.outputs, {"dQ", "T1", "shape of Q"});
    add(op.outputs, {"dK", "T1", "shape of K"});
    add(op.outputs, {"dV", "T1", "shape of V"});
    if (method_.coarse_gate) add(op.outputs, {"dgate", "T1", "shape of gate", Presence::optional});
    for (const auto& i : method_.inputs)
      add(op.outputs, {text("d" + i.name), text("T_" + i.name), "gradient", Presence::optional});
    op.dtype = backward_dtype;
    op.shape = backward_shape;
    op.flops = backward_flops;
    op.kernel = backward_kernel;
    op.gradient = tessera::gradient_missing;
    return op;
  }

 private:
  template <class T, std::size_t N>
  void add(List<T, N>& list, T item) {
    check(list.n < N, Code::plugin, "attention method '", method_.name, "' has more than ", N, " ports or parameters");
    list.items[list.n++] = item;
  }
  std::string_view text(std::string s) { return texts_.emplace_back(std::move(s)); }

  const AttentionMethod& method_;
  std::deque<std::string>& texts_;
};

}  // namespace

MethodTables::MethodTables(const AttentionMethod& method) {
  check_record(method);
  TableWriter writer(method, texts_);
  forward = writer.forward();
  backward = writer.backward();
}

}  // namespace tessera
