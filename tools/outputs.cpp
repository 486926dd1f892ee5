#include "tools/outputs.h"

#include "runtime/base/nearest.h"
#include "tools/command.h"
#include "tools/npz.h"
#include "tools/tensor_files.h"

namespace tessera {

const PortInfo& port_named(const std::vector<PortInfo>& ports, const std::string& name, const std::string& flag) {
  std::vector<std::string> names;
  for (const auto& p : ports) {
    if (p.name == name) return p;
    names.push_back(p.name);
  }
  throw Error(Code::bad_input, concat(flag, ": the model has no '", name, "' there", did_you_mean(name, names)));
}

void OutputFlags::add_to(Command& app) {
  app.option("--output NAME=FILE", output, "Write an output to a .npy, .npz or .pb file");
  app.option("--save FILE.npz", save, "Write all outputs");
}

void OutputFlags::check_against(const std::vector<PortInfo>& outputs) const {
  for (const auto& [name, path] : assignments(output, "--output"))
    check_writable(path, port_named(outputs, name, "--output").dtype);
  check(save.empty() || save.ends_with(".npz"), "--save: '", save, "' must end in .npz");
  if (!save.empty())
    for (const auto& o : outputs) check_writable(save, o.dtype);
}

std::vector<std::string> OutputFlags::write(const NamedTensors& values) const {
  std::vector<std::string> paths;
  for (const auto& [name, path] : assignments(output, "--output")) {
    write_tensor(path, name, values.at(name));
    paths.push_back(path);
  }
  if (!save.empty()) {
    write_npz(save, values);
    paths.push_back(save);
  }
  return paths;
}

}  // namespace tessera
