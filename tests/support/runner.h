#pragma once
// Runs the real binary, as a user does.
#include <filesystem>
#include <string>
#include <vector>

namespace tessera {

struct Ran {
  int code = -1;  // exit code; -signal when killed
  std::string out, err;
};
// `input` is not given: stdin is empty. Locale and colours of the caller do not reach it.
Ran tessera_cli(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {});

std::string source_path(const std::string& relative);  // "graphs/vit" -> where it lies
std::string file_text(const std::string& path);

}  // namespace tessera
