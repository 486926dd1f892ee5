#pragma once
// Writes an ONNX model node by node, its weights straight to a data file beside it, so that a model larger than memory
// can be written. (load/save.h writes graphs that exist; here none does.) Wire format: onnx.proto, IR 11 and older.
//
//   ModelWriter w("DIR/model.onnx", 23);
//   auto x = w.input("x", DType::f32, {1, 8});
//   w.add("MatMul", {x, w.normal("w", {8, 4}, 0, 0.35, seed)}, {}, "/fc/MatMul", {"y"});
//   w.output("y", DType::f32, {1, 4});
//   w.finish();
//
// Both files are written aside and renamed by `finish`. Errors: run_time with the path and the system's reason.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/aside_file.h"
#include "runtime/op/attribute.h"

namespace tessera {

class ModelWriter {
 public:
  ModelWriter(const std::string& path, int opset);

  std::string input(const std::string& name, DType dtype, const Shape& shape);
  void output(const std::string& value, DType dtype, const Shape& shape);
  // A node of ai.onnx called `name`, which gives the values `out`.
  void add(const std::string& op, const std::vector<std::string>& in, const Attributes& attributes,
           const std::string& name, const std::vector<std::string>& out);
  // Tensors by value; equal names are written once.
  std::string constant(const std::string& name, const Tensor& value);
  // f32 elements mean + deviation * normal(seed, i), made and written piece by piece.
  std::string normal(const std::string& name, const Shape& shape, double mean, double deviation, std::uint64_t seed);
  void finish();

  std::int64_t parameters() const { return parameters_; }  // elements of `normal` tensors
  std::uint64_t data_bytes() const { return data_.size(); }
  int node_count() const { return node_count_; }

 private:
  std::string external(const std::string& name, DType dtype, const Shape& shape, std::uint64_t bytes);

  std::string path_, graph_, inputs_, outputs_, initializers_;
  int opset_, node_count_ = 0;
  std::int64_t parameters_ = 0;
  std::map<std::string, bool> written_;  // constants by name
  AsideFile model_, data_;
};

}  // namespace tessera
