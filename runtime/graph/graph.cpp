#include "runtime/graph/graph.h"

namespace tessera {

const Value* Graph::find(std::string_view value_name) const {
  for (const auto& v : values)
    if (v.name == value_name) return &v;
  return nullptr;
}

Uses::Uses(const Graph& g) : of(g.values.size()), as_output(g.values.size()) {
  for (std::size_t n = 0; n < g.nodes.size(); ++n)
    for (const ValueId v : g.nodes[n].in)
      if (v != ValueId::none) of[index(v)].push_back(static_cast<NodeId>(n));
  for (const auto& o : g.outputs) ++as_output[index(o.value)];
}

std::vector<DType> GraphBody::output_dtypes() const {
  std::vector<DType> types;
  for (const auto& o : graph.outputs) types.push_back(graph.at(o.value).dtype);
  return types;
}

}  // namespace tessera
