#include "ops/elementwise.h"
#include "ops/grid_sampling.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) {
  const Shape y = grid_sampling(c.attr, c.in(0), c.in(1)).y_shape();
  check(c.in(2) == y, "dY has shape ", c.in(2), ", expected ", y);
  c.out(0, c.in(0));
  c.out(1, c.in(1));
}

constexpr std::int64_t kChannels = 8;  // of X whose gradients share the taps of a task

// dX: every element of dY handed back by the weights, in the order of the points. One task: some channels of a picture.
template <class T, class C>
void to_x(const GridSampling& s, const C* grid, const T* dy, T* dx) {
  constexpr std::int64_t points = GridTaps<C>::points;
  const std::int64_t in = count(s.in), out = count(s.out), groups = divide_up(s.channels, kChannels);
  run_parallel(s.batch * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    GridTaps<C> at(s);
    const Scratch<C> sums(kChannels * in);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t picture = i / groups, first = picture * s.channels + i % groups * kChannels;
      const std::int64_t channels = std::min(kChannels, (picture + 1) * s.channels - first);
      std::fill_n(sums.data(), channels * in, C(0));
      for (std::int64_t from = 0; from < out; from += points) {
        const std::int64_t n = std::min(points, out - from);
        at.find(grid + (picture * out + from) * s.in.rank(), n);
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t t = 0; t < s.taps(); ++t)
            for (std::int64_t p = 0; p < n; ++p)
              if (const std::int64_t place = at.place(t)[p]; place >= 0)
                sums[c * in + place] += at.weight(t)[p] * static_cast<C>(dy[(first + c) * out + from + p]);
      }
      for (std::int64_t e = 0; e < channels * in; ++e) store(dx[first * in + e], sums[e]);
    }
  });
}

// dgrid: what moving a point changes, over all channels. One task: some points of a picture.
template <class T, class C>
void to_grid(const GridSampling& s, const C* grid, const T* x, const T* dy, Tensor& to) {
  constexpr std::int64_t points = GridTaps<C>::points;
  const std::int64_t in = count(s.in), out = count(s.out), axes = s.in.rank(), chunks = divide_up(out, points);
  with_type(Floats{}, to.dtype(), [&]<class G>(Type<G>) {
    G* const dgrid = to.write<G>().data();
    run_parallel(s.batch * chunks, 1, [&](std::int64_t begin, std::int64_t end) {
      GridTaps<C> at(s, true);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t picture = i / chunks, first = i % chunks * points, n = std::min(points, out - first);
        at.find(grid + (picture * out + first) * axes, n);
        for (std::int64_t p = 0; p < n; ++p)
          for (std::int64_t a = 0; a < axes; ++a) {
            C sum = 0;
            for (std::int64_t c = picture * s.channels; c < (picture + 1) * s.channels; ++c) {
              C change = 0;
              for (std::int64_t t = 0; t < s.taps(); ++t)
                if (const std::int64_t place = at.place(t)[p]; place >= 0)
                  change += at.slope(a, t)[p] * static_cast<C>(x[c * in + place]);
              sum += change * static_cast<C>(dy[c * out + first + p]);
            }
            store(dgrid[(picture * out + first + p) * axes + a], sum);
          }
      }
    });
  });
}

void kernel(const KernelContext& k) {
  const GridSampling s = grid_sampling(k.attr, k.in(0).shape(), k.in(1).shape());
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    const Tensor grid = grid_as<C>(k.in(1));
    const C* const numbers = grid.template read<C>().data();
    const T *const x = k.in(0).template read<T>().data(), *const dy = k.in(2).template read<T>().data();
    if (k.wants(0)) to_x<T, C>(s, numbers, dy, k.out(0).template write<T>().data());
    if (k.wants(1)) to_grid<T, C>(s, numbers, x, dy, k.out(1));
  });
}

}  // namespace

extern constinit const OpDef op_grid_sample_grad = define({
    .name = "GridSampleGrad",
    .domain = "tessera",
    .since = 1,
    .doc = "Gradients of GridSample: dY handed back to the elements of X by their weights, and to the points by how "
           "moving them changes Y. A point between two elements that meet at a kink follows the later one.",
    .source = "the derivative of ONNX GridSample-22",
    .inputs = {{"X", "T1", "[N C in...]"}, {"grid", "T2", "[N out... axes]"}, {"dY", "T1", "[N C out...]"}},
    .outputs = {{"dX", "T1", "shape of X"}, {"dgrid", "T2", "shape of grid"}},
    .attributes = grid_sampling_attributes,
    .types = {{"T1", dtypes::floats}, {"T2", dtypes::floats}},
    .shape = shape,
    .kernel = kernel,
    .gradient = gradient_missing,
    .examples = {"{{{1, 2, 4, 8}}}; {{{0}, {0.5}}}; {{{1, 2}}} -> {{{0, 0.5, 1.5, 1}}}; {{{4}, {16}}}"},
});

}  // namespace tessera
