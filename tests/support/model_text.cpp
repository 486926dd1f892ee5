#include "tests/support/model_text.h"

#include "runtime/load/load.h"
#include "tests/support/scratch_folder.h"

namespace tessera {

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
