#include "runtime/load/attribute_proto.h"

namespace tessera {
namespace {

using onnx::AttributeProto;
using Kind = AttributeProto::AttributeType;

// The kinds whose value the file gives.
std::vector<Kind> given_kinds(const AttributeProto& p) {
  const std::pair<bool, Kind> values[] = {{p.has_f(), AttributeProto::FLOAT},
                                          {p.has_i(), AttributeProto::INT},
                                          {p.has_s(), AttributeProto::STRING},
                                          {p.has_t(), AttributeProto::TENSOR},
                                          {p.has_g(), AttributeProto::GRAPH},
                                          {p.floats_size() > 0, AttributeProto::FLOATS},
                                          {p.ints_size() > 0, AttributeProto::INTS},
                                          {p.strings_size() > 0, AttributeProto::STRINGS},
                                          {p.tensors_size() > 0, AttributeProto::TENSORS},
                                          {p.graphs_size() > 0, AttributeProto::GRAPHS},
                                          {p.has_sparse_tensor(), AttributeProto::SPARSE_TENSOR},
                                          {p.sparse_tensors_size() > 0, AttributeProto::SPARSE_TENSORS},
                                          {p.has_tp(), AttributeProto::TYPE_PROTO},
                                          {p.type_protos_size() > 0, AttributeProto::TYPE_PROTOS}};
  std::vector<Kind> given;
  for (const auto& [set, kind] : values)
    if (set) given.push_back(kind);
  return given;
}

const std::string& kind_name(Kind kind) { return AttributeProto::AttributeType_Name(kind); }

}  // namespace

Kind kind_of(const AttributeProto& p) {
  const auto given = given_kinds(p);
  check(given.size() <= 1, "attribute '", p.name(), "' has values of several types");
  const Kind declared = p.type();
  if (given.empty()) {
    check(declared != AttributeProto::UNDEFINED, "attribute '", p.name(), "' has neither a type nor a value");
    return declared;  // an empty list, or a zero that the writer left out
  }
  check(declared == AttributeProto::UNDEFINED || declared == given[0], "attribute '", p.name(), "' is declared ",
        kind_name(declared), " but its value is ", kind_name(given[0]));
  return given[0];
}

Attribute to_attribute(const AttributeProto& p, TensorReader& tensors) {
  switch (kind_of(p)) {
    case AttributeProto::FLOAT:
      return p.f();
    case AttributeProto::INT:
      return std::int64_t{p.i()};
    case AttributeProto::STRING:
      return p.s();
    case AttributeProto::TENSOR:
      check(p.has_t(), "attribute '", p.name(), "' has no tensor");
      return tensors.read(p.t());
    case AttributeProto::FLOATS:
      return std::vector<float>(p.floats().begin(), p.floats().end());
    case AttributeProto::INTS:
      return std::vector<std::int64_t>(p.ints().begin(), p.ints().end());
    case AttributeProto::STRINGS:
      return std::vector<std::string>(p.strings().begin(), p.strings().end());
    default:
      throw Error(Code::unsupported,
                  concat("attribute '", p.name(), "' is ", kind_name(kind_of(p)), ", which no operator here takes"));
  }
}

AttributeProto to_proto(const std::string& name, const Attribute& value) {
  AttributeProto p;
  p.set_name(name);
  struct {
    AttributeProto& p;
    Kind operator()(std::int64_t v) const { return p.set_i(v), AttributeProto::INT; }
    Kind operator()(float v) const { return p.set_f(v), AttributeProto::FLOAT; }
    Kind operator()(const std::string& v) const { return p.set_s(v), AttributeProto::STRING; }
    Kind operator()(const Tensor& v) const { return *p.mutable_t() = to_proto(v, ""), AttributeProto::TENSOR; }
    Kind operator()(const std::vector<std::int64_t>& v) const {
      return p.mutable_ints()->Add(v.begin(), v.end()), AttributeProto::INTS;
    }
    Kind operator()(const std::vector<float>& v) const {
      return p.mutable_floats()->Add(v.begin(), v.end()), AttributeProto::FLOATS;
    }
    Kind operator()(const std::vector<std::string>& v) const {
      return p.mutable_strings()->Add(v.begin(), v.end()), AttributeProto::STRINGS;
    }
    Kind operator()(const std::shared_ptr<const Subgraph>&) const { return AttributeProto::GRAPH; }
  } set{p};
  p.set_type(std::visit(set, value));
  return p;
}

}  // namespace tessera
