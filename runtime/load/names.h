#pragma once
// Names in the protobuf of a graph: what nodes read and define, and the order that follows. Private to load/.
#include <functional>
#include <string>
#include <vector>

#include "tessera/onnx.pb.h"

namespace tessera {

using NodeProtos = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

// How many inputs or outputs there are, without the absent ones at the end.
int count_named(const google::protobuf::RepeatedPtrField<std::string>& names);

// Names of outer values that the graphs in the node's attributes use, each once, in order of use,
// the graphs taken by the names of their attributes.
std::vector<std::string> captured_names(const onnx::NodeProto& node);

// "node 'fc1' (Gemm)", or "node number 3 (Gemm)" where it has no name.
std::string describe(const onnx::NodeProto& node, int position);

// Positions of the nodes so that each stands after the nodes whose outputs it reads; the file's order where that will
// do. `defined` tells whether a name is known before the first node. Errors: bad_input for an undefined name, for a
// name defined twice, and for a cycle, naming the nodes on it.
std::vector<int> topological_order(const NodeProtos& nodes, const std::function<bool(const std::string&)>& defined);

}  // namespace tessera
