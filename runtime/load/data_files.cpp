#include "runtime/load/data_files.h"

#include <algorithm>
#include <filesystem>

#include "runtime/base/error.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

bool lies_in(const fs::path& file, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first == folder.end();
}

// .../snapshots/REVISION[/...] -> .../blobs; empty when the folder is no snapshot.
fs::path blob_store(fs::path folder) {
  for (; folder.has_relative_path(); folder = folder.parent_path())
    if (folder.parent_path().filename() == "snapshots") return folder.parent_path().parent_path() / "blobs";
  return {};
}

}  // namespace

const Bytes& DataFiles::at(const std::string& location) {
  const auto it = files_.find(location);
  if (it != files_.end()) return it->second;
  return files_.emplace(location, Bytes::map(contained(location))).first->second;
}

std::string DataFiles::contained(const std::string& location) const {
  check(!location.empty() && location.find('\0') == std::string::npos, "external data has no usable location");
  check(location.size() <= 4096, "the location of external data has ", location.size(), " characters");
  const fs::path relative(location);
  const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
  check(relative.is_relative() && !climbs, "external data '", location,
        "' must be a path inside the model's folder: relative and without '..'");
  std::error_code error;
  const fs::path parent = fs::path(model_path_).parent_path();
  const fs::path folder = fs::canonical(parent.empty() ? "." : parent, error);
  const fs::path file = error ? fs::path() : fs::canonical(folder / relative, error);
  check(!error, "external data '", location, "' cannot be found beside the model: ", error.message());
  const fs::path blobs = blob_store(folder);
  check(lies_in(file, folder) || (!blobs.empty() && file.parent_path() == blobs), "external data '", location,
        "' leads out of the model's folder, to '", file.string(), "'");
  return file.string();
}

}  // namespace tessera
