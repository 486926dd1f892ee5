#include "runtime/base/log.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

namespace tessera {
namespace {

LogLevel first_level() {
  const char* wanted = std::getenv("TESSERA_LOG");
  return wanted && std::string_view(wanted) == "info" ? LogLevel::info : LogLevel::warning;
}

struct Log {
  std::mutex mutex;
  LogLevel level = first_level();
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
