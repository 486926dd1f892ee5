#pragma once
// Protobuf fields written by hand, for files that no library would write.
#include <cstdint>
#include <string>

namespace tessera::wire {

inline std::string varint(std::uint64_t x) {
  std::string out;
  for (; x > 127; x >>= 7) out.push_back(static_cast<char>(x | 128));
  out.push_back(static_cast<char>(x));
  return out;
}
inline std::string number(int field, std::uint64_t x) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(x);
}
inline std::string bytes(int field, const std::string& x) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(x.size()) + x;
}

}  // namespace tessera::wire
