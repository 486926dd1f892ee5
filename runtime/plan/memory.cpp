#include "runtime/plan/memory.h"

#include <algorithm>

#include "runtime/plan/ancestors.h"
#include "runtime/plan/segments.h"

namespace tessera {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t worth_an_edge = std::size_t{1} << 20;

class Placement {
 public:
  Placement(Plan& plan, bool one_thread)
      : plan_(plan),
        one_thread_(one_thread),
        ancestors_(one_thread ? 0 : plan.steps.size()),
        readers_(plan.slots.size()),
        segment_(plan.slots.size(), -1),
        waits_for_(plan.steps.size()),
        begin_(plan.steps.size()),
        end_(plan.steps.size()) {
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      for (const auto n : plan.steps[s].next) waits_for_[static_cast<std::size_t>(n)].push_back(static_cast<int>(s));
      for (const auto slot : plan.steps[s].in)
        if (slot >= 0) read(base(slot), static_cast<int>(s));
    }
  }

  void run() {
    for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
      const int step = static_cast<int>(s);
      for (const auto p : waits_for_[s]) begin_[s] = std::max(begin_[s], end_[static_cast<std::size_t>(p)]);
      end_[s] = begin_[s] + plan_.steps[s].cost;
      if (!one_thread_) ancestors_.add(waits_for_[s]);
      for (std::size_t o = 0; o < plan_.steps[s].out.size(); ++o)
        if (const auto slot = plan_.steps[s].out[o]; is_arena(slot) && !in_place(step, static_cast<int>(o)))
          place(step, slot);
      release_after(step);
    }
    plan_.arena_bytes = segments_.bytes();
  }

 private:
  Slot& slot(std::int32_t s) { return plan_.slots[static_cast<std::size_t>(s)]; }
  std::vector<int>& readers(std::int32_t s) { return readers_[static_cast<std::size_t>(s)]; }
  std::int32_t& segment(std::int32_t s) { return segment_[static_cast<std::size_t>(s)]; }
  std::int32_t base(std::int32_t s) { return slot(s).kind == Slot::Kind::view ? slot(s).base : s; }
  bool is_arena(std::int32_t s) { return s >= 0 && slot(s).kind == Slot::Kind::arena; }
  bool before(int u, int v) const { return one_thread_ || ancestors_.before(u, v); }

  void read(std::int32_t s, int step) {
    if (readers(s).empty() || readers(s).back() != step) readers(s).push_back(step);
  }

  // Writes output `o` over one of the step's inputs, when that is allowed.
  bool in_place(int s, int o) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    const std::int32_t out = step.out[static_cast<std::size_t>(o)];
    const OpDef& op = *plan_.graph.at(step.node).op;
    for (const auto& pair : op.in_place) {
      if (pair.out != o || static_cast<std::size_t>(pair.in) >= step.in.size()) continue;
      const std::int32_t in = step.in[static_cast<std::size_t>(pair.in)];
      if (in < 0 || !is_arena(base(in)) || segment(base(in)) < 0) continue;
      if (slot(in).shape != slot(out).shape || size_of(slot(in).dtype) != size_of(slot(out).dtype)) continue;
      if (!dies_at(base(in), s) || !others_agree(step, op, pair.in)) continue;
      slot(out).offset = slot(base(in)).offset;
      segment(out) = segment(base(in));
      segment(base(in)) = -1;
      return true;
    }
    return false;
  }

  bool dies_at(std::int32_t s, int step) {
    return std::all_of(readers(s).begin(), readers(s).end(), [&](int r) { return r <= step && before(r, step); });
  }

  // Other inputs in the same memory are read at the same places only.
  bool others_agree(const Step& step, const OpDef& op, int in) {
    const std::int32_t mine = step.in[static_cast<std::size_t>(in)];
    for (std::size_t i = 0; i < step.in.size(); ++i) {
      const std::int32_t other = step.in[i];
      if (static_cast<int>(i) == in || other < 0 || base(other) != base(mine)) continue;
      if (!op.pointwise || slot(other).shape != slot(mine).shape) return false;
    }
    return true;
  }

  void place(int s, std::int32_t out) {
    const std::size_t bytes = (slot(out).bytes() + alignment - 1) / alignment * alignment;
    if (bytes == 0) return;
    const auto finished = [&](const Segments::Users& users) {
      return std::all_of(users.begin(), users.end(), [&](int u) { return before(u, s); });
    };
    const auto could_wait = [&](const Segments::Users& users) {
      return std::all_of(users.begin(), users.end(), [&](int u) {
        return before(u, s) || end_[static_cast<std::size_t>(u)] <= begin_[static_cast<std::size_t>(s)];
      });
    };
    auto placed = segments_.reuse(bytes, finished);
    if (!placed && !one_thread_ && bytes >= worth_an_edge) placed = segments_.reuse(bytes, could_wait);
    if (!placed) placed = segments_.grow(bytes, finished);
    for (const auto u : placed->former)
      if (!before(u, s)) wait(s, u);
    slot(out).offset = placed->offset;
    segment(out) = placed->segment;
  }

  void wait(int s, int earlier) {
    plan_.steps[static_cast<std::size_t>(earlier)].next.push_back(s);
    ++plan_.steps[static_cast<std::size_t>(s)].waits_for;
    ancestors_.join(earlier);
  }

  // Frees what nobody reads after step s. Slots of a view's base are listed under the base.
  void release_after(int s) {
    const Step& step = plan_.steps[static_cast<std::size_t>(s)];
    for (const auto in : step.in)
      if (in >= 0 && is_arena(base(in)) && readers(base(in)).back() == s) release(base(in), readers(base(in)));
    for (const auto out : step.out)
      if (is_arena(out) && readers(out).empty()) release(out, {s});
  }

  void release(std::int32_t dead, std::vector<int> users) {
    if (segment(dead) < 0) return;  // empty, written over, or released already
    segments_.release(segment(dead), one_thread_ ? std::vector<int>{} : last_of(std::move(users)));
    segment(dead) = -1;
  }

  // Drops users that come before another: the later one speaks for both.
  std::vector<int> last_of(std::vector<int> users) {
    std::vector<int> last;
    for (std::size_t i = users.size(); i-- > 0 && last.size() < 16;)
      if (std::none_of(last.begin(), last.end(), [&](int l) { return ancestors_.before(users[i], l); }))
        last.push_back(users[i]);
      else
        users[i] = -1;
    if (last.size() < 16) return last;
    std::erase(users, -1);
    return users;
  }

  Plan& plan_;
  const bool one_thread_;
  Ancestors ancestors_;
  Segments segments_;
  std::vector<std::vector<int>> readers_;    // by slot that is no view: steps, in order, that read it or a view of it
  std::vector<std::int32_t> segment_;        // by slot: its memory while it lives; -1 otherwise
  std::vector<std::vector<int>> waits_for_;  // by step, from the data
  std::vector<double> begin_, end_;          // by step: estimated times on a machine with unlimited cores
};

}  // namespace

void place_memory(Plan& plan, bool one_thread) { Placement(plan, one_thread).run(); }

}  // namespace tessera
