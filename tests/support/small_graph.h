#pragma once
// Writing small graphs in tests: inputs with concrete shapes, nodes by name.
#include <string>

#include "runtime/graph/build.h"
#include "runtime/tensor/text.h"

namespace tessera {

struct SmallGraph {
  SmallGraph() = default;
  SmallGraph(const SmallGraph&) = delete;  // `build` refers to `g`; copy that
  Graph g;
  GraphBuilder build{g, builtin_registry()};

  ValueId input(std::string name, const Shape& shape, DType t = DType::f32) {
    SymbolicShape declared;
    for (const auto d : shape) declared.push_back({d, {}});
    return build.input(std::move(name), t, std::move(declared));
  }
  ValueId constant(std::string_view text) { return build.constant(tensor_from_text(text)); }
  ValueId weight(std::string name, std::string_view text) {
    return build.constant(tensor_from_text(text), std::move(name));
  }
  ValueId node(std::string_view op, std::vector<ValueId> in, Attributes attributes = {}) {
    return build.node(op, std::move(in), std::move(attributes));
  }
  // A node of that name; its output has it too.
  ValueId named(std::string name, std::string_view op, std::vector<ValueId> in, Attributes attributes = {}) {
    return build.add(builtin_registry().at(op), name, std::move(in), std::move(attributes), {name})[0];
  }
  void output(std::string name, ValueId v) { build.output(std::move(name), v); }
};

}  // namespace tessera
