#pragma once
// The arena while it is being laid out: a row of segments, each in use or free, with the steps that touched it last.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace tessera {

class Segments {
 public:
  using Users = std::vector<std::int32_t>;
  using Usable = std::function<bool(const Users&)>;

  struct Placed {
    std::int32_t segment;
    std::size_t offset;
    Users former;  // who touched these bytes before; empty for fresh ones
  };
  // The tightest run of neighbouring free segments that are usable and hold `bytes` together; nothing when there is
  // none.
  std::optional<Placed> reuse(std::size_t bytes, const Usable& usable);
  // As `reuse`, or else grows the arena, taking along a usable free run at its end.
  Placed grow(std::size_t bytes, const Usable& usable);
  // From now on whoever takes it must come after `users`.
  void release(std::int32_t segment, Users users);
  std::size_t bytes() const { return end_; }

 private:
  struct Segment {
    std::size_t offset = 0, bytes = 0;
    bool free = false;
    Users users;
    std::int32_t left = -1, right = -1;
    std::int32_t place_in_free = -1;
  };
  Segment& at(std::int32_t s) { return segments_[static_cast<std::size_t>(s)]; }
  std::int32_t append(std::size_t bytes);
  void set_free(std::int32_t s, Users users);
  void set_used(std::int32_t s);
  void absorb_right(std::int32_t s);
  Placed take(std::int32_t first, std::size_t bytes);

  std::vector<Segment> segments_;
  std::vector<std::int32_t> free_;   // unordered; recently freed ones near the end
  std::vector<std::int32_t> spare_;  // entries of segments_ that were absorbed
  std::int32_t last_ = -1;
  std::size_t end_ = 0;
};

}  // namespace tessera
