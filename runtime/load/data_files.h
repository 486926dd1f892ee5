#pragma once
// The files that hold a model's external tensor data. Private to load/.
#include <map>
#include <string>

#include "runtime/base/bytes.h"

namespace tessera {

// Finds and maps data files named by a model, each once. A name is relative, has no "..", and what it leads to,
// symbolic links followed, lies in the tree of the model's folder or, where that is a snapshot as Hugging Face lays it
// out (snapshots/REVISION beside blobs/), in the blob store. Thread rule: one thread.
class DataFiles {
 public:
  explicit DataFiles(const std::string& model_path) : model_path_(model_path) {}
  // Errors: bad_input naming the location.
  const Bytes& at(const std::string& location);

 private:
  std::string contained(const std::string& location) const;
  std::string model_path_;
  std::map<std::string, Bytes> files_;
};

}  // namespace tessera
