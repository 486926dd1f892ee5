#include "ops/elementwise.h"

namespace tessera {
namespace {

// y[i] = c[i] ? a[i] : b[i]; a step of 0 repeats one element. Elements are moved by width, whatever their type.
template <class U>
void row(const bool* c, const U* a, std::int64_t sa, const U* b, std::int64_t sb, U* y, std::int64_t n) {
  const auto run = [=](auto first, auto second) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) y[i] = c[i] ? first(i) : second(i);
  };
  const auto walk = [](const U* p) { return [p](std::int64_t i) { return p[i]; }; };
  const auto repeat = [](const U* p) { return [x = *p](std::int64_t) { return x; }; };
  if (sa && sb)
    run(walk(a), walk(b));
  else if (sa)
    run(walk(a), repeat(b));
  else if (sb)
    run(repeat(a), walk(b));
  else
    run(repeat(a), repeat(b));
}

// The same where one condition holds for the whole row.
template <class U>
void copy(const U* from, std::int64_t step, U* y, std::int64_t n) {
  if (step == 0)
    std::fill_n(y, n, *from);
  else if (from != y)
    std::copy_n(from, n, y);
}

void kernel(const KernelContext& k) {
  const BroadcastLoop<3> loop(k.out(0).shape(), {&k.in(0).shape(), &k.in(1).shape(), &k.in(2).shape()});
  const bool* c = k.in(0).read<bool>().data();
  with_width(k.out(0).dtype(), [&]<class U>(Type<U>) {
    const U* a = static_cast<const U*>(k.in(1).raw());
    const U* b = static_cast<const U*>(k.in(2).raw());
    U* y = static_cast<U*>(k.out(0).raw());
    run_parallel(k.out(0).size(), pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
      loop.run(begin, end, [&](std::int64_t i, const auto& offset, std::int64_t n) {
        const bool* condition = c + offset[0];
        if (loop.step(0) == 1)
          row(condition, a + offset[1], loop.step(1), b + offset[2], loop.step(2), y + i, n);
        else if (*condition)
          copy(a + offset[1], loop.step(1), y + i, n);
        else
          copy(b + offset[2], loop.step(2), y + i, n);
      });
    });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  const ValueId zero = g.scalar_like(g.dout(0), 0);
  return {ValueId::none, g.needs(1) ? g.node("Where", {g.in(0), g.dout(0), zero}) : ValueId::none,
          g.needs(2) ? g.node("Where", {g.in(0), zero, g.dout(0)}) : ValueId::none};
}

}  // namespace

extern constinit const OpDef op_where = define({
    .name = "Where",
    .since = 16,
    .introduced = 9,
    .doc = "output = X where condition holds, else Y; all three are broadcast.",
    .source = "ONNX Where-16",
    .inputs = {{"condition", "bool", "any shape"}, {"X", "T", "any shape"}, {"Y", "T", "any shape"}},
    .outputs = {{"output", "T", "the broadcast shape"}},
    .types = {{"T", dtypes::all}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{1, 0}, {2, 0}},
    .kernel = kernel,
    .gradient = gradient,
    .examples = {"bool{true, false}; {1, 2}; {3, 4} -> {1, 4}", "bool{{true}, {false}}; {1, 2}; 0 -> {{1, 2}, {0, 0}}",
                 "bool{true, false}; 5; {{1, 2}, {3, 4}} -> {{5, 2}, {5, 4}}",
                 "bool{true, false}; i64{1, 2}; i64{3, 4} -> i64{1, 4}"},
});

}  // namespace tessera
