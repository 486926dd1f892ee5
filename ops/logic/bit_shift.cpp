#include <limits>

#include "ops/elementwise.h"
#include "ops/integer_math.h"

namespace tessera {
namespace {

using Unsigned = Types<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>;

// f(x, by), and 0 where nothing of x is left: C++ does not say what such a shift gives.
template <class F>
void shift(const KernelContext& k, F f) {
  map2<Unsigned>(k, [f](auto x, auto by) {
    using T = decltype(x);
    constexpr T bits = std::numeric_limits<T>::digits;
    return by < bits ? static_cast<T>(f(static_cast<Wrapping<T>>(x), by)) : T{0};
  });
}

void kernel(const KernelContext& k) {
  if (k.attr.text("direction") == "LEFT")
    shift(k, [](auto x, auto by) { return x << by; });
  else
    shift(k, [](auto x, auto by) { return x >> by; });
}

}  // namespace

extern constinit const OpDef op_bit_shift = define({
    .name = "BitShift",
    .since = 11,
    .introduced = 11,
    .doc =
        "Z = X with its bits moved by Y places, zeros following, elementwise with broadcasting; 0 where Y is as many "
        "as X has, or more.",
    .source = "ONNX BitShift-11",
    .inputs = {{"X", "T", "any shape"}, {"Y", "T", "broadcasts with X"}},
    .outputs = {{"Z", "T", "the broadcast shape"}},
    .attributes = {{"direction", AttributeType::text, required, "LEFT: to larger numbers", "LEFT|RIGHT"}},
    .types = {{"T", set_of(Unsigned{})}},
    .shape = broadcast_all,
    .pointwise = true,
    .in_place = {{0, 0}, {1, 0}},
    .kernel = kernel,
    .gradient = no_gradient,
    .examples = {"u8{1, 129, 255}; u8{3, 1, 8}; direction=\"LEFT\" -> u8{8, 2, 0}",
                 "u8{16, 129, 255}; u8{3, 1, 200}; direction=\"RIGHT\" -> u8{2, 64, 0}",
                 "u64{{1}, {18446744073709551615}}; u64{63, 64}; direction=\"LEFT\" -> u64{{9223372036854775808, 0}, "
                 "{9223372036854775808, 0}}",
                 "u16{65535, 2}; u16 1; direction=\"LEFT\" -> u16{65534, 4}"},
});

}  // namespace tessera
