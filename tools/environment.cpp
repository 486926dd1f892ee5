#include "tools/environment.h"

#include <sys/utsname.h>
#include <charconv>
#include <fstream>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// The rest of the first line of `path` that begins with `key`, without ':' and blanks.
std::string line_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const auto value = line.find_first_not_of(" \t:", key.size());
    return value == std::string::npos ? "" : line.substr(value);
  }
  return {};
}

std::string machine() {
  utsname names{};
  return ::uname(&names) == 0 ? names.machine : "unknown";
}

}  // namespace

std::string cpu_name() {
  const std::string name = line_of("/proc/cpuinfo", "model name");
  return name.empty() ? machine() : name;
}

std::string isa_name(std::string_view march) {
  if (march.empty()) return "default";
  if (march != "native") return std::string(march);
  const std::string flags = concat(' ', line_of("/proc/cpuinfo", "flags"), ' ');
  for (const auto& [flag, name] : {std::pair{" avx512f ", "avx512"}, {" avx2 ", "avx2"}, {" sse2 ", "sse2"}})
    if (flags.find(flag) != std::string::npos) return name;
  return machine();
}

std::size_t peak_rss_bytes() {
  const std::string text = line_of("/proc/self/status", "VmHWM");
  std::size_t kib = 0;
  std::from_chars(text.data(), text.data() + text.size(), kib);
  return kib * 1024;
}

}  // namespace tessera
