#pragma once
// A plugin's tables laid out as this host knows them. Structs of the ABI only grow: what an older plugin's lack is zero
// here, what a newer one's have beyond is left out.
#include <tessera/plugin.h>

#include <deque>
#include <vector>

namespace tessera {

// Copies the structs; texts and functions stay the plugin's. Errors: plugin, for a struct smaller than it was in ABI 1,
// for lists whose structs differ in size, and for a list that is not there.
class TableCopy {
 public:
  explicit TableCopy(const tsr_plugin& theirs);
  TableCopy(const TableCopy&) = delete;
  TableCopy& operator=(const TableCopy&) = delete;
  const tsr_plugin& table() const { return plugin_; }

 private:
  tsr_plugin plugin_;
  std::vector<tsr_op> ops_;
  std::vector<tsr_method> methods_;
  std::deque<std::vector<tsr_port>> ports_;
  std::deque<std::vector<tsr_parameter>> parameters_;
};

}  // namespace tessera
