#pragma once
// Copies of one length known before a loop: the short powers of two become single moves.
#include <cstddef>
#include <cstring>

namespace tessera {

// Calls f(copy) once; copy(to, from) moves `bytes` bytes between regions that do not overlap.
template <class F>
void with_copy(std::size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f([](void* to, const void* from) { std::memcpy(to, from, 1); });
    case 2:
      return f([](void* to, const void* from) { std::memcpy(to, from, 2); });
    case 4:
      return f([](void* to, const void* from) { std::memcpy(to, from, 4); });
    case 8:
      return f([](void* to, const void* from) { std::memcpy(to, from, 8); });
    case 16:
      return f([](void* to, const void* from) { std::memcpy(to, from, 16); });
    default:
      return f([bytes](void* to, const void* from) { std::memcpy(to, from, bytes); });
  }
}

}  // namespace tessera
