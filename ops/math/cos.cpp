#include "ops/elementwise.h"
#include "ops/vector_math.h"

namespace tessera {
namespace {

// f32 is computed in vectors, unless an angle of the block is too large for them (or is no number).
template <class T>
void cos_values(const T* x, T* y, std::int64_t n) {
  if constexpr (!std::is_same_v<T, double>) {
    bool small = true;
#pragma omp simd reduction(&& : small)
    for (std::int64_t i = 0; i < n; ++i)
      small = small && std::abs(static_cast<float>(x[i])) <= vector_math::largest_angle;
    if (small) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i) store(y[i], vector_math::sin_quarter(static_cast<float>(x[i]), 1));
      return;
    }
  }
  for (std::int64_t i = 0; i < n; ++i) store(y[i], std::cos(static_cast<Compute<T>>(x[i])));
}

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T* x = k.in(0).template read<T>().data();
    T* y = k.out(0).template write<T>().data();
    run_parallel(k.in(0).size(), 4096,
                 [=](std::int64_t begin, std::int64_t end) { cos_values(x + begin, y + begin, end - begin); });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  return {g.node("Neg", {g.node("Mul", {g.dout(0), g.node("Sin", {g.in(0)})})})};
}

}  // namespace

extern constinit const OpDef op_cos = define({
    .name = "Cos",
    .since = 22,
    .doc = "Y = cos X, elementwise; X in radians.",
    .source = "ONNX Cos-22",
    .inputs = {{"input", "T", "any shape"}},
    .outputs = {{"output", "T", "shape of input"}},
    .types = {{"T", dtypes::floats}},
    .shape = same_as_input,
    .pointwise = true,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"{0, 0.5, -2, 100} -> {1, 0.8775826, -0.4161468, 0.8623189}"},
});

}  // namespace tessera
