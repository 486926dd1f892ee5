#pragma once
// ModelProto -> Graph. Private to load/.
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "runtime/graph/build.h"
#include "runtime/load/functions.h"
#include "runtime/load/node_names.h"
#include "runtime/load/tensor_proto.h"

namespace tessera {

// Attributes of the call that a function's body refers to by name.
using Bindings = std::map<std::string, onnx::AttributeProto, std::less<>>;

// Where names are looked up while nodes are read: the main graph, a branch of If, or the body of a function call.
// Borrows all that it points to.
struct Scope {
  GraphBuilder& build;
  NodeNames& node_names;
  const Opsets& opsets;
  std::string node_path = {}, value_path = {};  // empty, or end in '/'
  std::string module = {};                      // the module path of the call, inside functions
  const Bindings* bindings = nullptr;           // null outside of functions
  std::unordered_map<std::string, ValueId> values = {};
  std::unordered_map<std::string_view, const onnx::TensorProto*> initializers = {};  // not yet read

  bool defines(const std::string& name) const { return values.contains(name) || initializers.contains(name); }
};

// Reads one model. Initializers become constants when a node first uses them, so one that nothing uses may be of a type
// that cannot be executed. Where a model's function bears the name of a known operator, the operator is taken.
class Importer {
 public:
  Importer(const Registry& registry, Bytes file, const std::string& path, const onnx::ModelProto& model);
  Graph model();

 private:
  // import_graph.cpp
  Graph graph(const onnx::GraphProto& proto, const Opsets& opsets);
  void inputs(Scope& scope, const onnx::GraphProto& proto);
  void initializers(Scope& scope, const onnx::GraphProto& proto);
  void outputs(Scope& scope, const onnx::GraphProto& proto);
  void nodes(Scope& scope, const NodeProtos& protos);
  ValueId lookup(Scope& scope, const std::string& name);
  void define(Scope& scope, const std::string& name, ValueId value);

  // import_node.cpp
  static std::string qualified_name(const Scope& scope, const onnx::NodeProto& proto);
  void node(Scope& scope, const onnx::NodeProto& proto);
  void unknown_operator(const Scope& scope, const std::string& domain, const std::string& name) const;
  void check_call(const Scope& scope, const RewriteContext& c) const;
  void operator_node(Scope& scope, const onnx::NodeProto& proto, const OpDef& op, std::string name);
  void constant_node(Scope& scope, const onnx::NodeProto& proto);
  void adopt(Scope& scope, const onnx::NodeProto& proto, std::span<const ValueId> results, std::size_t fresh);
  Attributes attributes(Scope& scope, const onnx::NodeProto& proto);
  std::vector<ValueId> inputs(Scope& scope, const onnx::NodeProto& proto);

  // import_methods.cpp
  void check_methods(const Scope& scope, const onnx::NodeProto& proto, const OpDef& op) const;
  const std::string* metadata(const std::string& key) const;

  // import_body.cpp
  void call(Scope& scope, const onnx::NodeProto& proto, const onnx::FunctionProto& function, const std::string& name);
  void bodies(Scope& scope, const onnx::NodeProto& proto, const std::string& name, std::vector<ValueId>& in,
              Attributes& attributes);
  Graph body(Scope& scope, const onnx::GraphProto& proto, const std::string& path, std::span<const ValueId> captures,
             const std::vector<std::string>& names);

  const Registry& registry_;
  TensorReader tensors_;
  const onnx::ModelProto& model_;
  Functions functions_;
  int depth_ = 0;  // of function calls and bodies
};

}  // namespace tessera
