#pragma once
// How n things are cut into parts. Pure functions; n >= 0, sizes > 0.
#include <cstdint>

namespace tessera {

// n / size, rounded up.
constexpr std::int64_t divide_up(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

// n things in the fewest parts of at most `limit`, as even as whole multiples of `multiple` allow: the size of all
// parts but the last. `limit` where there are none.
constexpr std::int64_t even_part(std::int64_t n, std::int64_t limit, std::int64_t multiple = 1) {
  return n > 0 ? divide_up(divide_up(n, divide_up(n, limit)), multiple) * multiple : limit;
}

}  // namespace tessera
