#include "tools/tensor_files.h"

#include <filesystem>

#include "runtime/base/aside_file.h"
#include "runtime/base/bytes.h"
#include "runtime/load/tensor_file.h"
#include "tools/npy.h"
#include "tools/npz.h"

namespace tessera {
namespace {

enum class Format { npy, npz, pb };

Format format_of(const std::string& path) {
  const std::string end = std::filesystem::path(path).extension().string();
  if (end == ".npy") return Format::npy;
  if (end == ".npz") return Format::npz;
  if (end == ".pb") return Format::pb;
  throw Error(Code::bad_input, concat("'", path, "' is no tensor file: its name must end in .npy, .npz or .pb"));
}

}  // namespace

Tensor read_tensor(const std::string& path, const std::string& name) {
  switch (format_of(path)) {
    case Format::npz:
      return read_npz_array(path, name);
    case Format::pb:
      return read_tensor_file(path).tensor;
    case Format::npy:
      break;
  }
  try {
    return npy_to_tensor(Bytes::map(path).span());
  } catch (Error& e) {
    throw e.in("file '" + path + "'");
  }
}

void check_format(const std::string& path, const std::vector<DType>& dtypes) {
  if (format_of(path) != Format::pb)
    for (const DType dtype : dtypes) npy_header(dtype, {});
}

void write_tensor(const std::string& path, const std::string& name, const Tensor& tensor) {
  switch (format_of(path)) {
    case Format::npz:
      return write_npz(path, {{name, tensor}});
    case Format::pb:
      return write_tensor_file({name, tensor}, path);
    case Format::npy:
      break;
  }
  AsideFile file(path);
  file.write(npy_header(tensor.dtype(), tensor.shape()));
  file.write(bytes_of(tensor));
  file.commit();
}

}  // namespace tessera
