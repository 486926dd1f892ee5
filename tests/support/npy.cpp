#include "tests/support/npy.h"

#include <cstdlib>

#include "runtime/base/bytes.h"

namespace tessera {

// NEP 1: "\x93NUMPY", version, length of the header, a Python dict as text, the elements.
Tensor read_npy(const std::string& path) {
  const Bytes file = Bytes::map(path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  check(text.size() > 10 && text.substr(0, 7) == "\x93NUMPY\x01", path, ": no .npy file of version 1");
  const std::size_t header = 10 + static_cast<unsigned char>(text[8]) + 256u * static_cast<unsigned char>(text[9]);
  const std::string dict(text.substr(10, header - 10));
  check(dict.find("'<f4'") != std::string::npos && dict.find("'fortran_order': False") != std::string::npos, path,
        ": no f32 elements in C order");
  Shape shape;
  for (const char* at = dict.c_str() + dict.find('(', dict.find("'shape'")) + 1; *at != ')';) {
    char* end = nullptr;
    const auto dim = std::strtoll(at, &end, 10);
    if (end != at) shape.push_back(dim);
    at = end == at ? at + 1 : end;
  }
  Tensor t(DType::f32, shape);
  check(text.size() - header == t.bytes(), path, ": ", text.size() - header, " bytes of elements for ", shape);
  std::memcpy(t.raw(), text.data() + header, t.bytes());
  return t;
}

}  // namespace tessera
