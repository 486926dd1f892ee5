#pragma once
// Graph -> GraphProto. Private to load/.
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "runtime/base/aside_file.h"
#include "runtime/graph/graph.h"
#include "runtime/load/tensor_proto.h"
#include "tessera/onnx.pb.h"

namespace tessera {

// The data file beside a model. Made when the first tensor needs it; elements that several tensors share are written
// once.
class DataWriter {
 public:
  // Tensors of at least `above` bytes are taken; 0: none.
  DataWriter(std::string path, std::size_t above) : path_(std::move(path)), above_(above) {}
  onnx::TensorProto write(const Tensor& t, const std::string& name);
  std::optional<AsideFile>& file() { return file_; }

 private:
  std::string path_;
  std::size_t above_;
  std::optional<AsideFile> file_;
  std::map<std::pair<const void*, std::size_t>, std::size_t> offsets_;  // of (address, bytes)
};

// Writes a graph and the graphs in it. Captures of bodies become references to outer names again; since ONNX lets no
// inner name hide an outer one, inner values that would are renamed, as are values whose name an output of the graph
// bears.
class GraphWriter {
 public:
  GraphWriter(DataWriter& data, std::map<std::string, int>& opsets) : data_(data), opsets_(opsets) {}
  void write(const Graph& g, onnx::GraphProto& proto);

 private:
  GraphWriter(GraphWriter& outer)
      : data_(outer.data_), opsets_(outer.opsets_), taken_(outer.taken_), constants_(outer.constants_) {}
  void name_values(const Graph& g, onnx::GraphProto& proto);
  void write_node(const Node& node, onnx::NodeProto& proto);
  const std::string* outer_constant(const Tensor& t);
  std::string unique(const std::string& name);
  std::string name(ValueId v) const { return v == ValueId::none ? std::string() : names_[index(v)]; }

  DataWriter& data_;
  std::map<std::string, int>& opsets_;     // the newest version that the nodes of each domain need
  std::unordered_set<std::string> taken_;  // names here and outside
  std::map<const void*, std::pair<Tensor, std::string>> constants_;  // written here and outside, by address
  std::unordered_set<std::string> outer_constants_;                  // names of those that a body refers to
  std::vector<std::string> names_;                                   // by value; empty: not named yet
  std::vector<std::string> captured_;                                // for a body: the outer names of its inputs
  bool body_ = false;
};

}  // namespace tessera
