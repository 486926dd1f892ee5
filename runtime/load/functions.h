#pragma once
// The functions that a model defines for itself. Private to load/.
#include <map>
#include <string>
#include <tuple>

#include "runtime/load/names.h"

namespace tessera {

// Version of each operator domain; "ai.onnx" is "".
using Opsets = std::map<std::string, std::int64_t, std::less<>>;

// "" for "ai.onnx", which are one domain.
inline const std::string& plain_domain(const std::string& domain) {
  static const std::string onnx;
  return domain == "ai.onnx" ? onnx : domain;
}

// Errors: bad_input for a domain imported in two versions or in one that is no version.
Opsets read_opsets(const google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>& imports);

class Functions {
 public:
  // Errors: bad_input for two functions of one name, for recursion, for calls nested deeper than 100 and for a model
  // that inlining would bring beyond a million nodes.
  explicit Functions(const onnx::ModelProto& model);
  const onnx::FunctionProto* find(const onnx::NodeProto& call) const;  // null when there is none
  const Opsets& opsets(const onnx::FunctionProto& function) const { return opsets_.at(&function); }

 private:
  double inlined_size(const NodeProtos& nodes, int depth);
  using Key = std::tuple<std::string, std::string, std::string>;  // domain, name, overload
  std::map<Key, const onnx::FunctionProto*> functions_;
  std::map<const onnx::FunctionProto*, Opsets> opsets_;
  std::map<const onnx::FunctionProto*, double> sizes_;  // in nodes; -1 while being counted
};

}  // namespace tessera
