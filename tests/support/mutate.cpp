#include "tests/fuzz/mutate.h"

#include <google/protobuf/text_format.h>
#include <vector>

#include "tessera/onnx.pb.h"
#include "tests/support/model_text.h"

namespace tessera {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::size_t below(std::size_t n, std::mt19937& random) { return random() % n; }

std::int64_t odd_number(std::mt19937& random) {
  constexpr std::int64_t numbers[] = {0,  1,   2,   3,       7,         9,         16,        22, 26,
                                      99, 127, 255, 1 << 16, INT32_MAX, INT64_MAX, INT64_MIN, -1, -2};
  return below(4, random) ? numbers[below(std::size(numbers), random)] : std::int64_t{1} << below(63, random);
}

// All messages below `m`, itself first.
void collect(Message& m, std::vector<Message*>& all) {
  all.push_back(&m);
  const auto& reflection = *m.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(m, &fields);
  for (const auto* f : fields) {
    if (!f->message_type()) continue;
    if (!f->is_repeated()) {
      collect(*reflection.MutableMessage(&m, f), all);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(m, f); ++i) collect(*reflection.MutableRepeatedMessage(&m, f, i), all);
  }
}

std::string any_name(const std::vector<Message*>& all, std::mt19937& random) {
  for (int tries = 0; tries < 20; ++tries) {
    const auto* node = dynamic_cast<const onnx::NodeProto*>(all[below(all.size(), random)]);
    if (node && node->output_size() > 0) return below(2, random) ? node->output(0) : node->op_type();
  }
  return below(2, random) ? "" : "nowhere";
}

void change_element(Message& m, const FieldDescriptor* f, const std::vector<Message*>& all, std::mt19937& random) {
  const auto& r = *m.GetReflection();
  const int n = r.FieldSize(m, f);
  const int i = static_cast<int>(below(static_cast<std::size_t>(n), random));
  switch (below(4, random)) {
    case 0:
      return r.RemoveLast(&m, f);
    case 1:
      return r.SwapElements(&m, f, i, n - 1);
    case 2:
      if (f->message_type()) return r.AddMessage(&m, f)->CopyFrom(r.GetRepeatedMessage(m, f, i));
      break;
  }
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_INT64) r.SetRepeatedInt64(&m, f, i, odd_number(random));
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_STRING) r.SetRepeatedString(&m, f, i, any_name(all, random));
}

void change_single(Message& m, const FieldDescriptor* f, const std::vector<Message*>& all, std::mt19937& random) {
  const auto& r = *m.GetReflection();
  if (below(4, random) == 0) return r.ClearField(&m, f);
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return r.SetInt64(&m, f, odd_number(random));
    case FieldDescriptor::CPPTYPE_INT32:
      return r.SetInt32(&m, f, static_cast<std::int32_t>(odd_number(random) & 0x1f));
    case FieldDescriptor::CPPTYPE_ENUM:
      return r.SetEnumValue(&m, f, static_cast<int>(below(16, random)));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string old = r.GetString(m, f);
      return r.SetString(&m, f, below(2, random) ? any_name(all, random) : old.substr(0, old.size() / 2));
    }
    default:
      return;
  }
}

}  // namespace

std::string mutate_bytes(std::string bytes, std::mt19937& random) {
  for (std::size_t n = 1 + below(4, random); n > 0 && !bytes.empty(); --n) {
    const std::size_t at = below(bytes.size(), random);
    switch (below(5, random)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8, random)));
        break;
      case 2:
        bytes.insert(at, 1 + below(8, random), static_cast<char>(random()));
        break;
      case 3:
        bytes.erase(at, 1 + below(16, random));
        break;
      case 4:
        bytes.insert(below(bytes.size(), random), bytes.substr(at, 1 + below(64, random)));
        break;
    }
  }
  return bytes;
}

std::string mutate_fields(const std::string& bytes, std::mt19937& random) {
  onnx::ModelProto model;
  model.ParseFromString(bytes);
  for (std::size_t n = 1 + below(3, random); n > 0; --n) {
    std::vector<Message*> all;
    collect(model, all);
    Message& m = *all[below(all.size(), random)];
    std::vector<const FieldDescriptor*> fields;
    m.GetReflection()->ListFields(m, &fields);
    if (fields.empty()) continue;
    const auto* f = fields[below(fields.size(), random)];
    f->is_repeated() ? change_element(m, f, all, random) : change_single(m, f, all, random);
  }
  return model.SerializeAsString();
}

std::string fuzz_seed() {
  std::string large;
  for (int i = 0; i < 300; ++i) large += "\\000\\000\\200\\077";
  const std::string graph = R"(
    node { name: "a" op_type: "Add" input: "x" input: "w" output: "s" }
    node { name: "b" op_type: "Block" domain: "f" input: "s" output: "t" attribute { name: "axis" i: 1 type: INT } }
    node { op_type: "Constant" output: "shape" attribute { name: "value" type: TENSOR t { data_type: 7 dims: 2 int64_data: [3, -1] } } }
    node { op_type: "Reshape" input: "t" input: "shape" output: "r" }
    node { op_type: "Greater" input: "zero" input: "half" output: "c" }
    node { name: "if" op_type: "If" input: "c" output: "u"
      attribute { name: "then_branch" type: GRAPH g { node { op_type: "Relu" input: "r" output: "v" } output { name: "v" } } }
      attribute { name: "else_branch" type: GRAPH g { node { op_type: "Add" input: "r" input: "zero" output: "v" } output { name: "v" } } } }
    node { name: "end" op_type: "Relu" input: "u" output: "y" metadata_props { key: "namespace" value: "/m: M/relu: aten" } }
    initializer { name: "w" data_type: 1 dims: 1 dims: 300 raw_data: ")" +
                            large + R"(" }
    initializer { name: "zero" data_type: 1 float_data: 0 }
    initializer { name: "half" data_type: 1 raw_data: "\000\000\000\077" }
    initializer { name: "flags" data_type: 9 dims: 2 int32_data: [0, 1] }
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "n" } dim { dim_value: 300 } } } } }
    output { name: "y" type { tensor_type { elem_type: 1 } } } output { name: "flags" }
    value_info { name: "s" type { tensor_type { elem_type: 1 } } })";
  const std::string rest = R"( opset_import { domain: "f" version: 1 } metadata_props { key: "k" value: "v" }
    functions { name: "Block" domain: "f" input: "p" output: "q" attribute: "axis" opset_import { version: 17 }
      node { op_type: "Relu" input: "p" output: "o" }
      node { op_type: "Concat" input: "o" input: "o" output: "q" attribute { name: "axis" ref_attr_name: "axis" type: INT } } })";
  onnx::ModelProto model;
  google::protobuf::TextFormat::ParseFromString(model_text(graph, rest), &model);
  return model.SerializeAsString();
}

}  // namespace tessera
