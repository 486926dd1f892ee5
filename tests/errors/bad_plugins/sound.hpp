#pragma once
// A sound operator and plugin, for the bad ones beside this file to spoil in one place each.
#include <tessera/plugin.hpp>

namespace sound {

using namespace tessera::plugin;

inline void shape(Shape& s) { s.set(0, s.dims(0)); }
inline void kernel(Kernel& k) {
  const auto x = k.read<float>(0);
  std::copy(x.begin(), x.end(), k.write<float>(0).begin());
}

inline constexpr tsr_port inputs[] = {Port{.name = "X", .types = "f32", .doc = "any shape"}};
inline constexpr tsr_port outputs[] = {Port{.name = "Y", .types = "=X", .doc = "shape of X"}};

constexpr tsr_op op(const char* name) {
  return Operator{.name = name,
                  .domain = "bad",
                  .doc = "A copy.",
                  .source = "none",
                  .inputs = inputs,
                  .outputs = outputs,
                  .flags = TSR_NO_GRADIENT,
                  .shape = guard<shape>,
                  .kernel = guard<kernel>};
}

constexpr tsr_plugin plugin(const char* name, std::span<const tsr_op> ops) {
  return Plugin{.name = name, .version = "1", .doc = "Spoilt in one place.", .ops = ops};
}

}  // namespace sound
