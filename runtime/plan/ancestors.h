#pragma once
// Which steps are certain to have finished before another begins, while a plan is being laid out.
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

// Steps are added in topological order. They are covered greedily by chains of ancestors, and each step keeps, per
// chain, the last member that comes before it; so a query is one comparison (Jagadish, "A compression technique to
// materialize transitive closure", TODS 1990). A graph wider than the memory allowed for leaves some steps outside all
// chains: for them `before` may answer no where yes is true, never the reverse.
class Ancestors {
 public:
  explicit Ancestors(std::size_t steps);
  // The next step and the steps it waits for.
  void add(std::span<const std::int32_t> waits_for);
  // The last step added also waits for `earlier`.
  void join(std::int32_t earlier);
  // `u` has finished before `v` begins, or is `v` itself.
  bool before(std::int32_t u, std::int32_t v) const;
  std::int32_t chains() const { return static_cast<std::int32_t>(tails_.size()); }

 private:
  void merge(std::int32_t earlier);
  struct Position {
    std::int32_t chain = -1, index = 0;
  };
  std::size_t chain_limit_;
  std::vector<Position> position_;  // by step
  std::vector<std::vector<std::int32_t>>
      reach_;                        // by step and chain: index of its last ancestor; -1 none; may be shorter
  std::vector<std::int32_t> tails_;  // by chain: the index of its last member
};

}  // namespace tessera
