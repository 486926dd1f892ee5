#include "runtime/load/save.h"

#include <google/protobuf/text_format.h>
#include <limits>

#include "runtime/load/graph_writer.h"
#include "runtime/load/parse.h"

namespace tessera {
namespace {

constexpr int ir_version = 10;    // the oldest that describes what is written
constexpr int newest_opset = 24;  // of ai.onnx; operators have the semantics of their newest version

void set_metadata(const Graph& g, onnx::ModelProto& model) {
  for (const auto& [key, value] : g.metadata) {
    if (key == "producer_name") {
      model.set_producer_name(value);
    } else if (key == "producer_version") {
      model.set_producer_version(value);
    } else {
      auto& entry = *model.add_metadata_props();
      entry.set_key(key);
      entry.set_value(value);
    }
  }
}

std::string serialised(const onnx::ModelProto& model, bool text) {
  std::string bytes;
  if (text) {
    check(google::protobuf::TextFormat::PrintToString(model, &bytes), Code::run_time,
          "the model cannot be written as text");
    return bytes;
  }
  check(model.ByteSizeLong() <= std::numeric_limits<int>::max(), Code::run_time,
        "the model exceeds the 2 GB of a protobuf file; write large tensors as external data");
  model.SerializeToString(&bytes);
  return bytes;
}

}  // namespace

void save(const Graph& g, const std::string& path, const SaveOptions& options) try {
  onnx::ModelProto model;
  model.set_ir_version(ir_version);
  set_metadata(g, model);
  DataWriter data(path + ".data", options.external_above);
  std::map<std::string, int> opsets = {{"", newest_opset}};
  GraphWriter(data, opsets).write(g, *model.mutable_graph());
  for (const auto& [domain, version] : opsets) {
    auto& import = *model.add_opset_import();
    import.set_domain(domain);
    import.set_version(version);
  }
  AsideFile file(path);
  file.write(serialised(model, is_text_proto(path)));
  file.finish();
  if (data.file()) data.file()->commit();  // both are complete before either replaces what was there
  file.commit();
} catch (Error& e) {
  throw e.in(concat("saving model '", path, "'"));
}

}  // namespace tessera
