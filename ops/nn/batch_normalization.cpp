#include "ops/normalize.h"
#include "runtime/op/reshaped.h"

namespace tessera {
namespace {

// X as [batch, channels, inner]; a single dim is a batch of one channel.
struct Sizes {
  explicit Sizes(const Shape& x)
      : batch(x[0]), channels(x.rank() > 1 ? x[1] : 1), inner(x.rank() > 2 ? count(std::span(x).subspan(2)) : 1) {}
  std::int64_t batch, channels, inner;
};

void shape(ShapeContext& c) {
  check(c.rank(0) >= 1, "X must be [N x C x D1 x ...], got ", c.in(0));
  const Shape channels{Sizes(c.in(0)).channels};
  for (const int i : {1, 2, 3, 4})
    check(c.in(i) == channels, c.op.inputs[i].name, " must be ", channels, ", got ", c.in(i));
  const bool trains = c.attr.flag("training_mode");
  check(trains || c.outputs() == 1, "running_mean and running_var are outputs of training_mode=1 only");
  c.out(0, c.in(0));
  c.out(1, channels);
  c.out(2, channels);
}

// What y = (x - mean) * by + shift is made of, per channel.
template <class C>
struct Channels {
  explicit Channels(std::int64_t n) : mean(n), by(n), shift(n) {}
  Scratch<C> mean, by, shift;
};

// Mean and biased variance of every channel.
template <class T>
void find_moments(const T* x, const Sizes& s, double* means, double* variances) {
  const double n = static_cast<double>(s.batch * s.inner);
  run_parallel(s.channels, row_grain(s.batch * s.inner), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      const auto sum = [&](auto f) {
        double total = 0;
        for (std::int64_t b = 0; b < s.batch; ++b) total += sum_of(x + (b * s.channels + c) * s.inner, s.inner, f);
        return total;
      };
      means[c] = sum([](auto v) { return v; }) / n;
      const auto mean = static_cast<Compute<T>>(means[c]);
      variances[c] = sum([mean](auto v) { return (v - mean) * (v - mean); }) / n;
    }
  });
}

// What the channels are normalised by: their moments, or those given. In training the running ones are brought on.
void choose_moments(const KernelContext& k, const Sizes& s, double* means, double* variances) {
  const auto given_means = doubles(k.in(3)), given_variances = doubles(k.in(4));
  if (!k.attr.flag("training_mode")) {
    std::copy(given_means.begin(), given_means.end(), means);
    std::copy(given_variances.begin(), given_variances.end(), variances);
    return;
  }
  with_type(Floats{}, k.in(0).dtype(),
            [&]<class T>(Type<T>) { find_moments(k.in(0).read<T>().data(), s, means, variances); });
  const double momentum = k.attr.real("momentum");
  const auto bring_on = [&](int output, const std::vector<double>& given, const double* now) {
    if (!k.wants(output)) return;
    with_type(Floats{}, k.out(output).dtype(), [&]<class T>(Type<T>) {
      const auto running = k.out(output).template write<T>();
      for (std::size_t c = 0; c < running.size(); ++c)
        running[c] = static_cast<T>(static_cast<Compute<T>>(given[c] * momentum + now[c] * (1 - momentum)));
    });
  };
  bring_on(1, given_means, means);
  bring_on(2, given_variances, variances);
}

template <class T>
void normalize(const Sizes& s, const T* x, T* y, const Channels<Compute<T>>& channels) {
  using C = Compute<T>;
  const C *mean = channels.mean.data(), *by = channels.by.data(), *shift = channels.shift.data();
  if (s.inner == 1) {  // the channels lie side by side
    run_parallel(s.batch, row_grain(s.channels), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const T* from = x + b * s.channels;
        T* to = y + b * s.channels;
#pragma omp simd
        for (std::int64_t c = 0; c < s.channels; ++c)
          to[c] = static_cast<T>((static_cast<C>(from[c]) - mean[c]) * by[c] + shift[c]);
      }
    });
    return;
  }
  run_parallel(s.batch * s.channels, row_grain(s.inner), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t c = row % s.channels;
      const C m = mean[c], b = by[c], d = shift[c];
      const T* from = x + row * s.inner;
      T* to = y + row * s.inner;
#pragma omp simd
      for (std::int64_t i = 0; i < s.inner; ++i) to[i] = static_cast<T>((static_cast<C>(from[i]) - m) * b + d);
    }
  });
}

void kernel(const KernelContext& k) {
  const Sizes s(k.in(0).shape());
  const Scratch<double> means(s.channels), variances(s.channels);
  choose_moments(k, s, means.data(), variances.data());
  const auto scale = doubles(k.in(1)), bias = doubles(k.in(2));
  const double epsilon = k.attr.real("epsilon");
  with_type(Floats{}, k.in(0).dtype(), [&]<class T>(Type<T>) {
    using C = Compute<T>;
    const Channels<C> channels(s.channels);
    for (std::int64_t c = 0; c < s.channels; ++c) {
      const auto i = static_cast<std::size_t>(c);
      channels.mean[c] = static_cast<C>(means[c]);
      channels.by[c] = static_cast<C>(scale[i] / std::sqrt(variances[c] + epsilon));
      channels.shift[c] = static_cast<C>(bias[i]);
    }
    normalize<T>(s, k.in(0).read<T>().data(), k.out(0).template write<T>().data(), channels);
  });
}

// What gradients are written with: X and dY, widened; vectors of the channels under the type of those and a shape that
// broadcasts with them; sums over everything but the channels.
class ChannelNodes {
 public:
  explicit ChannelNodes(GradContext& g) : x(g.widened(g.in(0))), dy(g.widened(g.dout(0))), g_(g) {
    const Shape s = *g.shape(x);
    channel_ = Shape(s.size(), 1);
    if (s.rank() > 1) channel_[1] = s[1];
    for (int a = 0; a < s.rank(); ++a)
      if (a != 1) others_.push_back(a);
  }
  const ValueId x, dy;
  const std::vector<std::int64_t>& others() const { return others_; }
  ValueId spread(ValueId v) { return reshaped(g_, g_.cast(v, g_.dtype(x)), channel_); }
  // Summed, as input `like` is.
  ValueId sum(ValueId v, int like) {
    const ValueId sums = g_.node("ReduceSum", {v, g_.ints(others_)}), to = g_.in(like);
    return g_.cast(reshaped(g_, sums, Shape(*g_.shape(to))), g_.dtype(to));
  }

 private:
  GradContext& g_;
  Shape channel_;
  std::vector<std::int64_t> others_;
};

// Through the moments of X as in LayerNormalization. Of what is brought on, running = momentum given + (1 - momentum)
// moment, with dmean/dx = 1 / n and dvariance/dx = 2 (x - mean) / n.
std::vector<ValueId> gradient_in_training(GradContext& g) {
  ChannelNodes n(g);
  const Sizes s(*g.shape(n.x));
  Standardized x_hat(g, n.x, n.others());
  std::vector<ValueId> d(5, ValueId::none);
  d[0] = x_hat.back(g.node("Mul", {n.dy, n.spread(g.in(1))}));
  d[1] = n.sum(g.node("Mul", {n.dy, x_hat.normal}), 1);
  d[2] = n.sum(n.dy, 2);
  const double momentum = g.attr().real("momentum"), part = (1 - momentum) / static_cast<double>(s.batch * s.inner);
  for (const int i : {1, 2}) {
    if (i >= g.outputs() || !g.has_dout(i)) continue;
    d[static_cast<std::size_t>(i + 2)] = g.node("Mul", {g.dout(i), g.scalar_like(g.dout(i), momentum)});
    ValueId dx = g.node("Mul", {n.spread(g.dout(i)), g.scalar_like(n.x, i * part)});
    if (i == 2) dx = g.node("Mul", {dx, g.node("Mul", {x_hat.normal, x_hat.deviation})});
    d[0] = g.node("Add", {d[0], dx});
  }
  return d;
}

// With deviation = sqrt(var + epsilon) and a = scale / deviation: dx = dy a, dscale = sum(dy (x - mean)) / deviation,
// dB = sum(dy), dmean = -sum(dy) a, dvar = -sum(dy (x - mean)) a / (2 deviation^2).
std::vector<ValueId> gradient(GradContext& g) {
  if (g.attr().flag("training_mode")) return gradient_in_training(g);
  ChannelNodes n(g);
  const ValueId x = n.x, dy = n.dy, epsilon = g.scalar_like(x, g.attr().real("epsilon"));
  const ValueId squared = g.node("Add", {n.spread(g.in(4)), epsilon}), deviation = g.node("Sqrt", {squared});
  const ValueId a = g.node("Div", {n.spread(g.in(1)), deviation});
  std::vector<ValueId> d(5, ValueId::none);
  if (g.needs(0)) d[0] = g.node("Mul", {dy, a});
  if (g.needs(1) || g.needs(4)) {
    const ValueId along = g.node("Mul", {dy, g.node("Sub", {x, n.spread(g.in(3))})});
    d[1] = n.sum(g.node("Div", {along, deviation}), 1);
    const ValueId by = g.node("Div", {a, g.node("Mul", {squared, g.scalar_like(x, -2)})});
    d[4] = n.sum(g.node("Mul", {along, by}), 4);
  }
  if (g.needs(2)) d[2] = n.sum(dy, 2);
  if (g.needs(3)) d[3] = n.sum(g.node("Mul", {dy, g.node("Neg", {a})}), 3);
  return d;
}

// One output told inference from training well enough.
void without_test_mode(RewriteContext& c) { c.attributes.erase("is_test"); }

// Four more outputs were what told training from inference; its statistics were other ones.
void without_training(RewriteContext& c) {
  for (int i = 1; i < c.outputs; ++i)
    check(!c.wants(i), Code::unsupported, "BatchNormalization in training is supported from opset 14 on");
}

// "spatial" = 0 had statistics per element instead of per channel.
void per_channel(RewriteContext& c) {
  const auto spatial = c.attributes.find("spatial");
  if (spatial == c.attributes.end()) return;
  const auto* value = std::get_if<std::int64_t>(&spatial->second);
  check(value && *value == 1, Code::unsupported, "spatial=0 of opset 7 is not supported");
  c.attributes.erase(spatial);
}

}  // namespace

extern constinit const OpDef op_batch_normalization = define({
    .name = "BatchNormalization",
    .since = 15,
    .doc = "Y = scale * (X - mean) / sqrt(var + epsilon) + B per channel: by the mean and variance given or, in "
           "training, by those of X over batch and positions, which then also bring the running ones on: running = "
           "momentum * given + (1 - momentum) * that of X.",
    .source = "ONNX BatchNormalization-15; Ioffe & Szegedy 2015, arXiv:1502.03167",
    .inputs = {{"X", "T", "[N x C x D1 x ...]; [N] is one channel"},
               {"scale", "T1", "[C]"},
               {"B", "T1", "[C]"},
               {"input_mean", "T2", "[C]"},
               {"input_var", "T2", "[C], the biased variance"}},
    .outputs = {{"Y", "T", "shape of X"},
                {"running_mean", "T2", "[C], in training only", Presence::optional},
                {"running_var", "T2", "[C], in training only", Presence::optional}},
    .attributes = {{"epsilon", AttributeType::real, 1e-5f, "added to the variance"},
                   {"momentum", AttributeType::real, 0.9f, "of the running mean and variance"},
                   {"training_mode", AttributeType::integer, 0, "1: by the mean and variance of X"}},
    .types = {{"T", dtypes::floats}, {"T1", dtypes::floats}, {"T2", dtypes::floats}},
    .shape = shape,
    .in_place = {{0, 0}},
    .flops =
        [](const ShapeContext& c) {
          return (c.attr.flag("training_mode") ? 8.0 : 3.0) * static_cast<double>(count(c.in(0)));
        },
    .kernel = kernel,
    .gradient = gradient,
    .adapt = {{7, without_test_mode}, {9, per_channel}, {14, without_training}},
    .examples = {"{{{1, 3}, {2, 6}}}; {2, 1}; {0, 1}; {2, 4}; {3, 0}; epsilon=1 -> {{{-1, 1}, {-1, 3}}}",
                 "{{1, 2}, {3, 6}}; {2, 1}; {0, 1}; {2, 4}; {3, 0}; epsilon=1 -> {{-1, -1}, {1, 3}}",
                 "{1, 3}; {2}; {0.5}; {2}; {3}; epsilon=1 -> {-0.5, 1.5}",
                 "{{{1, 3}, {2, 6}}, {{5, 7}, {4, 0}}}; {1, 2}; {0, 1}; {1, 2}; {0, 4}; epsilon=0; momentum=0.5; "
                 "training_mode=1 -> {{{-1.3416408, -0.4472136}, {0.10557281, 3.6832816}}, {{0.4472136, 1.3416408}, "
                 "{1.8944272, -1.6832816}}}; {2.5, 2.5}; {2.5, 4.5}",
                 "{{1, 2}, {3, 6}}; {2, 1}; {0, 1}; {0, 0}; {1, 1}; epsilon=0; training_mode=1 -> {{-2, 0}, {2, 2}}",
                 "f32[0x2x3]{}; {1, 2}; {0, 1}; {1, 2}; {0, 4} -> f32[0x2x3]{}"},
});

}  // namespace tessera
