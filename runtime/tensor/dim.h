#pragma once
// Dims at the boundary of a graph, before sizes are bound: a number, a name, or unknown. Equal names mean equal sizes.
// There is no algebra on names: inside the graph, shapes are either concrete or not yet known.
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/tensor/shape.h"

namespace [[gnu::visibility("default")]] tessera {

struct Dim {
  std::int64_t value = -1;  // >= 0 when it is a number
  std::string symbol;       // dim_param; empty when a number or unknown
  bool concrete() const { return value >= 0; }
  friend bool operator==(const Dim&, const Dim&) = default;
};
// "8", "batch" or "?".
std::ostream& operator<<(std::ostream& o, const Dim& d);

using SymbolicShape = std::vector<Dim>;
// "[batchx3x?]".
std::ostream& operator<<(std::ostream& o, const SymbolicShape& s);

// The shape, when every dim is a number.
std::optional<Shape> concrete(const SymbolicShape& s);

}  // namespace tessera
