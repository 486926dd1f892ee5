#pragma once
// Where plugins are looked for: folders that the caller names (a policy's), those of TESSERA_PLUGIN_PATH (separated by
// colons), and those that belong to the installation: `plugins` beside the program, where an installed program's are
// (../lib/tessera/plugins) and, beside the library this code is in, tessera/plugins.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

extern const std::string_view installed_plugins;  // from the folder of an installed program; the build knows it

// All of them, in the order they are searched, each once; those that do not exist are left out.
std::vector<std::string> plugin_folders(std::span<const std::string> first = {});

// What TESSERA_PLUGIN_PATH names and is no folder.
std::vector<std::string> missing_plugin_folders();

// The file of a library given by name ("vsa": vsa.so in one of the folders) or by path (it has a '/' or ends in ".so";
// a relative one is looked for in `first`, then from the current folder). Error(plugin) with the folders searched and
// the nearest names.
std::string find_plugin(const std::string& library, std::span<const std::string> first = {});

// Every *.so there is in the folders, by name; of several with one name the first counts.
std::vector<std::string> plugin_files(std::span<const std::string> first = {});

}  // namespace tessera
