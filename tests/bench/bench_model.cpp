#include "tests/bench/bench_model.h"

#include <cmath>
#include <filesystem>

namespace tessera {
namespace {

void declare(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape();
  for (const auto d : shape) type.mutable_shape()->add_dim()->set_dim_value(d);
}

void import_opset(onnx::ModelProto& model, const std::string& domain, int version) {
  for (const auto& known : model.opset_import())
    if (known.domain() == domain) return;
  auto& opset = *model.add_opset_import();
  opset.set_domain(domain);
  opset.set_version(version);
}

void set_attribute(onnx::AttributeProto& proto, const std::string& name, const BenchModel::Attribute& value) {
  proto.set_name(name);
  if (const auto* i = std::get_if<std::int64_t>(&value)) {
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&value)) {
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(*f);
  } else {
    proto.set_type(onnx::AttributeProto::INTS);
    for (const auto x : std::get<std::vector<std::int64_t>>(value)) proto.add_ints(x);
  }
}

// xorshift64 (Marsaglia 2003).
std::uint64_t next(std::uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

}  // namespace

BenchModel::BenchModel(std::string path) : path_(std::move(path)), graph_(*model_.mutable_graph()) {
  model_.set_ir_version(8);
  model_.set_producer_name("tessera_bench_models");
  import_opset(model_, "", 17);
  graph_.set_name(std::filesystem::path(path_).stem());
}

std::string BenchModel::input(const std::string& name, const Shape& shape) {
  declare(*graph_.add_input(), name, shape);
  return name;
}

onnx::TensorProto& BenchModel::initializer(DType dtype, const Shape& shape) {
  auto& proto = *graph_.add_initializer();
  proto.set_name(next_name("w"));
  proto.set_data_type(dtype == DType::i64 ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  for (const auto d : shape) proto.add_dims(d);
  return proto;
}

std::string BenchModel::constant(const Tensor& value) {
  auto& proto = initializer(value.dtype(), value.shape());
  proto.set_raw_data(value.raw(), value.bytes());
  return proto.name();
}

std::string BenchModel::weight(const Shape& shape, double deviation) {
  Tensor values(DType::f32, shape);
  const double reach = std::sqrt(3.0) * deviation;  // uniform on [-a, a] has deviation a / sqrt(3)
  for (float& x : values.write<float>())
    x = static_cast<float>(reach * (static_cast<double>(next(random_) >> 11) * 0x1p-52 - 1));
  if (!data_) data_.emplace(path_ + ".data");
  data_->pad_to(4096);  // pages, so that a reader may map
  auto& proto = initializer(DType::f32, shape);
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto entry = [&](const char* key, const std::string& text) {
    auto& pair = *proto.add_external_data();
    pair.set_key(key);
    pair.set_value(text);
  };
  entry("location", std::filesystem::path(path_ + ".data").filename());
  entry("offset", std::to_string(data_->size()));
  entry("length", std::to_string(values.bytes()));
  data_->write(std::span(static_cast<const std::byte*>(values.raw()), values.bytes()));
  return proto.name();
}

std::vector<std::string> BenchModel::nodes(const std::string& op, const std::vector<std::string>& in,
                                           const Attributes& attributes, int outputs) {
  auto& proto = *graph_.add_node();
  const auto colons = op.find("::");
  if (colons != std::string::npos) {
    proto.set_domain(op.substr(0, colons));
    import_opset(model_, proto.domain(), 1);
  }
  proto.set_op_type(colons == std::string::npos ? op : op.substr(colons + 2));
  proto.set_name(proto.op_type() + "_" + std::to_string(graph_.node_size()));
  for (const auto& name : in) proto.add_input(name);
  for (const auto& [name, value] : attributes) set_attribute(*proto.add_attribute(), name, value);
  std::vector<std::string> names;
  for (int i = 0; i < outputs; ++i) {
    names.push_back(next_name("t"));
    proto.add_output(names.back());
  }
  return names;
}

void BenchModel::output(const std::string& value, const Shape& shape) { declare(*graph_.add_output(), value, shape); }

void BenchModel::finish() {
  AsideFile file(path_);
  file.write(model_.SerializeAsString());
  if (data_) data_->commit();
  file.commit();
}

}  // namespace tessera
