#include "runtime/load/tensor_file.h"

#include "runtime/base/aside_file.h"
#include "runtime/load/parse.h"
#include "runtime/load/tensor_proto.h"

namespace tessera {

NamedTensor read_tensor_file(const std::string& path) {
  const Bytes file = Bytes::map(path);
  try {
    onnx::TensorProto proto;
    parse_message(file, is_text_proto(path), proto);
    return {proto.name(), TensorReader(file, path).read(proto)};
  } catch (Error& e) {
    throw e.in(concat("tensor file '", path, "'"));
  }
}

void write_tensor_file(const NamedTensor& named, const std::string& path) {
  AsideFile file(path);
  const std::string header = header_to_proto(named.tensor, named.name).SerializeAsString();
  file.write(header + raw_data_header(named.tensor.bytes()));
  file.write({static_cast<const std::byte*>(named.tensor.raw()), named.tensor.bytes()});
  file.commit();
}

}  // namespace tessera
