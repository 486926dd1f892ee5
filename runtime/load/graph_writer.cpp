#include "runtime/load/graph_writer.h"

#include <algorithm>
#include <filesystem>

#include "runtime/load/attribute_proto.h"
#include "runtime/load/module_path.h"

namespace tessera {
namespace {

constexpr std::size_t page = 4096, line = 64;
constexpr std::size_t page_aligned_from = 1 << 20;

void set_type(onnx::ValueInfoProto& info, const std::string& name, DType dtype,
              const std::optional<SymbolicShape>& shape) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(static_cast<int>(dtype));
  if (!shape) return;
  auto& dims = *tensor.mutable_shape();
  for (const auto& d : *shape) {
    auto& dim = *dims.add_dim();
    if (d.concrete())
      dim.set_dim_value(d.value);
    else if (!d.symbol.empty())
      dim.set_dim_param(d.symbol);
  }
}

std::optional<SymbolicShape> symbolic(const std::optional<Shape>& shape) {
  if (!shape) return std::nullopt;
  SymbolicShape dims;
  for (const auto d : *shape) dims.push_back({d, {}});
  return dims;
}

void add_entry(onnx::TensorProto& proto, const char* key, std::string value) {
  auto& entry = *proto.add_external_data();
  entry.set_key(key);
  entry.set_value(std::move(value));
}

}  // namespace

onnx::TensorProto DataWriter::write(const Tensor& t, const std::string& name) {
  if (above_ == 0 || t.bytes() < above_) return to_proto(t, name);
  if (!file_) file_.emplace(path_);
  const auto [it, fresh] = offsets_.emplace(std::pair{t.raw(), t.bytes()}, 0);
  if (fresh) {
    file_->pad_to(t.bytes() >= page_aligned_from ? page : line);
    it->second = file_->size();
    file_->write({static_cast<const std::byte*>(t.raw()), t.bytes()});
  }
  auto proto = header_to_proto(t, name);
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
  add_entry(proto, "location", std::filesystem::path(path_).filename().string());
  add_entry(proto, "offset", std::to_string(it->second));
  add_entry(proto, "length", std::to_string(t.bytes()));
  return proto;
}

std::string GraphWriter::unique(const std::string& name) {
  if (taken_.insert(name).second) return name;
  for (std::size_t i = 1;; ++i)
    if (auto other = concat(name, ".", i); taken_.insert(other).second) return other;
}

// The outer name of a constant that a body shares with the graph around it; null when there is none.
const std::string* GraphWriter::outer_constant(const Tensor& t) {
  const auto it = t ? constants_.find(t.raw()) : constants_.end();
  if (it == constants_.end() || it->second.first.dtype() != t.dtype() || it->second.first.shape() != t.shape())
    return nullptr;
  return &*outer_constants_.insert(it->second.second).first;
}

// Outputs name the values they are made of, where a node here makes them and no other output has; otherwise an Identity
// stands between.
void GraphWriter::name_values(const Graph& g, onnx::GraphProto& proto) {
  names_.assign(g.values.size(), {});
  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    std::string& name = names_[index(g.inputs[i].value)];
    name = body_ ? captured_[i] : g.at(g.inputs[i].value).name;
    taken_.insert(name);
  }
  for (std::size_t v = 0; body_ && v < names_.size(); ++v)
    if (const auto* outer = outer_constant(g.values[v].constant)) names_[v] = *outer;
  std::vector<std::pair<ValueId, std::string>> copies;
  for (const auto& output : g.outputs) {
    std::string& name = names_[index(output.value)];
    if (!body_ && name == output.name) {  // an input is returned as it is
      proto.add_output()->set_name(name);
      continue;
    }
    const std::string out = unique(output.name);
    proto.add_output()->set_name(out);
    if (name.empty() && (g.at(output.value).producer != NodeId::none || g.at(output.value).name == output.name))
      name = out;
    else
      copies.emplace_back(output.value, out);
  }
  for (std::size_t v = 0; v < names_.size(); ++v)
    if (names_[v].empty()) names_[v] = unique(g.values[v].name);
  for (std::size_t i = 0; i < g.outputs.size(); ++i) {
    const Value& v = g.at(g.outputs[i].value);
    auto& output = *proto.mutable_output(static_cast<int>(i));
    set_type(output, output.name(), v.dtype, symbolic(v.shape));
  }
  for (std::size_t v = 0; v < names_.size(); ++v)
    if (g.values[v].constant)
      constants_.emplace(g.values[v].constant.raw(), std::pair{g.values[v].constant, names_[v]});
  for (const auto& [from, to] : copies) {
    auto& node = *proto.add_node();
    node.set_op_type("Identity");
    node.set_name(to);
    node.add_input(name(from));
    node.add_output(to);
  }
}

void GraphWriter::write(const Graph& g, onnx::GraphProto& proto) {
  proto.set_name(g.name);
  name_values(g, proto);
  for (const auto& input : g.inputs) {
    if (body_) break;
    set_type(*proto.add_input(), name(input.value), g.at(input.value).dtype, input.declared);
  }
  for (std::size_t v = 0; v < g.values.size(); ++v)
    if (g.values[v].constant && !outer_constants_.contains(names_[v]))
      *proto.add_initializer() = data_.write(g.values[v].constant, names_[v]);
  const int copies = proto.node_size();
  for (const auto& node : g.nodes) write_node(node, *proto.add_node());
  auto& nodes = *proto.mutable_node();  // the copies of outputs stand last
  std::rotate(nodes.pointer_begin(), nodes.pointer_begin() + copies, nodes.pointer_end());
}

void GraphWriter::write_node(const Node& node, onnx::NodeProto& proto) {
  proto.set_name(node.name);
  proto.set_op_type(std::string(node.op->name));
  proto.set_domain(std::string(node.op->domain));
  int& version = opsets_[std::string(node.op->domain)];
  version = std::max(version, node.op->since);
  if (module_path(proto, "", node.name) != node.scope) {
    auto& entry = *proto.add_metadata_props();
    entry.set_key(module_path_key);
    entry.set_value(node.scope);
  }
  std::size_t captures = 0;
  for (const auto& [key, value] : node.attributes) {
    auto& attribute = *proto.add_attribute() = to_proto(key, value);
    const auto* graph = std::get_if<std::shared_ptr<const Subgraph>>(&value);
    const auto* body = graph ? dynamic_cast<const GraphBody*>(graph->get()) : nullptr;
    if (!body) continue;
    captures = body->graph.inputs.size();
    GraphWriter inner(*this);
    inner.body_ = true;
    for (std::size_t i = node.in.size() - captures; i < node.in.size(); ++i)
      inner.captured_.push_back(name(node.in[i]));
    inner.write(body->graph, *attribute.mutable_g());
  }
  for (std::size_t i = 0; i < node.in.size() - captures; ++i) proto.add_input(name(node.in[i]));
  for (const ValueId v : node.out) proto.add_output(name(v));
}

}  // namespace tessera
