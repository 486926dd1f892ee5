#pragma once
// Writes an ONNX model the way an exporter of opset 17 would (IR 8), so that other runtimes of any recent age read it;
// load/save writes the newest versions only. Large weights are streamed to the data file beside the model and never
// held together. Float32 throughout. Thread rule: one thread. Errors: run_time where a file cannot be written.
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/aside_file.h"
#include "runtime/base/error.h"
#include "runtime/tensor/tensor.h"
#include "tessera/onnx.pb.h"

namespace tessera {

class BenchModel {
 public:
  using Attribute = std::variant<std::int64_t, float, std::vector<std::int64_t>>;
  using Attributes = std::vector<std::pair<std::string, Attribute>>;

  explicit BenchModel(std::string path);

  // All of these return the names of the values they add.
  std::string input(const std::string& name, const Shape& shape);
  std::string constant(const Tensor& value);
  std::string scalar(float value) { return constant(Tensor::scalar(value)); }
  // Seeded values, uniform with mean 0 and this standard deviation, in the data file.
  std::string weight(const Shape& shape, double deviation);
  // `op` is "Add", or "domain::Name" (version 1 of that domain).
  std::vector<std::string> nodes(const std::string& op, const std::vector<std::string>& in,
                                 const Attributes& attributes, int outputs);
  std::string node(const std::string& op, const std::vector<std::string>& in, const Attributes& attributes = {}) {
    return nodes(op, in, attributes, 1)[0];
  }
  void output(const std::string& value, const Shape& shape);
  void finish();

 private:
  std::string next_name(const char* prefix) { return concat(prefix, names_++); }
  onnx::TensorProto& initializer(DType dtype, const Shape& shape);
  std::string path_;
  onnx::ModelProto model_;
  onnx::GraphProto& graph_;
  std::optional<AsideFile> data_;
  std::uint64_t random_ = 0x9E3779B97F4A7C15;
  int names_ = 0;
};

}  // namespace tessera
