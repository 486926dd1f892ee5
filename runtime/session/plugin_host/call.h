#pragma once
// One call of a plugin's function, seen from the host's side: what the function may ask, and what went wrong.
//
// Each kind of function has its own subclass; a question that does not belong to the kind is the plugin's fault. Thread
// rule: a call belongs to one thread; only `parallel` bodies may use it from others, for reading and `fail`.
#include <tessera/plugin.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "ops/attention/method.h"
#include "runtime/session/plugin_host/thread_lease.h"

struct tsr_call {
 public:
  // `parameters` null: the function may not ask for any. Borrowed.
  explicit tsr_call(const tessera::MethodParameters* parameters) : parameters_(parameters) {}
  virtual ~tsr_call() = default;
  tsr_call(const tsr_call&) = delete;
  tsr_call& operator=(const tsr_call&) = delete;

  // Of what the function says with host->fail.
  virtual tessera::Code code_of_failure() const { return tessera::Code::plugin; }
  virtual tsr_tensor input(std::uint32_t) const { misplaced("input"); }
  virtual tsr_tensor output(std::uint32_t) const { misplaced("output"); }
  virtual void set_output(std::uint32_t, std::uint32_t, std::span<const std::int64_t>) { misplaced("set_output"); }
  virtual void choose(std::int64_t, std::span<const std::int32_t>) { misplaced("choose"); }
  virtual std::int64_t grad_node(std::string_view, std::span<const std::int64_t>, std::string_view, std::uint32_t) {
    misplaced("grad_node");
  }
  virtual std::int64_t grad_input(std::uint32_t) { misplaced("grad_input"); }
  virtual std::int64_t grad_output(std::uint32_t) { misplaced("grad_output"); }
  virtual std::int64_t grad_dout(std::uint32_t) { misplaced("grad_dout"); }
  virtual std::int64_t grad_constant(double) { misplaced("grad_constant"); }
  virtual std::int64_t grad_integers(std::span<const std::int64_t>) { misplaced("grad_integers"); }
  virtual bool grad_needed(std::uint32_t) const { misplaced("grad_needed"); }
  virtual void set_grad(std::uint32_t, std::int64_t) { misplaced("set_grad"); }

  const tessera::MethodParameters& parameter(std::string_view name) const;
  bool given(std::string_view name) const { return parameters_ && parameters_->has(name); }
  void parallel(std::int64_t n, std::int64_t grain, void (*body)(void*, std::int64_t, std::int64_t), void* user);
  int lease_threads();
  void return_threads() { lease_.reset(); }

  // Keeps the exception being handled; the first one counts. Call inside a catch block.
  void remember() noexcept;
  // Runs `f`, a function of the host's table, so that nothing leaves it: failures are remembered.
  template <class F>
  std::int32_t attempt(F&& f) noexcept {
    try {
      f();
      return 0;
    } catch (...) {
      remember();
      return 1;
    }
  }
  // The same with a value; on failure a zero.
  template <class R, class F>
  R answer(F&& f) noexcept {
    R result{};
    attempt([&] { result = f(); });
    return result;
  }

  // Runs the plugin's own function `f`, called `what` in messages. Errors: what was remembered; plugin when it returns
  // a failure without a word or an exception escapes from it.
  template <class F>
  auto run(std::string_view what, F&& f) {
    decltype(f()) result{};
    try {
      result = f();
    } catch (...) {
      remember();
    }
    return_threads();
    conclude(what);
    return result;
  }
  template <class F>
  void run_function(std::string_view what, F&& f) {
    const std::int32_t result = run(what, std::forward<F>(f));
    tessera::check(result == 0, tessera::Code::plugin, "its ", what, " returned ", result,
                   " and did not say why (host->fail)");
  }

 private:
  [[noreturn]] static void misplaced(const char* function);
  void conclude(std::string_view what) const;

  const tessera::MethodParameters* parameters_;
  std::optional<tessera::PluginThreadLease> lease_;
  std::atomic_flag failed_ = ATOMIC_FLAG_INIT;
  std::exception_ptr failure_;
};

namespace tessera {

struct Plugin;

// The functions every plugin is handed.
const tsr_host& plugin_host();

// Adds the plugin to errors that leave `f`.
template <class F>
auto in_plugin(const std::string& frame, F&& f) {
  try {
    return f();
  } catch (Error& e) {
    throw e.in(frame);
  }
}

// An index that a plugin gave; one past every list stays so.
inline int index(std::uint32_t i) { return static_cast<int>(std::min(i, std::uint32_t{1} << 30)); }

inline tsr_tensor absent_tensor() { return {nullptr, nullptr, 0, 0}; }
inline tsr_tensor tensor_of(const Tensor& t) {
  return {t.raw(), t.shape().data(), static_cast<std::uint32_t>(t.rank()), static_cast<std::uint32_t>(t.dtype())};
}
inline tsr_tensor tensor_of(DType dtype, const Shape& shape) {
  return {nullptr, shape.data(), static_cast<std::uint32_t>(shape.rank()), static_cast<std::uint32_t>(dtype)};
}

}  // namespace tessera
