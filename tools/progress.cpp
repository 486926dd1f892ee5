#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>

#include "tools/table.h"
#include "tools/terminal.h"

namespace tessera {

Progress::Progress(std::string label, std::int64_t total)
    : label_(std::move(label)),
      total_(std::max<std::int64_t>(total, 1)),
      enabled_(!quiet() && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::reached(std::int64_t done) {
  if (!enabled_) return;
  const auto now = Clock::now();
  const auto since_last = std::chrono::duration<double>(now - last_).count();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  if (elapsed < 0.5 || since_last < 0.1 || done <= 0) return;
  last_ = now;
  drawn_ = true;
  constexpr int cells = 30;
  const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  const int full = static_cast<int>(part * cells);
  fmt::print(stderr, "\r\x1b[K{} [{:=<{}}{:{}}] {:.0f} %, {} left", label_, "", full, "", cells - full, 100 * part,
             readable_time(elapsed / part - elapsed));
  std::fflush(stderr);
}

}  // namespace tessera
