#include "runtime/op/context.h"

namespace tessera {
namespace {

struct Part {
  std::int64_t begin, end;
};

// Axes [begin, end): negative ones count from the end, both are clamped.
Part part(const AttributeReader& attr, std::int64_t rank) {
  const auto clamped = [rank](std::int64_t axis) {
    return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
  };
  const std::int64_t begin = clamped(attr.integer("start"));
  return {begin, std::max(begin, attr.has("end") ? clamped(attr.integer("end")) : rank)};
}

void shape(ShapeContext& c) {
  const Part p = part(c.attr, c.rank(0));
  c.out(0, {p.end - p.begin});
}

void kernel(const KernelContext& k) {
  const Shape& dims = k.in(0).shape();
  const Part p = part(k.attr, dims.rank());
  std::copy(dims.begin() + p.begin, dims.begin() + p.end, k.out(0).write<std::int64_t>().data());
}

}  // namespace

extern constinit const OpDef op_shape = define({
    .name = "Shape",
    .since = 24,
    .doc = "The dims of the input, or those of axes start to end.",
    .source = "ONNX Shape-24",
    .inputs = {{"data", "T", "any shape"}},
    .outputs = {{"shape", "i64", "[number of axes]"}},
    .attributes = {{"start", AttributeType::integer, 0, "first axis; negative counts from the end; clamped"},
                   {"end", AttributeType::integer, {}, "axis after the last; default: the rank"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .shape_only = true,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{{1, 2, 3}} -> i64{1, 3}", "{{1, 2, 3}}; start=-1 -> i64{3}",
                 "{{1, 2, 3}}; start=0; end=-1 -> i64{1}", "5 -> i64[0]{}", "{{1, 2, 3}}; start=2; end=1 -> i64[0]{}"},
});

}  // namespace tessera
