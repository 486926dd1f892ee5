#include "tools/data_set.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace tessera {
namespace {

// The number in PREFIX_7SUFFIX, or -1.
int number_in(std::string_view name, std::string_view prefix, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size()) return -1;
  name = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  int n = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  return error == std::errc() && end == name.data() + name.size() ? n : -1;
}

// Entries of `folder` with such names, by number.
std::map<int, std::string> numbered(const std::string& folder, const std::string& prefix, const std::string& suffix) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  check(!error, "cannot read folder '", folder, "': ", error.message());
  std::map<int, std::string> found;
  for (const auto& entry : entries)
    if (const int n = number_in(entry.path().filename().string(), prefix, suffix); n >= 0)
      found[n] = entry.path().string();
  return found;
}

}  // namespace

std::vector<NamedTensor> read_numbered(const std::string& folder, const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (const auto& [n, path] : numbered(folder, prefix + "_", ".pb")) {
    check(n == static_cast<int>(tensors.size()), "'", folder, "' has no ", prefix, "_", tensors.size(), ".pb but ",
          prefix, "_", n, ".pb");
    tensors.push_back(read_tensor_file(path));
  }
  return tensors;
}

std::vector<std::string> data_sets(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& [n, path] : numbered(folder, "test_data_set_", "")) found.push_back(path);
  return found;
}

std::map<std::string, Tensor> paired(const std::vector<NamedTensor>& tensors, const std::vector<std::string>& names) {
  std::map<std::string, Tensor> pairs;
  const auto known = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& t : tensors)
    if (known(t.name)) check(pairs.emplace(t.name, t.tensor).second, "there are two tensors for '", t.name, "'");
  auto next = names.begin();
  for (const auto& t : tensors) {
    if (known(t.name)) continue;
    while (next != names.end() && pairs.contains(*next)) ++next;
    check(next != names.end(), "there are ", tensors.size(), " tensors for ", names.size(), " names");
    pairs.emplace(*next, t.tensor);
  }
  return pairs;
}

}  // namespace tessera
