// One operator twice, in the domain of ONNX under both its names.
#include "sound.hpp"

constexpr tsr_op in_domain(const char* domain) {
  auto op = sound::op("Alike");
  op.domain = domain;
  return op;
}
constexpr tsr_op ops[] = {in_domain(""), in_domain("ai.onnx")};

const tsr_plugin* tsr_plugin_entry() {
  static constexpr tsr_plugin plugin = sound::plugin("two_names_of_onnx", ops);
  return &plugin;
}
