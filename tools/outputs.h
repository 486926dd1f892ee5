#pragma once
// Where the outputs of a run go: --output NAME=FILE, --save FILE.npz. One thread.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tools/flags.h"

namespace tessera {

// Files written once the work is done. One that fails is reported, and the others are written all the same.
class WrittenFiles {
 public:
  // A file that a flag reads, and that claims may not replace. "": none.
  void keep(const std::string& path);
  // Before the work: `flag` is going to write this file. Refuses a place that cannot be written, and a file that
  // another flag claimed, whose output would be lost.
  void claim(const std::string& path, const std::string& flag);
  void add(const std::string& path, const std::function<void()>& write);
  const std::vector<std::string>& paths() const { return paths_; }  // without those that failed
  int exit_code() const { return exit_code_; }                      // of the first that failed; 0: none did

 private:
  std::map<std::filesystem::path, const char*> claimed_;  // and what a flag does with it
  std::vector<std::string> paths_;
  int exit_code_ = 0;
};

struct OutputFlags {
  std::vector<std::string> output;
  std::string save;
  void add_to(Command& app);
  // Refuses before the run what could not be written after it, and claims the files.
  void check_against(const std::vector<PortInfo>& outputs, WrittenFiles& files) const;
  void write(const NamedTensors& values, WrittenFiles& files) const;
};

// The port of that name; Error(bad_input) with the nearest names otherwise. `flag` begins the message, `what` says what
// the ports are.
const PortInfo& port_named(const std::vector<PortInfo>& ports, const std::string& name, const std::string& flag,
                           const char* what = "output");

}  // namespace tessera
