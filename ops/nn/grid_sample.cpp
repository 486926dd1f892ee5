#include "ops/elementwise.h"
#include "ops/grid_sampling.h"
#include "runtime/base/parts.h"

namespace tessera {
namespace {

void shape(ShapeContext& c) { c.out(0, grid_sampling(c.attr, c.in(0), c.in(1)).y_shape()); }

// One task: some points of one picture, in all channels.
void kernel(const KernelContext& k) {
  const GridSampling s = grid_sampling(k.attr, k.in(0).shape(), k.in(1).shape());
  const std::int64_t in = count(s.in), out = count(s.out), axes = s.in.rank(), taps = s.taps();
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    constexpr std::int64_t points = GridTaps<C>::points;
    const Tensor grid = grid_as<C>(k.in(1));
    const C* const numbers = grid.template read<C>().data();
    const T* const x = k.in(0).template read<T>().data();
    T* const y = k.out(0).template write<T>().data();
    const std::int64_t chunks = divide_up(out, points);
    const auto task = [&](GridTaps<C>& at, std::int64_t picture, std::int64_t first) {
      const std::int64_t n = std::min(points, out - first);
      at.find(numbers + (picture * out + first) * axes, n);
      for (std::int64_t c = picture * s.channels; c < (picture + 1) * s.channels; ++c)
        for (std::int64_t p = 0; p < n; ++p) {
          C sum = 0;
          for (std::int64_t t = 0; t < taps; ++t) {
            const std::int64_t place = at.place(t)[p];
            if (place >= 0) sum += at.weight(t)[p] * static_cast<C>(x[c * in + place]);
          }
          store(y[c * out + first + p], sum);
        }
    };
    const std::int64_t work = std::max<std::int64_t>(points * taps * (s.channels + 8), 1);
    run_parallel(s.batch * chunks, std::max<std::int64_t>(65536 / work, 1), [&](std::int64_t begin, std::int64_t end) {
      GridTaps<C> at(s);
      for (std::int64_t i = begin; i < end; ++i) task(at, i / chunks, i % chunks * points);
    });
  });
}

std::vector<ValueId> gradient(GradContext& g) {
  return g.nodes("tessera::GridSampleGrad", {g.in(0), g.in(1), g.dout(0)}, g.attr().all(), 2);
}

// Modes of pictures had names of their own.
void modes_of_pictures(RewriteContext& c) {
  const auto at = c.attributes.find("mode");
  auto* mode = at == c.attributes.end() ? nullptr : std::get_if<std::string>(&at->second);
  if (mode != nullptr && (*mode == "bilinear" || *mode == "bicubic")) mode->erase(0, 2);
}

double flops(const ShapeContext& c) {
  return 2.0 * static_cast<double>(grid_sampling(c.attr, c.in(0), c.in(1)).taps()) *
         static_cast<double>(count(c.out(0)));
}

}  // namespace

extern constinit const OpDef op_grid_sample = define({
    .name = "GridSample",
    .since = 22,
    .introduced = 16,
    .doc =
        "X at the points of a grid, in between its elements too. A point has a number per axis, the last axis first; "
        "-1 and 1 are the ends of the axis. NaN is far outside.",
    .source = "ONNX GridSample-22; Jaderberg et al., NIPS 2015",
    .inputs = {{"X", "T1", "[N C in...], 1 to 4 axes"}, {"grid", "T2", "[N out... axes]"}},
    .outputs = {{"Y", "T1", "[N C out...]"}},
    .attributes = grid_sampling_attributes,
    .types = {{"T1", dtypes::floats}, {"T2", dtypes::floats}},
    .shape = shape,
    .flops = flops,
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{20, modes_of_pictures}},
    .examples = {"{{{{1, 2}, {3, 5}}}}; {{{{-0.25, 0.25}, {0.75, -0.625}, {-3, 0}}}} -> {{{{2.9375, 1.3125, 0}}}}",
                 "{{{{1, 2}, {3, 5}}}}; {{{{-0.25, 0.25}, {0.75, -0.625}, {-3, 0}}}}; align_corners=1; "
                 "padding_mode=\"border\" -> {{{{2.859375, 2.414062, 2}}}}",
                 "{{{1, 2, 4, 8, 16}}}; {{{-0.3}, {0.55}, {1.3}, {-1.9}}}; mode=\"cubic\"; padding_mode=\"reflection\" "
                 "-> {{{2.417969, 11.32227, 14.32812, 3.160156}}}",
                 "{{{1, 2, 4, 8, 16}}}; {{{-0.3}, {0.55}, {1.3}, {nan}}}; mode=\"nearest\"; padding_mode=\"border\" -> "
                 "{{{2, 8, 16, 1}}}",
                 "{{{1, 2, 4}}}; {{{inf}, {-inf}, {1e30}, {-1e30}}}; padding_mode=\"border\" -> {{{4, 1, 4, 1}}}"},
});

}  // namespace tessera
