#include "runtime/load/functions.h"

#include "runtime/base/error.h"

namespace tessera {
namespace {
constexpr double inlined_limit = 1e6;
constexpr int call_depth_limit = 100;
}  // namespace

Opsets read_opsets(const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports) {
  Opsets opsets;
  for (const auto& import : imports) {
    check(import.version() > 0, "operator set '", import.domain(), "' is imported in version ", import.version());
    const auto [it, fresh] = opsets.emplace(plain_domain(import.domain()), import.version());
    check(fresh || it->second == import.version(), "operator set '", import.domain(), "' is imported in versions ",
          it->second, " and ", import.version());
  }
  return opsets;
}

Functions::Functions(const onnx::ModelProto& model) {
  for (const auto& f : model.functions()) {
    const bool fresh = functions_.emplace(Key{plain_domain(f.domain()), f.name(), f.overload()}, &f).second;
    check(fresh, "function '", f.name(), "' of domain '", f.domain(), "' is defined twice");
    opsets_[&f] = read_opsets(f.opset_import_size() > 0 ? f.opset_import() : model.opset_import());
  }
  const double size = inlined_size(model.graph().node(), 0);
  check(functions_.empty() || size <= inlined_limit, "inlining its functions gives the model ", size, " nodes");
}

const onnx::FunctionProto* Functions::find(const onnx::NodeProto& call) const {
  if (functions_.empty()) return nullptr;
  const auto it = functions_.find({plain_domain(call.domain()), call.op_type(), call.overload()});
  return it == functions_.end() ? nullptr : it->second;
}

double Functions::inlined_size(const NodeProtos& nodes, int depth) {
  check(depth <= call_depth_limit, "functions and graphs are nested deeper than ", call_depth_limit);
  double size = 0;
  for (const auto& n : nodes) {
    size += 1;
    for (const auto& a : n.attribute())
      if (a.has_g()) size += inlined_size(a.g().node(), depth + 1);
    const onnx::FunctionProto* f = find(n);
    if (!f) continue;
    if (const auto [it, fresh] = sizes_.emplace(f, -1); fresh) {
      const double body = inlined_size(f->node(), depth + 1);
      it->second = body;
    }
    check(sizes_.at(f) >= 0, "function '", f->name(), "' of domain '", f->domain(), "' calls itself");
    size += sizes_.at(f);
  }
  return size;
}

}  // namespace tessera
