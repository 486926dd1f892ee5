#include <cstring>

#include "ops/convert.h"

namespace tessera {
namespace {

DType target(const AttributeReader& attr) {
  const DType to = attr.dtype("to");
  check(size_of(to) > 0, Code::unsupported, "Cast to ", to, " is not supported");
  return to;
}

void dtype(const AttributeReader& attr, std::span<const DType>, std::span<DType> out) { out[0] = target(attr); }

void shape(ShapeContext& c) { c.out(0, c.in(0)); }

bool keeps_type(const ShapeContext& c) { return c.dtype(0) == target(c.attr); }

void kernel(const KernelContext& k) { convert_elements(k.in(0), k.out(0)); }

std::vector<ValueId> gradient(GradContext& g) {
  if (!dtypes::floats.has(g.dtype(g.in(0))) || !dtypes::floats.has(g.dtype(g.out(0)))) return {};
  return {g.cast(g.dout(0), g.dtype(g.in(0)))};
}

// The type was given by its name.
void type_by_name(RewriteContext& c) {
  constexpr std::string_view names[] = {"UNDEFINED", "FLOAT",  "UINT8", "INT8",    "UINT16", "INT16",  "INT32",
                                        "INT64",     "STRING", "BOOL",  "FLOAT16", "DOUBLE", "UINT32", "UINT64"};
  const auto to = c.attributes.find("to");
  const auto* name = to == c.attributes.end() ? nullptr : std::get_if<std::string>(&to->second);
  if (name == nullptr) return;
  const auto at = std::ranges::find(names, *name);
  check(at != std::end(names), "Cast to '", *name, "', which is no type of opset 1");
  to->second = std::int64_t{at - names};
}

}  // namespace

extern constinit const OpDef op_cast = define({
    .name = "Cast",
    .since = 24,
    .doc = "The elements as another type. Floats become integers by truncation after clamping to the range of the type "
           "(NaN becomes 0), integers wrap, to bool is x != 0, floats round to nearest even.",
    .source = "ONNX Cast-24",
    .inputs = {{"input", "T1", "any shape"}},
    .outputs = {{"output", "T2", "shape of input"}},
    .attributes = {{"to", AttributeType::integer, required, "the element type, a number of TensorProto.DataType"},
                   {"saturate", AttributeType::integer, 1, "concerns 8-bit floats only"},
                   {"round_mode", AttributeType::text, "up", "concerns 8-bit exponents (f8e8m0) only"}},
    .types = {{"T1", dtypes::all}, {"T2", dtypes::all}},
    .dtype = dtype,
    .shape = shape,
    .identity_when = keeps_type,
    .pointwise = true,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{6, type_by_name}},
    .examples = {"{1.9, -1.9, inf, nan}; to=6 -> i32{1, -1, 2147483647, 0}",
                 "i64{0, 2, 257}; to=9 -> bool{false, true, true}", "i64{0, 2, 257}; to=2 -> u8{0, 2, 1}",
                 "f64{0.5, -2}; to=1 -> f32{0.5, -2}"},
});

}  // namespace tessera
