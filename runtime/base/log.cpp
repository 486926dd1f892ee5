#include "runtime/base/log.h"

#include <cstdio>
#include <mutex>

namespace tessera {
namespace {

struct Log {
  std::mutex mutex;
  LogLevel level = LogLevel::warning;
};
Log& log() {
  static Log one;
  return one;
}
void write(LogLevel level, const std::string& line) {
  Log& l = log();
  const std::lock_guard lock(l.mutex);
  if (l.level < level) return;
  std::fprintf(stderr, "tessera: %s\n", line.c_str());
}

}  // namespace

void warn(const std::string& line) { write(LogLevel::warning, "warning: " + line); }
void inform(const std::string& line) { write(LogLevel::info, line); }
void set_log_level(LogLevel level) {
  const std::lock_guard lock(log().mutex);
  log().level = level;
}

}  // namespace tessera
