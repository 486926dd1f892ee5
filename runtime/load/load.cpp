#include "runtime/load/load.h"

#include "runtime/base/log.h"
#include "runtime/graph/verify.h"
#include "runtime/load/import.h"
#include "runtime/load/parse.h"

namespace tessera {
namespace {

constexpr std::int64_t newest_ir = 13;      // of the schema in onnx.proto
constexpr std::int64_t newest_opset = 26;   // of ai.onnx; 25 and 26 only added element types and operators
constexpr std::int64_t implausible = 1000;  // versions from here on are damage, not the future

void check_version(const onnx::ModelProto& model, const std::set<std::string>& unknown) {
  const std::int64_t ir = model.ir_version();
  check(model.has_ir_version() && ir > 0 && ir < implausible, "IR version ", ir, " is not one of ONNX's");
  if (ir <= newest_ir) return;
  std::string fields;
  for (const auto& f : unknown) fields += (fields.empty() ? "" : ", ") + f;
  check(unknown.empty(), Code::unsupported, "IR version ", ir, " is newer than ", newest_ir,
        " and the file uses fields this version does not know: ", fields);
  warn(concat("IR version ", ir, " is newer than ", newest_ir, ", the newest known; only known fields are used"));
}

void check_opsets(const Opsets& opsets) {
  check(!opsets.empty(), "the model imports no operator set");
  const auto onnx = opsets.find("");
  if (onnx == opsets.end()) return;
  check(onnx->second < implausible, Code::unsupported, "opset ", onnx->second,
        " of ai.onnx is not supported; supported are 1 to ", newest_opset);
  if (onnx->second > newest_opset)
    warn(concat("opset ", onnx->second, " is newer than ", newest_opset,
                ", the newest known; operators are read as of that"));
}

std::string model_frame(const std::string& path, const onnx::ModelProto& model) {
  for (const auto& import : model.opset_import())
    if (plain_domain(import.domain()).empty()) return concat("model '", path, "', opset ", import.version());
  return concat("model '", path, "'");
}

}  // namespace

Importer::Importer(const Registry& registry, Bytes file, const std::string& path, const onnx::ModelProto& model)
    : registry_(registry), tensors_(std::move(file), path), model_(model), functions_(model) {}

Graph Importer::model() {
  check(model_.has_graph(), "the model has no graph");
  const Opsets opsets = read_opsets(model_.opset_import());
  check_opsets(opsets);
  check(!model_.graph().output().empty(), "the graph has no outputs");
  Graph g = graph(model_.graph(), opsets);
  const auto onnx = opsets.find("");
  g.opset = onnx == opsets.end() ? 0 : static_cast<int>(onnx->second);
  for (const auto& entry : model_.metadata_props()) g.metadata[entry.key()] = entry.value();
  if (!model_.producer_name().empty()) g.metadata.emplace("producer_name", model_.producer_name());
  if (!model_.producer_version().empty()) g.metadata.emplace("producer_version", model_.producer_version());
  return g;
}

Graph load(const std::string& path, const Registry& registry) {
  const Bytes file = Bytes::map(path);
  onnx::ModelProto model;
  try {
    const auto unknown = parse_message(file, is_text_proto(path), model);
    check_version(model, unknown);
    // What is cut out of a binary file is read from there; a text file has nothing cut out.
    Graph g = Importer(registry, is_text_proto(path) ? Bytes() : file, path, model).model();
    verify(g);
    return g;
  } catch (Error& e) {
    throw e.in(model_frame(path, model));
  } catch (const std::bad_alloc&) {
    throw Error(Code::run_time, concat("out of memory while reading model '", path, "'"));
  }
}

}  // namespace tessera
