#include "ops/elementwise.h"
#include "ops/fill.h"
#include "ops/philox.h"

namespace tessera {
namespace {

bool trains(const Tensor* mode) { return mode && mode->read<bool>()[0]; }

void shape(ShapeContext& c) {
  if (c.has(1)) check(count(c.in(1)) == 1, "ratio must be a scalar, got shape ", c.in(1));
  if (c.has(2)) check(count(c.in(2)) == 1, "training_mode must be a scalar, got shape ", c.in(2));
  c.out(0, c.in(0));
  c.out(1, c.in(0));
}

bool only_infers(const ShapeContext& c) { return !c.has(2) || (c.constant(2) && !trains(c.constant(2))); }

// Elements [begin, end) of the mask; begin is a multiple of 4, the numbers in one Philox block.
void draw(bool* keep, std::int64_t begin, std::int64_t end, std::uint64_t seed, double ratio) {
  for (std::int64_t i = begin; i < end; i += 4) {
    const auto bits = philox(static_cast<std::uint64_t>(i) / 4, seed);
    for (std::int64_t j = 0; j < std::min<std::int64_t>(4, end - i); ++j)
      keep[i - begin + j] = unit_interval(bits[static_cast<std::size_t>(j)]) >= ratio;
  }
}

void train(const KernelContext& k, double ratio) {
  check(0 <= ratio && ratio < 1, "ratio is ", ratio, ", outside [0, 1)");
  const auto seed = static_cast<std::uint64_t>(k.attr.integer("seed"));
  bool* mask = k.wants(1) ? k.out(1).write<bool>().data() : nullptr;
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).read<T>().data();
    T* y = k.out(0).template write<T>().data();
    const auto scale = static_cast<Compute<T>>(1 / (1 - ratio));
    run_parallel(k.in(0).size(), pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
      constexpr std::int64_t batch = 1024;
      bool keep[batch];
      for (std::int64_t i = begin; i < end; i += batch) {
        const std::int64_t n = std::min(batch, end - i);
        draw(keep, i, i + n, seed, ratio);
        for (std::int64_t j = 0; j < n; ++j)
          y[i + j] = keep[j] ? static_cast<T>(static_cast<Compute<T>>(x[i + j]) * scale) : T{};
        if (mask) std::copy(keep, keep + n, mask + i);
      }
    });
  });
}

void kernel(const KernelContext& k) {
  if (k.has(2) && trains(&k.in(2))) return train(k, k.has(1) ? doubles(k.in(1))[0] : 0.5);
  copy_elements(k.in(0), k.out(0));
  const bool kept = true;
  if (k.wants(1)) fill(DType::boolean, k.out(1).raw(), k.out(1).size(), &kept);
}

// The same elements, scaled alike: the mask depends on the seed only.
// dx is dy, dropped alike. With y = x mask / (1 - ratio), dratio = sum(dy y) / (1 - ratio) while training, else 0.
std::vector<ValueId> gradient(GradContext& g) {
  const auto given = [&](int i) { return g.has(i) ? g.in(i) : ValueId::none; };
  std::vector<ValueId> d{g.node("Dropout", {g.dout(0), given(1), given(2)}, {{"seed", g.attr().integer("seed")}})};
  if (!g.needs(1) || !g.has(2)) return d;
  const DType type = g.dtype(g.dout(0));
  const ValueId kept = g.node("Sub", {g.scalar_like(g.dout(0), 1), g.cast(g.in(1), type)});
  const ValueId slope = g.node("Div", {g.node("Mul", {g.dout(0), g.out(0)}), kept});
  d.push_back(g.node("Mul", {slope, g.cast(g.in(2), type)}));
  return d;
}

// The ratio was an attribute, of inference only.
void adapt_12(RewriteContext& c) {
  const auto ratio = c.attributes.find("ratio");
  if (ratio == c.attributes.end()) return;
  const auto* value = std::get_if<float>(&ratio->second);
  check(value != nullptr, "attribute 'ratio' must be a float");
  c.in.resize(2, ValueId::none);
  c.in[1] = c.build.constant(Tensor::scalar<float>(*value));
  c.attributes.erase(ratio);
}

// Inference was asked for.
void adapt_7(RewriteContext& c) {
  const auto is_test = c.attributes.find("is_test");
  const auto* value = is_test == c.attributes.end() ? nullptr : std::get_if<std::int64_t>(&is_test->second);
  check(value != nullptr && *value != 0, Code::unsupported,
        "Dropout in training (is_test is 0) is supported from opset 12 on");
  c.attributes.erase(is_test);
}

// The mask had the type of the data.
void adapt_10(RewriteContext& c) {
  if (c.outputs < 2 || !c.wanted[1]) return;
  auto results = c.build.nodes("Dropout", {c.in[0]}, {}, 2);
  results[1] = c.build.cast(results[1], c.build.dtype(c.in[0]));
  c.become(results);
}

}  // namespace

extern constinit const OpDef op_dropout = define({
    .name = "Dropout",
    .since = 22,
    .doc =
        "In training each element is dropped with probability ratio and the others divided by 1 - ratio; otherwise the "
        "input. What is dropped depends on the seed and the element's number only: element i is number i mod 4 of "
        "block i div 4 of Philox4x32-10, kept where its upper 24 bits / 2^24 >= ratio.",
    .source = "ONNX Dropout-22; Srivastava et al., JMLR 2014; Salmon et al., SC 2011",
    .inputs = {{"data", "T", "any shape"},
               {"ratio", "T1", "scalar in [0, 1); default: 0.5", Presence::optional},
               {"training_mode", "bool", "scalar; default: false", Presence::optional}},
    .outputs = {{"output", "T", "shape of data"}, {"mask", "bool", "shape of data; true: kept", Presence::optional}},
    .attributes = {{"seed", AttributeType::integer, 0, "key of the random numbers"}},
    .types = {{"T", dtypes::floats}, {"T1", dtypes::floats}},
    .shape = shape,
    .identity_when = only_infers,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, adapt_7}, {10, adapt_10}, {12, adapt_12}},
    .examples = {"{1, 2} -> {1, 2}; bool{true, true}", "{1, 2}; 0.9 -> {1, 2}",
                 "{1, 2, 3, 4, 5, 6}; 0.5; bool true; seed=7 -> {2, 4, 0, 0, 0, 12}; bool{true, true, false, false, "
                 "false, true}"},
});

}  // namespace tessera
