#include "tools/terminal.h"

#include <cerrno>
#include <cstdio>

#include "runtime/base/log.h"

namespace tessera {
namespace {

int output_error = 0;
bool is_quiet = false, results_wanted = false;

}  // namespace

void print(const std::string& text) {
  if (!prints_results()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && output_error == 0) output_error = errno;
}

void print_failure(const std::string& text) {
  if (prints_results())
    print(text);
  else
    std::fputs(text.c_str(), stderr);
}

void remark(const std::string& line) {
  if (!is_quiet) std::fprintf(stderr, "tessera: %s\n", line.c_str());
}

int flush_output() {
  if (std::fflush(stdout) != 0 && output_error == 0) output_error = errno;
  return output_error;
}

void want_quiet() {
  is_quiet = true;
  set_log_level(LogLevel::silent);
}

void want_results() { results_wanted = true; }
bool quiet() { return is_quiet; }
bool prints_results() { return !is_quiet || results_wanted; }

}  // namespace tessera
