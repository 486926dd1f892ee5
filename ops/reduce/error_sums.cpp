#include <cmath>

#include "runtime/base/parts.h"
#include "runtime/op/context.h"

namespace tessera {
namespace {

constexpr std::int64_t chunk = 1 << 15;  // elements; chunks are added in their order

void shape(ShapeContext& c) {
  check(c.in(0) == c.in(1), "A ", c.in(0), " and B ", c.in(1), " differ in shape");
  c.out(0, {5});
}

struct Sums {
  double difference = 0, a = 0, b = 0, product = 0, greatest = 0;
  void add(const Sums& other) {
    difference += other.difference;
    a += other.a;
    b += other.b;
    product += other.product;
    if (other.greatest > greatest || std::isnan(other.greatest)) greatest = other.greatest;
  }
};

template <class T>
Sums sums_of(const T* a, const T* b, std::int64_t n) {
  double difference = 0, aa = 0, bb = 0, ab = 0, greatest = 0, sum = 0;
#pragma omp simd reduction(+ : difference, aa, bb, ab, sum) reduction(max : greatest)
  for (std::int64_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(static_cast<Compute<T>>(a[i])),
                 y = static_cast<double>(static_cast<Compute<T>>(b[i])), d = x - y;
    difference += d * d;
    aa += x * x;
    bb += y * y;
    ab += x * y;
    sum += d;
    greatest = std::abs(d) > greatest ? std::abs(d) : greatest;
  }
  return {difference, aa, bb, ab, std::isnan(sum) ? sum : greatest};
}

void kernel(const KernelContext& k) {
  const std::int64_t n = k.in(0).size(), chunks = divide_up(n, chunk);
  const Scratch<Sums> partial(chunks);
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    const T *a = k.in(0).read<T>().data(), *b = k.in(1).read<T>().data();
    run_parallel(chunks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        partial[i] = sums_of(a + i * chunk, b + i * chunk, std::min(chunk, n - i * chunk));
    });
  });
  Sums total;
  for (std::int64_t i = 0; i < chunks; ++i) total.add(partial[i]);
  const auto out = k.out(0).write<double>();
  out[0] = total.difference;
  out[1] = total.a;
  out[2] = total.b;
  out[3] = total.product;
  out[4] = total.greatest;
}

double flops(const ShapeContext& c) { return 10.0 * static_cast<double>(count(c.in(0))); }

}  // namespace

extern constinit const OpDef op_error_sums = define({
    .name = "ErrorSums",
    .domain = "tessera",
    .doc = "How far A is from B, in one pass, summed in f64: sum (a - b)^2, sum a^2, sum b^2, sum a b, max |a - b|. "
           "Relative L2 error = sqrt([0] / [2]), cosine = [3] / sqrt([1] [2]). NaN where the operands have one.",
    .source = "Tessera; `tessera compare` is made of it",
    .inputs = {{"A", "T", "any shape"}, {"B", "T", "shape of A"}},
    .outputs = {{"sums", "f64", "[5]"}},
    .types = {{"T", dtypes::floats}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"{1, 2}; {1, 4} -> f64{4, 5, 17, 9, 2}", "{}; {} -> f64{0, 0, 0, 0, 0}"},
});

}  // namespace tessera
