#include "runtime/op/context.h"
#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// Null when the node is no If or its condition is not known.
const Graph* taken_branch(const Graph& g, const Node& n) {
  if (n.op->name != "If" || !n.op->domain.empty() || !g.is_constant(n.in[0])) return nullptr;
  const Tensor& condition = g.at(n.in[0]).constant;
  if (condition.dtype() != DType::boolean || condition.size() != 1) return nullptr;  // the kernel says what is wrong
  const bool holds = condition.read<bool>()[0];
  const auto& branch = AttributeReader(n.op->attributes, n.attributes).graph(holds ? "then_branch" : "else_branch");
  return &static_cast<const GraphBody&>(branch).graph;
}

// Writes the nodes of the body before the If and lets them stand for its outputs. Values get the If's name as a path.
void inline_body(Graph& g, Edit& edit, NodeId at, const Graph& body) {
  const Node taken = g.at(at);
  check(body.inputs.size() == taken.in.size() - 1 && body.outputs.size() >= taken.out.size(), Code::internal,
        describe(taken), " does not fit its branch");
  edit.before(at);
  std::vector<ValueId> here(body.values.size(), ValueId::none);
  for (std::size_t i = 0; i < body.inputs.size(); ++i) here[index(body.inputs[i].value)] = taken.in[i + 1];
  for (std::size_t v = 0; v < body.values.size(); ++v)
    if (body.values[v].constant)
      here[v] = edit.constant(body.values[v].constant, concat(taken.name, "/", body.values[v].name));
  for (const auto& n : body.nodes) {
    std::vector<ValueId> in;
    for (const auto v : n.in) in.push_back(v == ValueId::none ? v : here[index(v)]);
    std::vector<std::string> names;
    for (const auto v : n.out) names.push_back(v == ValueId::none ? "" : concat(taken.name, "/", body.at(v).name));
    const auto out = edit.add(*n.op, n.name, std::move(in), n.attributes, names);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (n.out[i] != ValueId::none) here[index(n.out[i])] = out[i];
  }
  for (std::size_t i = 0; i < taken.out.size(); ++i) {
    if (taken.out[i] == ValueId::none) continue;
    const ValueId by = here[index(body.outputs[i].value)];
    edit.replace(taken.out[i], by);
    // What the If computed keeps its name, unless it is no result of the branch's own nodes.
    if (body.at(body.outputs[i].value).producer != NodeId::none) std::swap(g.at(taken.out[i]).name, g.at(by).name);
  }
  edit.erase(at);
}

int inline_branch(Graph& g, const Registry& registry) {
  Edit edit(g, registry);
  const std::size_t nodes = g.nodes.size();
  int taken = 0;
  for (std::size_t n = 0; n < nodes; ++n)
    if (const Graph* body = taken_branch(g, g.nodes[n])) {
      inline_body(g, edit, static_cast<NodeId>(n), *body);
      ++taken;
    }
  edit.commit();
  return taken;
}

}  // namespace

const PassDef inline_branch_pass{
    .name = "inline_branch",
    .doc = "Replaces an If whose condition is known by the nodes of the branch it takes.",
    .source = "ONNX If; branch elimination",
    .run = inline_branch,
    .examples = {{"x: f32[2x8]", "If(bool true, then_branch={Relu(x)}, else_branch={Neg(x)})", "Relu(x)"}},
};

}  // namespace tessera
