#include "runtime/exec/run.h"

#include <oneapi/tbb/task_arena.h>
#include <cstring>
#include <new>

#include "runtime/graph/build.h"
#include "runtime/op/evaluate.h"

namespace tessera {
namespace {

// Adds the node to whatever is being thrown. Call inside a catch block.
[[noreturn]] void rethrow_in(const std::string& where) {
  try {
    throw;
  } catch (Error& e) {
    throw e.in(where);
  } catch (const std::bad_alloc&) {
    throw Error(Code::run_time, "out of memory").in(where);
  } catch (const std::exception& e) {
    throw Error(Code::internal, e.what()).in(where);
  }
}

}  // namespace

Run::Run(Frame& frame, const ExecuteOptions& options, bool serial_loops)
    : frame_(frame),
      options_(options),
      loops_{.serial = serial_loops,
             .stopped = [](const void* run) { return static_cast<const Run*>(run)->should_stop(); },
             .run = this} {}

bool Run::should_stop() const {
  return failed_.load(std::memory_order_relaxed) || (options_.cancellation && options_.cancellation->cancelled()) ||
         (options_.deadline && Clock::now() >= *options_.deadline);
}

void Run::check_stop() const {
  check(!options_.cancellation || !options_.cancellation->cancelled(), Code::run_time, "the run was cancelled");
  check(!options_.deadline || Clock::now() < *options_.deadline, Code::run_time, "the run's deadline has passed");
}

void Run::in_order() {
  const LoopScope scope(loops_);
  const std::size_t n = steps().size();
  std::size_t s = 0;
  try {
    if (!watched() && !options_.observer) {
      for (; s < n; ++s)
        if (steps()[s].late) [[unlikely]]
          run_late(s);
        else
          frame_.context(s).op.kernel(frame_.context(s));
    } else {
      for (; s < n; ++s) {
        check_stop();
        run_step(s);
      }
    }
    check_stop();
  } catch (...) {
    check_stop();
    rethrow_in(describe(frame_.plan().graph.at(steps()[s].node)));
  }
}

bool Run::step(std::size_t s) noexcept {
  if (should_stop()) return false;
  try {
    const LoopScope scope(loops_);
    run_step(s);
    return true;
  } catch (...) {
    fail(s);
    return false;
  }
}

void Run::fail(std::size_t s) noexcept {
  const std::lock_guard lock(mutex_);
  if (failed_.load(std::memory_order_relaxed)) return;  // the first failure stopped the others
  error_ = std::current_exception();
  failed_step_ = s;
  failed_.store(true, std::memory_order_relaxed);
}

void Run::rethrow() const {
  check_stop();
  if (!failed_.load(std::memory_order_relaxed)) return;
  try {
    std::rethrow_exception(error_);
  } catch (...) {
    rethrow_in(describe(frame_.plan().graph.at(steps()[failed_step_].node)));
  }
}

void Run::run_step(std::size_t s) {
  if (options_.observer) return observed(s);
  if (steps()[s].late) return run_late(s);
  frame_.context(s).op.kernel(frame_.context(s));
}

void Run::run_late(std::size_t s) {
  const Step& step = steps()[s];
  const Node& node = frame_.plan().graph.at(step.node);
  auto made = evaluate(*node.op, node.attributes, frame_.in(s), static_cast<int>(step.out.size()), frame_.subgraphs());
  const auto out = frame_.out(s);
  for (std::size_t o = 0; o < out.size(); ++o) {
    if (!out[o]) continue;
    Tensor& t = made[o];
    // A view's output shares its input's elements, which need not live as long.
    for (const Tensor* in : frame_.in(s))
      if (in && t.raw() == in->raw() && t.bytes() > 0) {
        Tensor own(t.dtype(), t.shape());
        std::memcpy(own.raw(), t.raw(), t.bytes());
        t = std::move(own);
      }
    *out[o] = std::move(t);
  }
}

void Run::observed(std::size_t s) {
  const auto since = [&] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_).count();
  };
  const Step& step = steps()[s];
  const Graph& g = frame_.plan().graph;
  const Node& node = g.at(step.node);
  StepEvent event{.node = node.name, .op = node.op->name};
  event.worker = std::max(0, tbb::this_task_arena::current_thread_index());
  event.begin_ns = since();
  if (step.late)
    run_late(s);
  else
    frame_.context(s).op.kernel(frame_.context(s));
  event.end_ns = since();
  event.flops = step.flops;
  event.in = frame_.in(s);
  event.out = frame_.out(s);
  std::vector<std::string_view> names;
  for (const ValueId v : node.out) names.push_back(v == ValueId::none ? std::string_view() : g.at(v).name);
  event.out_names = names;
  options_.observer->step(event);
}

}  // namespace tessera
