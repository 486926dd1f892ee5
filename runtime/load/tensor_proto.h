#pragma once
// TensorProto <-> Tensor. Private to load/.
#include "runtime/base/bytes.h"
#include "runtime/load/data_files.h"
#include "runtime/tensor/tensor.h"
#include "tessera/onnx.pb.h"

namespace tessera {

// Reads the tensors of one file.
class TensorReader {
 public:
  TensorReader(Bytes file, const std::string& path) : file_(std::move(file)), files_(path) {}

  // Large raw and external data are aliased, unless their address does not suit the element type; the rest is copied.
  // Errors: bad_input where shape, sizes and data contradict each other, before anything is allocated; unsupported for
  // element types that cannot be executed. They name the tensor.
  Tensor read(const onnx::TensorProto& proto);

 private:
  Tensor typed_data(const onnx::TensorProto& proto, DType dtype, Shape shape) const;
  Bytes file_;
  DataFiles files_;
};

// With the elements as raw_data.
onnx::TensorProto to_proto(const Tensor& t, const std::string& name);
// Type, shape and name only.
onnx::TensorProto header_to_proto(const Tensor& t, const std::string& name);
// The wire bytes that stand before raw_data of this many bytes. They may follow the serialised header, so that large
// elements are written as they lie.
std::string raw_data_header(std::size_t bytes);

}  // namespace tessera
