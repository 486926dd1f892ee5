// A graph's inputs, initializers, nodes in order, and outputs.
#include <algorithm>
#include <unordered_set>

#include "runtime/base/log.h"
#include "runtime/base/nearest.h"
#include "runtime/load/import.h"

namespace tessera {
namespace {

using onnx::TypeProto;

SymbolicShape declared_shape(const onnx::TensorShapeProto& proto) {
  check(proto.dim_size() <= 64, "has ", proto.dim_size(), " dims; at most 64 are allowed");
  SymbolicShape shape;
  for (const auto& d : proto.dim()) {
    check(!d.has_dim_value() || d.dim_value() >= 0, "has a dim of ", d.dim_value());
    shape.push_back({d.has_dim_value() ? d.dim_value() : -1, d.dim_param()});
  }
  if (const auto sizes = concrete(shape)) element_count(*sizes);  // throws where the product is too large
  return shape;
}

// The names that nodes read, gathered when they are first asked for.
class ReadNames {
 public:
  explicit ReadNames(const onnx::GraphProto& graph) : graph_(graph) {}
  bool contains(const std::string& name) {
    for (; next_ < graph_.node_size(); ++next_) {
      const auto& n = graph_.node(next_);
      names_.insert(n.input().begin(), n.input().end());
      const auto captured = captured_names(n);
      names_.insert(captured.begin(), captured.end());
    }
    return names_.contains(name);
  }

 private:
  const onnx::GraphProto& graph_;
  int next_ = 0;
  std::unordered_set<std::string> names_;
};

}  // namespace

Graph Importer::graph(const onnx::GraphProto& proto, const Opsets& opsets) {
  Graph g;
  g.name = proto.name();
  GraphBuilder build(g, registry_);
  NodeNames node_names;
  Scope scope{.build = build, .node_names = node_names, .opsets = opsets};
  initializers(scope, proto);
  inputs(scope, proto);
  nodes(scope, proto.node());
  outputs(scope, proto);
  return g;
}

// An initializer that is also listed as an input (as IR 3 demanded) is a constant, not an input.
void Importer::inputs(Scope& scope, const onnx::GraphProto& proto) {
  std::unordered_set<std::string_view> names;
  ReadNames read(proto);
  for (const auto& input : proto.input()) try {
      check(!input.name().empty(), "an input has no name");
      check(names.insert(input.name()).second, "it is defined twice");
      if (scope.initializers.contains(input.name())) continue;
      if (input.type().value_case() == TypeProto::VALUE_NOT_SET) throw Error(Code::bad_input, "it has no type");
      if (!input.type().has_tensor_type()) {
        check(!read.contains(input.name()), Code::unsupported, "it is no tensor; sequences, maps, optional and sparse ",
              "values are not supported");
        warn(concat("input '", input.name(), "' is no tensor; nothing reads it and it is left out"));
        continue;
      }
      const auto& tensor = input.type().tensor_type();
      const auto dtype = static_cast<DType>(tensor.elem_type());
      check(known(dtype), "it has the element type ", tensor.elem_type(), ", which ONNX does not define");
      auto shape = tensor.has_shape() ? std::optional(declared_shape(tensor.shape())) : std::nullopt;
      define(scope, input.name(), scope.build.input(input.name(), dtype, std::move(shape)));
    } catch (Error& e) {
      throw e.in(concat("input '", input.name(), "'"));
    }
}

void Importer::initializers(Scope& scope, const onnx::GraphProto& proto) {
  for (const auto& tensor : proto.initializer()) {
    scope.build.reserve(tensor.name());  // it is read later, when others have got names that the file does not have
    check(!tensor.name().empty(), "an initializer has no name");
    check(scope.initializers.emplace(tensor.name(), &tensor).second, "initializer '", tensor.name(),
          "' is defined twice");
  }
  ReadNames read(proto);
  for (const auto& sparse : proto.sparse_initializer())
    check(!read.contains(sparse.values().name()), Code::unsupported, "initializer '", sparse.values().name(),
          "' is sparse, which is not supported");
}

void Importer::outputs(Scope& scope, const onnx::GraphProto& proto) {
  std::unordered_set<std::string_view> names;
  for (const auto& output : proto.output()) {
    const std::string& name = output.name();
    check(!name.empty(), "an output has no name");
    check(names.insert(name).second, "output '", name, "' is listed twice");
    if (!scope.defines(name)) {
      std::vector<std::string> known;
      for (const auto& [value, _] : scope.values) known.push_back(value);
      std::sort(known.begin(), known.end());
      check(false, "output '", name, "' is made by no node", known.size() < 10000 ? did_you_mean(name, known) : "");
    }
    const ValueId v = lookup(scope, name);
    check(v != ValueId::none, "output '", name, "' is absent");
    const auto declared = static_cast<DType>(output.type().tensor_type().elem_type());
    const DType found = scope.build.dtype(v);
    check(declared == DType::undefined || declared == found, "output '", name, "' is declared ", declared, " but is ",
          found);
    scope.build.output(name, v);
  }
}

void Importer::nodes(Scope& scope, const NodeProtos& protos) {
  const auto order = topological_order(protos, [&](const std::string& name) { return scope.defines(name); });
  for (const auto& n : protos) {
    if (!n.name().empty()) scope.node_names.reserve(qualified_name(scope, n));
    for (const auto& name : n.output())
      if (scope.value_path.empty() && !name.empty()) scope.build.reserve(name);
  }
  for (const int n : order) node(scope, protos[n]);
}

ValueId Importer::lookup(Scope& scope, const std::string& name) {
  if (name.empty()) return ValueId::none;
  if (const auto it = scope.values.find(name); it != scope.values.end()) return it->second;
  const auto it = scope.initializers.find(name);
  check(it != scope.initializers.end(), "'", name, "' is not defined");
  const ValueId v = scope.build.constant(tensors_.read(*it->second), name);
  define(scope, name, v);
  return v;
}

void Importer::define(Scope& scope, const std::string& name, ValueId value) {
  check(scope.values.emplace(name, value).second, "value '", name, "' is defined twice");
}

}  // namespace tessera
