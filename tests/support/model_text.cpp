#include "tests/support/model_text.h"

#include "runtime/load/load.h"
#include "tests/support/scratch_folder.h"

namespace tessera {

std::string input_text(const std::string& name, const Tensor& like,
                       const std::function<std::string(int axis)>& symbol) {
  std::string dims;
  for (int axis = 0; axis < like.rank(); ++axis) {
    const std::string named = symbol ? symbol(axis) : "";
    dims += named.empty() ? concat("dim { dim_value: ", like.dim(axis), " } ")
                          : concat("dim { dim_param: \"", named, "\" } ");
  }
  return concat("input { name: \"", name, "\" type { tensor_type { elem_type: ", static_cast<int>(like.dtype()),
                " shape { ", dims, "} } } } ");
}

std::string model_text(const std::string& graph, const std::string& rest, int opset) {
  return "ir_version: 8 opset_import { domain: \"\" version: " + std::to_string(opset) + " } graph {" + graph + "}" +
         rest;
}

Graph load_text(const std::string& graph, const std::string& rest, int opset, const Registry& registry) {
  const ScratchFolder folder;
  return load(folder.write("model.textproto", model_text(graph, rest, opset)), registry);
}

Failure failure_of_text(const std::string& graph, const std::string& rest, int opset) {
  const ScratchFolder folder;
  return failure_of(folder.write("model.textproto", model_text(graph, rest, opset)));
}

Failure failure_of(const std::string& path, const Registry& registry) {
  try {
    load(path, registry);
    return {};
  } catch (const Error& e) {
    return {static_cast<int>(e.code()), e.what()};
  }
}

}  // namespace tessera
