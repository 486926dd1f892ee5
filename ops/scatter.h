#pragma once
// Writing elements at places that are data: what the Scatter operators do where an element is already there.
#include <string_view>

#include "runtime/tensor/dtype.h"

namespace tessera {

inline constexpr std::string_view scatter_reductions = "none|add|mul|max|min";  // choices of reduction

// a + b and a b, integers wrapping.
template <class T>
T wrapping_sum(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  else
    return static_cast<T>(static_cast<Compute<T>>(a) + static_cast<Compute<T>>(b));
}
template <class T>
T wrapping_product(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  else
    return static_cast<T>(static_cast<Compute<T>>(a) * static_cast<Compute<T>>(b));
}

// Calls f(Type<T>{}, combine), where combine(old, update) is the new element. For "none" T is an unsigned integer of
// the element's width. Max and min keep NaN.
template <class F>
void with_reduction(std::string_view reduction, DType dtype, F&& f) {
  if (reduction == "none")
    return with_width(dtype, [&]<class U>(Type<U> t) { f(t, [](U, U update) { return update; }); });
  with_type(Numeric{}, dtype, [&]<class T>(Type<T> t) {
    using C = Compute<T>;
    if (reduction == "add")
      f(t, [](T old, T update) { return wrapping_sum(old, update); });
    else if (reduction == "mul")
      f(t, [](T old, T update) { return wrapping_product(old, update); });
    else if (reduction == "max")
      f(t,
        [](T old, T update) { return static_cast<C>(old) >= static_cast<C>(update) || !(old == old) ? old : update; });
    else
      f(t,
        [](T old, T update) { return static_cast<C>(old) <= static_cast<C>(update) || !(old == old) ? old : update; });
  });
}

}  // namespace tessera
