#include "tools/outputs.h"

#include "runtime/base/aside_file.h"
#include "runtime/base/nearest.h"
#include "tools/command.h"
#include "tools/command_line.h"
#include "tools/npz.h"
#include "tools/tensor_files.h"

namespace tessera {
namespace {

// Made absolute first: a name of which nothing exists yet would stay relative, and x and ./x be two files.
std::filesystem::path the_file(const std::string& path) {
  std::error_code none;
  return std::filesystem::weakly_canonical(std::filesystem::absolute(path, none), none);
}

}  // namespace

const PortInfo& port_named(const std::vector<PortInfo>& ports, const std::string& name, const std::string& flag,
                           const char* what) {
  std::vector<std::string> names;
  for (const auto& p : ports) {
    if (p.name == name) return p;
    names.push_back(p.name);
  }
  throw Error(Code::bad_input, concat(flag, ": the model has no ", what, " '", name, "'", nearest_or_all(name, names)));
}

void WrittenFiles::keep(const std::string& path) {
  if (!path.empty()) claimed_.emplace(the_file(path), "reads");
}

void WrittenFiles::claim(const std::string& path, const std::string& flag) {
  check_can_write(path);
  std::error_code none;
  const auto status = std::filesystem::status(path, none);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return;  // a device takes them all
  const auto [before, first] = claimed_.emplace(the_file(path), "writes to");
  check(first, flag, ": another flag ", before->second, " '", path, "' too; give each a file of its own");
}

void WrittenFiles::add(const std::string& path, const std::function<void()>& write) {
  try {
    write();
    paths_.push_back(path);
  } catch (const Error& e) {
    const int code = report(e);
    if (exit_code_ == 0) exit_code_ = code;
  }
}

void OutputFlags::add_to(Command& app) {
  app.option("--output NAME=FILE", output, "Write an output to a .npy, .npz or .pb file");
  app.option("--save FILE.npz", save, "Write all outputs");
}

void OutputFlags::check_against(const std::vector<PortInfo>& outputs, WrittenFiles& files) const {
  for (const auto& [name, path] : assignments(output, "--output")) {
    check_format(path, {port_named(outputs, name, "--output").dtype});
    files.claim(path, "--output " + name);
  }
  if (save.empty()) return;
  check(save.ends_with(".npz"), "--save: '", save, "' must end in .npz");
  std::vector<DType> dtypes;
  for (const auto& o : outputs) dtypes.push_back(o.dtype);
  check_format(save, dtypes);
  files.claim(save, "--save");
}

void OutputFlags::write(const NamedTensors& values, WrittenFiles& files) const {
  for (const auto& pair : assignments(output, "--output"))
    files.add(pair.second, [&] { write_tensor(pair.second, pair.first, values.at(pair.first)); });
  if (!save.empty()) files.add(save, [&] { write_npz(save, values); });
}

}  // namespace tessera
