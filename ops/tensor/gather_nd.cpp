#include "ops/copy_run.h"
#include "ops/fill.h"
#include "ops/index.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape &x = c.in(0), &at = c.in(1);
  const std::int64_t batch = c.attr.integer("batch_dims");
  check(!at.empty(), "indices must have rank 1 or more");
  check(0 <= batch && batch < at.rank() && batch <= x.rank(), "batch_dims is ", batch, " for ranks ", x.rank(), " and ",
        at.rank());
  check(at.back() <= x.rank() - batch, "index tuples of ", at.back(), " for ", x.rank() - batch, " axes of data");
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i)
    check(x[i] == at[i], "data ", x, " and indices ", at, " differ in batch axis ", i);
  Shape y(at.begin(), at.end() - 1);
  y.append(x.begin() + batch + at.back(), x.end());
  c.out(0, std::move(y));
}

void kernel(const KernelContext& k) {
  if (k.out(0).size() == 0) return;
  const Tensor &x = k.in(0), &indices = k.in(1);
  const auto batch = static_cast<std::size_t>(k.attr.integer("batch_dims"));
  const auto tuple = static_cast<std::size_t>(indices.shape().back());
  const std::span<const std::int64_t> dims = x.shape();
  const Shape strides = row_major_strides(x.shape());
  const auto width = static_cast<std::int64_t>(size_of(x.dtype()));
  const std::int64_t slice = count(dims.subspan(batch + tuple)) * width, block = count(dims.subspan(batch)) * width;
  const std::int64_t tuples = k.out(0).size() * width / slice, per_batch = tuples / count(dims.first(batch));
  const std::int64_t* at = indices.read<std::int64_t>().data();
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(k.out(0).raw());
  with_copy(static_cast<std::size_t>(slice), [&](auto copy) {
    run_parallel(tuples, std::max<std::int64_t>((128 << 10) / slice, 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t* index = at + i * static_cast<std::int64_t>(tuple);
        const std::int64_t offset = tuple_offset(index, dims.subspan(batch), std::span(strides).subspan(batch), tuple);
        copy(to + i * slice, from + i / per_batch * block + offset * width);
      }
    });
  });
}

// Batch axes become coordinates in front of the index tuples, which ScatterND does not know.
ValueId whole_tuples(GradContext& g, std::int64_t batch) {
  if (batch == 0) return g.in(1);
  const Shape at = *g.shape(g.in(1));
  Shape dims = at;
  dims.back() = batch;
  std::vector<std::int64_t> coordinates;
  const std::span<const std::int64_t> batch_dims(at.data(), static_cast<std::size_t>(batch));
  const std::int64_t batches = count(batch_dims);
  const std::int64_t each = batches == 0 ? 0 : count(dims) / batch / batches;
  const Shape strides = row_major_strides(Shape(batch_dims));
  for (std::int64_t b = 0; b < batches; ++b)
    for (std::int64_t i = 0; i < each; ++i)
      for (std::size_t a = 0; a < strides.size(); ++a) coordinates.push_back(b / strides[a] % batch_dims[a]);
  const ValueId front = g.constant(Tensor::of<std::int64_t>(dims, coordinates));
  return g.node("Concat", {front, g.in(1)}, {{"axis", std::int64_t{-1}}});
}

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId at = whole_tuples(g, g.attr().integer("batch_dims"));
  return {g.node("ScatterND", {zeros_like(g, g.in(0)), at, g.dout(0)}, {{"reduction", std::string("add")}})};
}

}  // namespace

extern constinit const OpDef op_gather_nd = define({
    .name = "GatherND",
    .since = 13,
    .introduced = 11,
    .doc =
        "The slices of data that index tuples (the last axis of indices) name. The first batch_dims axes are shared by "
        "data and indices and walked together.",
    .source = "ONNX GatherND-13",
    .inputs = {{"data", "T", "any shape"},
               {"indices", "i64", "[batch..., any..., axes indexed]; values in [-size, size)"}},
    .outputs = {{"output", "T", "shape of indices without the last axis, then the axes of data not indexed"}},
    .attributes = {{"batch_dims", AttributeType::integer, 0, "leading axes in common"}},
    .types = {{"T", dtypes::all}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{{0, 1}, {2, 3}}; i64{{0, 0}, {1, -1}} -> {0, 3}",
                 "{{0, 1}, {2, 3}}; i64{{1}, {0}} -> {{2, 3}, {0, 1}}",
                 "{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}; i64{{1}, {0}}; batch_dims=1 -> {{2, 3}, {4, 5}}",
                 "{1, 2}; i64{1} -> 2"},
});

}  // namespace tessera
