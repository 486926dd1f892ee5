#include "runtime/tensor/dim.h"

namespace tessera {

std::ostream& operator<<(std::ostream& o, const Dim& d) {
  if (d.concrete()) return o << d.value;
  return o << (d.symbol.empty() ? "?" : d.symbol);
}

std::ostream& operator<<(std::ostream& o, const SymbolicShape& s) {
  o << '[';
  for (std::size_t i = 0; i < s.size(); ++i) o << (i ? "x" : "") << s[i];
  return o << ']';
}

std::optional<Shape> concrete(const SymbolicShape& s) {
  Shape shape;
  for (const auto& d : s) {
    if (!d.concrete()) return std::nullopt;
    shape.push_back(d.value);
  }
  return shape;
}

}  // namespace tessera
