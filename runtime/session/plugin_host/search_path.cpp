#include "runtime/session/plugin_host/search_path.h"

#include <dlfcn.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "runtime/base/error.h"
#include "runtime/base/nearest.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// The folder of the program, or of the shared library that this code is in.
fs::path folder_of_program() {
  std::error_code none;
  return fs::read_symlink("/proc/self/exe", none).parent_path();
}
fs::path folder_of_library() {
  Dl_info info{};
  static const char here = 0;
  if (::dladdr(&here, &info) == 0 || !info.dli_fname) return {};
  std::error_code none;
  const fs::path folder = fs::canonical(info.dli_fname, none).parent_path();
  // Of a portable build, the library for this CPU: lib/glibc-hwcaps/x86-64-v3.
  return folder.parent_path().filename() == "glibc-hwcaps" ? folder.parent_path().parent_path() : folder;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(':', at), text.size());
    if (end > at) parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::vector<std::string> folders_of_environment() {
  const char* path = std::getenv("TESSERA_PLUGIN_PATH");
  return path ? split(path) : std::vector<std::string>();
}

bool is_path(const std::string& library) { return library.find('/') != std::string::npos || library.ends_with(".so"); }

std::string path_of(const std::string& library, std::span<const std::string> first) {
  std::error_code none;
  if (!fs::path(library).is_absolute())
    for (const auto& folder : first)
      if (const auto file = fs::path(folder) / library; fs::exists(file, none)) return file.string();
  if (fs::exists(library, none)) return library;
  Error e(Code::plugin, concat("there is no plugin file '", library, "'"));
  throw e.hint("`tessera plugins list` shows the plugins that are there, to be given by name");
}

}  // namespace

std::vector<std::string> plugin_folders(std::span<const std::string> first) {
  std::vector<fs::path> wanted(first.begin(), first.end());
  for (auto& folder : folders_of_environment()) wanted.emplace_back(std::move(folder));
  const fs::path program = folder_of_program(), library = folder_of_library();
  wanted.push_back(program / "plugins");
  wanted.push_back(program / installed_plugins);
  wanted.push_back(library / "tessera/plugins");
  std::vector<std::string> folders;
  for (const auto& folder : wanted) {
    std::error_code missing;
    const std::string real = fs::canonical(folder, missing).string();
    if (!missing && fs::is_directory(real, missing) && std::find(folders.begin(), folders.end(), real) == folders.end())
      folders.push_back(real);
  }
  return folders;
}

std::vector<std::string> missing_plugin_folders() {
  std::vector<std::string> folders = folders_of_environment();
  std::error_code none;
  std::erase_if(folders, [&](const std::string& folder) { return fs::is_directory(folder, none); });
  return folders;
}

std::string find_plugin(const std::string& library, std::span<const std::string> first) {
  if (is_path(library)) return path_of(library, first);
  check(!library.empty(), Code::plugin, "a plugin's name is empty");
  const auto folders = plugin_folders(first);
  for (const auto& folder : folders) {
    std::error_code none;
    if (const auto file = fs::path(folder) / (library + ".so"); fs::exists(file, none)) return file.string();
  }
  std::vector<std::string> names;
  for (const auto& file : plugin_files(first)) names.push_back(fs::path(file).stem().string());
  Error e(Code::plugin, concat("there is no plugin '", library, "'", did_you_mean(library, names)));
  std::string searched;
  for (const auto& folder : folders) searched += (searched.empty() ? "" : ", ") + folder;
  for (const auto& folder : missing_plugin_folders())
    e.hint("TESSERA_PLUGIN_PATH: there is no folder '" + folder + "'");
  throw e.hint(concat("searched: ", searched.empty() ? "nothing, since no plugin folder exists" : searched))
      .hint("add a folder with TESSERA_PLUGIN_PATH=DIR[:DIR...], or give the file's path");
}

std::vector<std::string> plugin_files(std::span<const std::string> first) {
  std::map<std::string, std::string> by_name;
  for (const auto& folder : plugin_folders(first)) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none))
      if (entry.path().extension() == ".so") by_name.emplace(entry.path().stem().string(), entry.path().string());
  }
  std::vector<std::string> files;
  for (auto& [name, file] : by_name) files.push_back(std::move(file));
  return files;
}

}  // namespace tessera
