#include "runtime/exec/workers.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/info.h>
#include <oneapi/tbb/task_arena.h>
#include <atomic>
#include <optional>

#include "runtime/base/error.h"
#include "runtime/op/parallel.h"

namespace tessera {
namespace {

struct Delegated {
  const std::function<void()>* work;
  std::atomic<int> stage{0};
};

void run_delegated(Delegated& delegated) {
  delegated.stage.load(std::memory_order_acquire);
  struct Done {
    std::atomic<int>& stage;
    ~Done() { stage.fetch_add(1, std::memory_order_release); }
  } done{delegated.stage};
  (*delegated.work)();
}

struct Delegation {
  Delegated* delegated;
  void operator()() const { take_over_run(*this); }
  // By a name of its own, for tests/support/tsan.supp: it may be called on another thread.
  static void take_over_run(const Delegation& d) { run_delegated(*d.delegated); }
};

}  // namespace

struct Workers::State {
  int threads;
  std::optional<tbb::global_control> more_than_cores;
  std::optional<tbb::task_arena> arena;
};

Workers::Workers(int threads) : state_(std::make_unique<State>()) {
  check(threads >= 0 && threads <= most_threads, "threads must be 0 .. ", most_threads, ", got ", threads);
  const int available = tbb::info::default_concurrency();
  state_->threads = threads == 0 ? available : threads;
  if (state_->threads == 1) return;
  if (state_->threads > available)
    state_->more_than_cores.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
  state_->arena.emplace(state_->threads);
  state_->arena->initialize();
}

Workers::~Workers() = default;

int Workers::threads() const { return state_->threads; }

void Workers::run(const std::function<void()>& work) const {
  if (state_->arena) {
    // When all places are taken a worker does the work for the caller. TBB orders that, but invisibly to race
    // detectors.
    Delegated delegated{&work};
    delegated.stage.store(0, std::memory_order_release);
    state_->arena->execute(Delegation{&delegated});
    delegated.stage.load(std::memory_order_acquire);
    return;
  }
  const LoopScope serial(LoopControl{.serial = true});
  work();
}

}  // namespace tessera
