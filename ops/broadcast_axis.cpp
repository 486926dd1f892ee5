#include "ops/broadcast_axis.h"

namespace tessera {
namespace {

// The rank of v as a vector of one number, known at the latest when shapes are.
ValueId rank_of(NodeBuilder& b, ValueId v) { return b.node("Shape", {b.node("Shape", {v})}); }

}  // namespace

ValueId along_axis(NodeBuilder& b, ValueId v, ValueId of, std::int64_t axis) {
  const auto part = b.shape(v), whole = b.shape(of);
  if (part && whole) {
    const std::int64_t behind = whole->rank() - normal_axis(axis, whole->rank()) - part->rank();
    check(behind >= 0, "axes from ", axis, " on of ", *whole, " are too few for ", *part);
    std::vector<std::int64_t> axes;
    for (std::int64_t a = 0; a < behind; ++a) axes.push_back(part->rank() + a);
    return axes.empty() ? v : b.node("Unsqueeze", {v, b.ints(axes)});
  }
  ValueId first = b.ints({axis});
  if (axis < 0) first = b.node("Add", {first, rank_of(b, of)});
  const ValueId behind = b.node("Sub", {b.node("Sub", {rank_of(b, of), first}), rank_of(b, v)});
  const ValueId ones = b.node("Expand", {b.ints({1}), behind});
  const ValueId shape = b.node("Concat", {b.node("Shape", {v}), ones}, {{"axis", std::int64_t{0}}});
  return b.node("Reshape", {v, shape}, {{"allowzero", std::int64_t{1}}});
}

void broadcast_from_axis(RewriteContext& c) {
  const auto integer = [&](std::string_view name) -> std::optional<std::int64_t> {
    const auto at = c.attributes.find(name);
    if (at == c.attributes.end()) return {};
    const auto* value = std::get_if<std::int64_t>(&at->second);
    check(value != nullptr, "attribute '", name, "' must be an int");
    const std::int64_t given = *value;
    c.attributes.erase(at);
    return given;
  };
  const auto broadcast = integer("broadcast"), axis = integer("axis");
  if (broadcast.value_or(0) == 0 || !axis) return;
  check(c.has(0) && c.has(1), c.op.name, " needs two inputs");
  c.in[1] = along_axis(c.build, c.in[1], c.in[0], *axis);
}

}  // namespace tessera
