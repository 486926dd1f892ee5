#include "runtime/graph/verify.h"

#include <unordered_set>

#include "runtime/graph/build.h"

namespace tessera {
namespace {

void check_values(const Graph& g) {
  std::unordered_set<std::string_view> names;
  names.reserve(g.values.size());
  for (const auto& v : g.values) {
    check(names.insert(v.name).second, Code::internal, "value '", v.name, "' is defined twice");
    check(v.dtype != DType::undefined, Code::internal, "value '", v.name, "' has no type");
    if (!v.constant) continue;
    check(v.producer == NodeId::none, Code::internal, "constant '", v.name, "' has a producer");
    check(v.constant.dtype() == v.dtype && v.shape && v.constant.shape() == *v.shape, Code::internal, "constant '",
          v.name, "' differs from its declared type");
  }
}

// (The node's description is written only when it is needed: verify runs after every pass.)
[[noreturn]] void fail(const Node& n, const char* what) { throw Error(Code::internal, describe(n) + what); }

}  // namespace

void verify(const Graph& g) {
  const auto in_range = [&](ValueId v) { return index(v) < g.values.size(); };
  check_values(g);
  std::vector<char> defined(g.values.size());
  for (std::size_t v = 0; v < g.values.size(); ++v) defined[v] = bool(g.values[v].constant);
  for (const auto& i : g.inputs) {
    check(in_range(i.value) && g.at(i.value).producer == NodeId::none, Code::internal, "an input is not an input");
    defined[index(i.value)] = 1;
  }
  for (std::size_t n = 0; n < g.nodes.size(); ++n) {
    const Node& node = g.nodes[n];
    for (const ValueId v : node.in)
      if (v != ValueId::none && !(in_range(v) && defined[index(v)])) fail(node, " reads a value not defined before it");
    for (const ValueId v : node.out) {
      if (v == ValueId::none) continue;
      if (!in_range(v) || defined[index(v)] || g.at(v).producer != static_cast<NodeId>(n))
        fail(node, " has an output with another producer");
      defined[index(v)] = 1;
    }
  }
  for (const auto& o : g.outputs)
    check(in_range(o.value) && defined[index(o.value)], Code::internal, "output '", o.name, "' is not defined");
}

}  // namespace tessera
