#include <cstring>

#include "ops/fill.h"
#include "runtime/op/context.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// Elements added (or, negative, taken away) before and after each axis.
struct Pads {
  Shape before, after;
};

Pads pads_of(const Tensor& given, const Tensor* axes, int rank) {
  const Shape values = integers(given);
  Axes at;
  if (axes)
    at = normal_axes(integers(*axes), rank);
  else
    for (int a = 0; a < rank; ++a) at.push_back(a);
  check(values.size() == 2 * at.size(), "pads has ", values.size(), " entries for ", at.size(), " axes");
  Pads p{Shape(static_cast<std::size_t>(rank), 0), Shape(static_cast<std::size_t>(rank), 0)};
  for (std::size_t i = 0; i < at.size(); ++i) {
    p.before[static_cast<std::size_t>(at[i])] = values[i];
    p.after[static_cast<std::size_t>(at[i])] = values[at.size() + i];
  }
  return p;
}

// The input index that output index i of an axis of size n shows; -1: the constant.
std::int64_t source(std::int64_t i, std::int64_t before, std::int64_t n, std::string_view mode) {
  const std::int64_t at = i - before;
  if (0 <= at && at < n) return at;
  if (mode == "constant") return -1;
  if (mode == "edge") return at < 0 ? 0 : n - 1;
  const std::int64_t period = mode == "wrap" ? n : std::max<std::int64_t>(2 * (n - 1), 1);
  const std::int64_t phase = (at % period + period) % period;
  return phase < n ? phase : period - phase;  // reflect: the edge is not repeated
}

void shape(ShapeContext& c) {
  const auto mode = c.attr.text("mode");
  if (c.has(2)) check(count(c.in(2)) == 1, "constant_value must be a scalar, got shape ", c.in(2));
  const Shape& x = c.in(0);
  const Pads p = pads_of(c.value(1), c.has(3) ? &c.value(3) : nullptr, x.rank());
  Shape y = x;
  constexpr std::int64_t limit = std::int64_t{1} << 60;
  for (std::size_t a = 0; a < y.size(); ++a) {
    check(std::max(p.before[a], p.after[a]) < limit && std::min(p.before[a], p.after[a]) > -limit && y[a] < limit,
          "pads of axis ", a, " are too large");
    y[a] += p.before[a] + p.after[a];
    check(y[a] >= 0, "pads take ", x[a] - y[a], " elements from axis ", a, " of size ", x[a]);
    check(x[a] > 0 || y[a] == 0 || mode == "constant", "mode '", mode, "' cannot pad the empty axis ", a);
  }
  c.out(0, std::move(y));
}

bool adds_nothing(const ShapeContext& c) {
  for (const auto p : integers(c.value(1)))
    if (p != 0) return false;
  return true;
}

// One output row along the innermost padded axis, which holds blocks of `block` bytes.
struct Row {
  std::int64_t n, before, size, block;  // input blocks, blocks before them, output blocks, bytes
  std::string_view mode;
};

void write_row(const Row& r, std::byte* to, const std::byte* from, DType dtype, const void* value) {
  const auto width = static_cast<std::int64_t>(size_of(dtype));
  const auto constant = [&](std::int64_t begin, std::int64_t end) {
    fill(dtype, to + begin * r.block, (end - begin) * r.block / width, value);
  };
  if (!from) return constant(0, r.size);
  const std::int64_t begin = std::clamp<std::int64_t>(r.before, 0, r.size);
  const std::int64_t end = std::clamp<std::int64_t>(r.before + r.n, begin, r.size);
  if (end > begin)
    std::memcpy(to + begin * r.block, from + (begin - r.before) * r.block,
                static_cast<std::size_t>((end - begin) * r.block));
  if (r.mode == "constant") {
    constant(0, begin);
    return constant(end, r.size);
  }
  for (std::int64_t i = 0; i < r.size; ++i) {
    if (i == begin) i = end;
    if (i == r.size) return;
    const std::byte* block = from + source(i, r.before, r.n, r.mode) * r.block;
    std::memcpy(to + i * r.block, block, static_cast<std::size_t>(r.block));
  }
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  Tensor& y = k.out(0);
  if (y.size() == 0) return;
  const Pads p = pads_of(k.in(1), k.has(3) ? &k.in(3) : nullptr, x.rank());
  const std::uint64_t zero = 0;
  const void* value = k.has(2) ? k.in(2).raw() : &zero;
  const auto width = static_cast<std::int64_t>(size_of(x.dtype()));
  // Axes that are not padded at the end are part of the block.
  int inner = x.rank();
  std::int64_t block = width;
  while (inner > 0 && p.before[inner - 1] == 0 && p.after[inner - 1] == 0) block *= x.dim(--inner);
  if (inner == 0) return copy_elements(x, y);
  const auto last = static_cast<std::size_t>(inner - 1);
  const Row row{x.shape()[last], p.before[last], y.shape()[last], block, k.attr.text("mode")};
  const Shape strides = row_major_strides(x.shape());
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(y.raw());
  const std::int64_t bytes = row.size * block, rows = y.size() * width / bytes;
  run_parallel(rows, std::max<std::int64_t>((128 << 10) / bytes, 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::byte* source_row = from;
      std::int64_t rest = r;
      for (std::size_t a = last; a-- > 0 && source_row;) {
        const std::int64_t at = source(rest % y.shape()[a], p.before[a], x.shape()[a], row.mode);
        source_row = at < 0 ? nullptr : source_row + at * strides[a] * width;
        rest /= y.shape()[a];
      }
      write_row(row, to + r * bytes, source_row, x.dtype(), value);
    }
  });
}

// dX is dY padded by the opposite; the constant takes what is left.
std::vector<ValueId> gradient_of_constant(GradContext& g, const Tensor& pads) {
  Shape back = integers(pads);
  for (auto& p : back) p = -p;
  const ValueId dx = g.node("Pad", {g.dout(0), g.ints(back), ValueId::none, g.has(3) ? g.in(3) : ValueId::none});
  if (!g.has(2) || !g.needs(2)) return {dx};
  const Attributes all = {{"keepdims", std::int64_t{0}}};
  const ValueId rest = g.node("Sub", {g.node("ReduceSum", {g.dout(0)}, all), g.node("ReduceSum", {dx}, all)});
  return {dx, ValueId::none, reshaped(g, rest, *g.shape(g.in(2)))};
}

// The other modes are, axis by axis, a Gather of the indices shown.
std::vector<ValueId> gradient(GradContext& g) {
  const auto mode = g.attr().text("mode");
  const Tensor *pads = g.value(g.in(1)), *axes = g.has(3) ? g.value(g.in(3)) : nullptr;
  if (!pads || (g.has(3) && !axes)) return gradient_missing(g);  // shapes that are known during the run only
  if (mode == "constant") return gradient_of_constant(g, *pads);
  Shape now = *g.shape(g.out(0));
  const Shape x = *g.shape(g.in(0));
  const Pads p = pads_of(*pads, axes, x.rank());
  ValueId dx = g.dout(0);
  for (std::size_t a = 0; a < x.size(); ++a) {
    if (p.before[a] == 0 && p.after[a] == 0) continue;
    Shape shown;
    for (std::int64_t i = 0; i < now[a]; ++i) shown.push_back(source(i, p.before[a], x[a], mode));
    now[a] = x[a];
    dx = g.node("tessera::GatherGrad", {dx, g.ints(shown), g.ints(now)}, {{"axis", static_cast<std::int64_t>(a)}});
  }
  return {dx};
}

// Pads had another name.
void adapt_2(RewriteContext& c) {
  const auto paddings = c.attributes.find("paddings");
  if (paddings == c.attributes.end()) return;
  c.attributes["pads"] = paddings->second;
  c.attributes.erase(paddings);
}

// Pads and value were attributes.
void adapt_11(RewriteContext& c) {
  c.attribute_to_input("pads", 1);
  const auto value = c.attributes.find("value");
  if (value == c.attributes.end()) return;
  const auto* number = std::get_if<float>(&value->second);
  check(number != nullptr, "attribute 'value' must be a float");
  c.in.resize(3, ValueId::none);
  c.in[2] = c.build.constant(Tensor::scalar(c.build.dtype(c.in[0]), *number));
  c.attributes.erase(value);
}

}  // namespace

extern constinit const OpDef op_pad = define({
    .name = "Pad",
    .since = 24,
    .doc =
        "The input with elements added at the ends of its axes: a constant, the input mirrored at its edge, the edge "
        "repeated, or the input repeated. Negative pads take elements away.",
    .source = "ONNX Pad-24",
    .inputs = {{"data", "T", "any shape"},
               {"pads", "i64", "[2 axes]: before each axis, then after each"},
               {"constant_value", "T", "scalar; default: 0", Presence::optional},
               {"axes", "Tind", "[axes]; default: all", Presence::optional}},
    .outputs = {{"output", "T", "dims plus pads"}},
    .attributes = {{"mode", AttributeType::text, "constant", "what the new elements are",
                    "constant|reflect|edge|wrap"}},
    .types = {{"T", dtypes::all}, {"Tind", dtypes::indices}},
    .shape_reads = {1, 3},
    .shape = shape,
    .identity_when = adds_nothing,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{2, adapt_2}, {11, adapt_11}},
    .examples = {"{{1, 2}, {3, 4}}; i64{0, 1, 1, 0} -> {{0, 1, 2}, {0, 3, 4}, {0, 0, 0}}",
                 "{{1, 2}, {3, 4}}; i64{-1, 1}; 9; i64{-1} -> {{2, 9}, {4, 9}}",
                 "{1, 2, 3}; i64{2, 3}; mode=\"reflect\" -> {3, 2, 1, 2, 3, 2, 1, 2}",
                 "{{1, 2}, {3, 4}}; i64{1, 0, 0, 2}; mode=\"edge\" -> {{1, 2, 2, 2}, {1, 2, 2, 2}, {3, 4, 4, 4}}",
                 "{1, 2, 3}; i64{2, 1}; mode=\"wrap\" -> {2, 3, 1, 2, 3, 1}", "f32[0]{}; i64{1, 1}; 5 -> {5, 5}",
                 "{{1, 2}, {3, 4}}; i64{1, 0}; _; i32{0} -> {{0, 0}, {1, 2}, {3, 4}}"},
});

}  // namespace tessera
