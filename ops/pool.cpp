#include "ops/pool.h"

#include <numeric>

namespace tessera {
namespace {

// Beyond this a kernel is a mistake, and its table of taps would be large.
constexpr std::int64_t most_taps = std::int64_t{1} << 24;

// Windows that start before the end and end after the start of the input miss it only where their taps step over it,
// and do so in a period of dilation / gcd(stride, dilation) windows.
void check_reads_input(const WindowAxis& w) {
  const std::int64_t period = w.dilation > w.in ? w.dilation / std::gcd(w.stride, w.dilation) : 1;
  for (std::int64_t o = 0; o < std::min(w.out, period); ++o) {
    const auto [first, last] = w.taps(o, w.in);
    check(first < last, "window ", o, " reads no input: all its ", w.kernel, " taps lie in the padding of ", w.in,
          " elements");
  }
}

}  // namespace

double Pool::taps() const {
  double n = 1;
  for (const auto& w : window) n *= static_cast<double>(w.kernel);
  return n;
}

Pool pool_over(const AttributeReader& attr, const Shape& x, bool reads_input) {
  check(x.rank() >= 3, "a pool needs an input of rank 3 or more, got ", x);
  Pool pool;
  pool.planes = x[0] * x[1];
  pool.window = pooling_window(attr, std::span(x).subspan(2));
  for (const auto& w : pool.window)
    check(w.kernel <= most_taps, Code::unsupported, "a window of ", w.kernel, " taps; at most ", most_taps,
          " along an axis are supported");
  if (count(pooled(x, pool)) == 0) return pool;
  if (reads_input)
    for (const auto& w : pool.window) check_reads_input(w);
  const WindowAxis& line = pool.window.back();
  pool.first_tap = line.taps(line.out - 1, line.in).first;
  for (std::int64_t t = pool.first_tap; t < line.taps(0, line.in).second; ++t) {
    const auto [first, last] = line.inside(t);
    pool.reach.push_back({first, last});
  }
  return pool;
}

Shape pooled(const Shape& x, const Pool& pool) {
  Shape y{x[0], x[1]};
  for (const auto& w : pool.window) y.push_back(w.out);
  return y;
}

}  // namespace tessera
