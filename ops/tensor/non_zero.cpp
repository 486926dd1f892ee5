#include "runtime/op/context.h"

namespace tessera {
namespace {

template <class T>
bool non_zero(T x) {
  return static_cast<Compute<T>>(x) != Compute<T>{0};
}

void shape(ShapeContext& c) {
  std::int64_t n = 0;
  with_type(AllTypes{}, c.dtype(0), [&]<class T>(Type<T>) {
    for (const T x : c.value(0).read<T>()) n += non_zero(x);
  });
  c.out(0, {c.rank(0), n});
}

void kernel(const KernelContext& k) {
  const Tensor& x = k.in(0);
  const Shape& dims = x.shape();
  std::int64_t* y = k.out(0).write<std::int64_t>().data();
  const std::int64_t n = k.out(0).dim(1);
  with_type(AllTypes{}, x.dtype(), [&]<class T>(Type<T>) {
    const auto values = x.read<T>();
    std::int64_t found = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!non_zero(values[i])) continue;
      auto rest = static_cast<std::int64_t>(i);
      for (std::size_t a = dims.size(); a-- > 0;) {
        y[static_cast<std::int64_t>(a) * n + found] = rest % dims[a];
        rest /= dims[a];
      }
      ++found;
    }
  });
}

}  // namespace

extern constinit const OpDef op_non_zero = define({
    .name = "NonZero",
    .since = 13,
    .introduced = 9,
    .doc = "The coordinates of the elements that are not zero, in row-major order, one column each.",
    .source = "ONNX NonZero-13",
    .inputs = {{"X", "T", "any shape"}},
    .outputs = {{"Y", "i64", "[rank of X, elements found]"}},
    .types = {{"T", dtypes::all}},
    .shape_reads = {0},
    .shape = shape,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{{1, 0}, {0, 3}} -> i64{{0, 1}, {0, 1}}", "bool{false, true, true} -> i64{{1, 2}}",
                 "i32{0} -> i64[1x0]{}", "5 -> i64[0x1]{}"},
});

}  // namespace tessera
