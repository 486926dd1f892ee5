#include "runtime/policy/precision.h"

#include <map>

namespace tessera {
namespace {

// The type variable of a port, past the end that of a variadic last one.
std::string_view variable(std::span<const Port> ports, std::size_t i) {
  return ports[std::min(i, ports.size() - 1)].type;
}

}  // namespace

void compute_in_bf16(Graph& g, Edit& edit, NodeId id) {
  const Node n = g.at(id);
  const DType given = g.at(n.in[0]).dtype;
  if (given == DType::bf16) return;
  const std::string_view type = variable(n.op->inputs, 0);
  edit.before(id);
  std::vector<ValueId> in = n.in;
  std::map<ValueId, ValueId> rounded;  // a packed QKV tensor is given three times
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] == ValueId::none || variable(n.op->inputs, i) != type) continue;
    ValueId& cast = rounded.try_emplace(in[i], ValueId::none).first->second;
    if (cast == ValueId::none) cast = edit.cast(in[i], DType::bf16);
    in[i] = cast;
  }
  std::vector<std::string> names;
  for (const ValueId v : n.out) names.push_back(v == ValueId::none ? "" : g.at(v).name + ".bf16");
  const auto out = edit.add(*n.op, n.name, in, n.attributes, names);
  for (std::size_t i = 0; i < n.out.size(); ++i) {
    if (n.out[i] == ValueId::none) continue;
    const DType wanted = g.at(n.out[i]).dtype;  // of lse follows that of the operands
    const ValueId by = edit.dtype(out[i]) == wanted ? out[i] : edit.cast(out[i], wanted);
    edit.replace(n.out[i], by);
    std::swap(g.at(n.out[i]).name, g.at(by).name);  // the file's name stays with what it is read as
  }
  edit.erase(id);
}

}  // namespace tessera
