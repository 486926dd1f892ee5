#include "ops/softmax.h"

namespace tessera {
namespace {

void kernel(const KernelContext& k) {
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    for_each_slice<T>(k.in(0), k.out(0), k.axis(), [](const T* x, T* y, std::int64_t n) {
      using C = Compute<T>;
      const C top = peak(x, n);
      // A NaN counts as the largest, as for ArgMax.
      const auto is_top = [top](T v) {
        return top == top ? static_cast<C>(v) == top : static_cast<C>(v) != static_cast<C>(v);
      };
      const auto first = std::find_if(x, x + n, is_top) - x;
      std::fill_n(y, n, static_cast<T>(C{0}));
      y[first] = static_cast<T>(C{1});
    });
  });
}

}  // namespace

extern constinit const OpDef op_hardmax = define({
    .name = "Hardmax",
    .since = 13,
    .doc = "1 for the first of the largest elements of each slice along axis, 0 for the others. A NaN counts as the "
           "largest.",
    .source = "ONNX Hardmax-13",
    .inputs = {{"input", "T", "rank >= 1"}},
    .outputs = {{"output", "T", "shape of input"}},
    .attributes = {{"axis", AttributeType::integer, -1, "the axis of the slices"}},
    .types = {{"T", dtypes::floats}},
    .shape = slices_along_axis,
    .in_place = {{0, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .adapt = {{13, [](RewriteContext& c) { rows_of_matrix(c, "Hardmax"); }}},
    .examples = {"{1, 3, 2} -> {0, 1, 0}", "{{1, 5}, {7, 5}}; axis=0 -> {{0, 1}, {1, 0}}", "{-inf, -inf} -> {1, 0}",
                 "{1, nan, inf} -> {0, 1, 0}", "f32[2x0]{} -> f32[2x0]{}"},
});

}  // namespace tessera
