#pragma once
// Where the outputs of a run go: --output NAME=FILE, --save FILE.npz.
#include <string>
#include <vector>

#include "tools/flags.h"

namespace tessera {

struct OutputFlags {
  std::vector<std::string> output;
  std::string save;
  void add_to(Command& app);
  // Refuses before the run what could not be written after it.
  void check_against(const std::vector<PortInfo>& outputs) const;
  std::vector<std::string> write(const NamedTensors& values) const;  // the paths written
};

// The port of that name; Error(bad_input) with the nearest names otherwise. `flag` begins the message.
const PortInfo& port_named(const std::vector<PortInfo>& ports, const std::string& name, const std::string& flag);

}  // namespace tessera
