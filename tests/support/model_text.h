#pragma once
// Models written as text, loaded.
#include <functional>
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/op/registry.h"

namespace tessera {

// What a failed call said: its code and its text with all frames. Code 0: it did not fail.
struct Failure {
  int code = 0;
  std::string text;
};

// A graph input of the type and shape of `like`, as GraphProto text; an axis that `symbol` has a name for is symbolic.
std::string input_text(const std::string& name, const Tensor& like,
                       const std::function<std::string(int axis)>& symbol = {});

// A model of the given GraphProto text, in opset 17; `rest` stands after the graph, in ModelProto.
std::string model_text(const std::string& graph, const std::string& rest = {}, int opset = 17);
Graph load_text(const std::string& graph, const std::string& rest = {}, int opset = 17,
                const Registry& registry = builtin_registry());
Failure failure_of_text(const std::string& graph, const std::string& rest = {}, int opset = 17);
// Of loading a file.
Failure failure_of(const std::string& path, const Registry& registry = builtin_registry());

}  // namespace tessera
