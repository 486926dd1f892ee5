#include <algorithm>
#include <bit>
#include <unordered_map>

#include "runtime/pass/passes.h"

namespace tessera {
namespace {

std::size_t hash(const Node& n, const std::vector<ValueId>& in) {
  std::size_t h = std::hash<const void*>{}(n.op);
  const auto mix = [&](std::int64_t x) { h = h * 0x9e3779b97f4a7c15u + static_cast<std::size_t>(x) + (h >> 29); };
  for (const auto v : in) mix(static_cast<std::int64_t>(v));
  for (const auto& [name, value] : n.attributes) {
    if (const auto* x = std::get_if<std::int64_t>(&value)) mix(*x);
    if (const auto* xs = std::get_if<std::vector<std::int64_t>>(&value))
      for (const auto x : *xs) mix(x);
    if (const auto* x = std::get_if<float>(&value)) mix(std::bit_cast<std::int32_t>(*x));
  }
  return h;
}

bool may_merge(const Node& n) {
  if (n.op->random) return false;
  for (const auto& [name, value] : n.attributes)
    if (type_of(value) == AttributeType::graph) return false;
  return true;
}

bool same_outputs(const Node& a, const Node& b) {
  return std::equal(a.out.begin(), a.out.end(), b.out.begin(), b.out.end(),
                    [](ValueId x, ValueId y) { return (x == ValueId::none) == (y == ValueId::none); });
}

// Value numbering in one forward sweep: a node that does what an earlier one did is replaced by it.
int merge_duplicates(Graph& g, const Registry& registry) {
  struct Seen {
    std::size_t node;
    std::vector<ValueId> in;  // after earlier replacements
  };
  std::unordered_multimap<std::size_t, Seen> seen;
  seen.reserve(g.nodes.size());
  Edit edit(g, registry);
  int merged = 0;
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const Node& n = g.nodes[i];
    if (!may_merge(n)) continue;
    std::vector<ValueId> in;
    for (const auto v : n.in) in.push_back(edit.resolve(v));
    const std::size_t h = hash(n, in);
    const auto [begin, end] = seen.equal_range(h);
    const auto twin = std::find_if(begin, end, [&](const auto& s) {
      const Node& other = g.nodes[s.second.node];
      return other.op == n.op && s.second.in == in && same_outputs(other, n) && equal(other.attributes, n.attributes);
    });
    if (twin == end) {
      seen.emplace(h, Seen{i, std::move(in)});
      continue;
    }
    const Node& first = g.nodes[twin->second.node];
    for (std::size_t o = 0; o < n.out.size(); ++o)
      if (n.out[o] != ValueId::none) edit.replace(n.out[o], first.out[o]);
    edit.erase(static_cast<NodeId>(i));
    ++merged;
  }
  edit.commit();
  return merged;
}

}  // namespace

const PassDef merge_duplicates_pass{
    .name = "merge_duplicates",
    .doc = "Computes once what several nodes compute from the same inputs with the same operator and attributes.",
    .source = "common subexpression elimination by value numbering; Cocke & Schwartz 1970",
    .run = merge_duplicates,
    .examples = {{"x: f32[2x8]", "Mul(Exp(x), Neg(Exp(x)))", "e = Exp(x); Mul(e, Neg(e))"}},
};

}  // namespace tessera
