#pragma once
// Warnings and notes for the person at the terminal: one line each on stderr, prefix "tessera: ". Errors are thrown,
// not logged. Thread rule: may be called from any thread; lines do not interleave.
#include <string>

namespace tessera {

enum class LogLevel { silent, warning, info };

void warn(const std::string& line);
void inform(const std::string& line);

void set_log_level(LogLevel level);  // default: warning, info where TESSERA_LOG=info

}  // namespace tessera
