#include "runtime/session/plugin_host/call.h"

using namespace tessera;

const MethodParameters& tsr_call::parameter(std::string_view name) const {
  check(given(name), Code::plugin, "it asks for '", name, "', which is not in its table or has no value here");
  return *parameters_;
}

void tsr_call::parallel(std::int64_t n, std::int64_t grain, void (*body)(void*, std::int64_t, std::int64_t),
                        void* user) {
  check(body != nullptr, Code::plugin, "it starts a loop without a body");
  run_parallel(n, grain, [&](std::int64_t begin, std::int64_t end) { body(user, begin, end); });
}

int tsr_call::lease_threads() {
  if (!lease_) lease_.emplace();
  return lease_->threads();
}

void tsr_call::remember() noexcept {
  if (!failed_.test_and_set()) failure_ = std::current_exception();
}

void tsr_call::misplaced(const char* function) {
  throw Error(Code::plugin, concat("it calls host->", function, " where that has no meaning"));
}

void tsr_call::conclude(std::string_view what) const {
  if (!failed_.test()) return;
  try {
    std::rethrow_exception(failure_);
  } catch (const Error& e) {
    if (e.code() == Code::internal) throw Error(Code::plugin, e.message());  // a parameter read as another type
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(Code::plugin, concat("an exception escaped from its ", what, ": ", e.what()));
  } catch (...) {
    throw Error(Code::plugin, concat("an exception escaped from its ", what));
  }
}
