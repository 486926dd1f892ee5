#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "runtime/pass/passes.h"

namespace tessera {
namespace {

// Larger constants are compared by their address only: weights are not read from disk to find twins among them.
constexpr std::size_t compared_bytes = 4096;

std::size_t hash(const Tensor& t) {
  std::size_t h = t.bytes() <= compared_bytes
                      ? std::hash<std::string_view>{}({static_cast<const char*>(t.raw()), t.bytes()})
                      : std::hash<const void*>{}(t.raw());
  for (const auto d : t.shape()) h = h * 31 + static_cast<std::size_t>(d);
  return h * 31 + static_cast<std::size_t>(t.dtype());
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.bytes() <= compared_bytes) return same_bits(a, b);
  return a.dtype() == b.dtype() && a.shape() == b.shape() && a.raw() == b.raw();
}

int merge_constants(Graph& g, const Registry& registry) {
  std::unordered_multimap<std::size_t, ValueId> seen;
  Edit edit(g, registry);
  int merged = 0;
  for (std::size_t i = 0; i < g.values.size(); ++i) {
    const Tensor& t = g.values[i].constant;
    if (!t) continue;
    const std::size_t h = hash(t);
    const auto [begin, end] = seen.equal_range(h);
    const auto twin = std::find_if(begin, end, [&](const auto& s) { return same(g.at(s.second).constant, t); });
    if (twin == end) {
      seen.emplace(h, static_cast<ValueId>(i));
      continue;
    }
    edit.replace(static_cast<ValueId>(i), twin->second);
    ++merged;
  }
  edit.commit();
  return merged;
}

}  // namespace

const PassDef merge_constants_pass{
    .name = "merge_constants",
    .doc = "Makes one of constants with equal type, shape and bits (up to 4 KiB) or at one address.",
    .source = "value numbering",
    .run = merge_constants,
    .examples = {{"x: f32[2x8]", "Add(Mul(x, 0.5), 0.5)", "half = 0.5; Add(Mul(x, half), half)"}},
};

}  // namespace tessera
