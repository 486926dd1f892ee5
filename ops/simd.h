#pragma once
// Vectors of the widest register of the target, through compiler vector extensions: one source for AVX-512, AVX2 and
// SSE. Intrinsics and target macros stand in this file only. Everything here is a pure function of its arguments.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "runtime/tensor/half.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tessera::simd {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kRegisters = 32;
// The zero-masked forms of intrinsics with every lane set: the plain forms warn in GCC 12 (PR 105593).
inline constexpr __mmask16 kAll16 = 0xffff;
inline constexpr __mmask8 kAll8 = 0xff;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kRegisters = 16;
#endif

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VectorOf<T>::type;

// The signed integer as wide as T: lanes of a comparison, bit patterns of floats.
template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // x - 0 keeps the sign of a zero; x + 0 would not
}

// The first n < kLanes elements; the other lanes are 0 and their memory is not touched.
template <class T>
inline Vec<T> load_first(const T* p, int n) {
  Vec<T> v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class T>
inline void store_first(T* p, Vec<T> v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

// a * b + c, contracted to one instruction where the target has it.
template <class T>
[[gnu::always_inline]] inline Vec<T> multiply_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  return a * b + c;
}

// sum + a * b, in the register of the sum. With 16 of them and FMA compilers need to be given the instruction: choosing
// among its forms they copy sums from one to another, and keep some in memory.
template <class T>
[[gnu::always_inline]] inline Vec<T> add_product(Vec<T> a, Vec<T> b, Vec<T> sum) {
#if defined(__FMA__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  if constexpr (sizeof(T) == 8) asm("vfmadd231pd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  return sum;
#else
  return multiply_add<T>(a, b, sum);
#endif
}

// Lane-wise maximum and minimum; where a or b is NaN the result is b. (Compilers see the instruction in a > b ? a : b
// only while neither is a constant.)
template <class T>
[[gnu::always_inline]] inline Vec<T> maximum(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return (Vec<T>)_mm512_maskz_max_ps(kAll16, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return (Vec<T>)_mm256_max_ps((__m256)a, (__m256)b);
#endif
  return a > b ? a : b;
}

template <class T>
[[gnu::always_inline]] inline Vec<T> minimum(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) return (Vec<T>)_mm512_maskz_min_ps(kAll16, (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<T, float>) return (Vec<T>)_mm256_min_ps((__m256)a, (__m256)b);
#endif
  return a < b ? a : b;
}

template <class T>
inline T reduce_add(Vec<T> v) {
  T sum = 0;
  for (int i = 0; i < kLanes<T>; ++i) sum += v[i];
  return sum;
}

namespace detail {

// 2^r on [-1/2, 1/2]. f32: interpolation of (2^r - 1)/r in six Chebyshev nodes, relative error 5e-9 before rounding.
// f64: Taylor series of exp(r ln 2), remainder (ln 2 / 2)^14 / 14! = 4e-18.
template <class T>
[[gnu::always_inline]] inline Vec<T> exp2_fraction(Vec<T> r) {
  if constexpr (std::is_same_v<T, float>) {
    Vec<T> p = multiply_add<T>(broadcast(1.545316294e-4f), r, broadcast(1.339086336e-3f));
    p = multiply_add<T>(p, r, broadcast(9.618082557e-3f));
    p = multiply_add<T>(p, r, broadcast(5.550357114e-2f));
    p = multiply_add<T>(p, r, broadcast(2.402265076e-1f));
    p = multiply_add<T>(p, r, broadcast(6.931471880e-1f));
    return multiply_add<T>(p, r, broadcast(1.0f));
  } else {
    const Vec<T> x = r * 0.69314718055994530942;
    Vec<T> p = broadcast(1.0);
    for (int k = 13; k >= 1; --k) p = multiply_add<T>(p, x * (1.0 / k), broadcast(1.0));
    return p;
  }
}

}  // namespace detail

// 2^x within 1.2 ulp for x in [-126, 127.5) (f64: [-1022, 1023.5)); beyond, +inf (AVX-512: from 128 and 1024 on).
// Below, a subnormal or 0. 2^-inf = 0, NaN stays NaN.
template <class T>
[[gnu::always_inline]] inline Vec<T> exp2(Vec<T> x) {
#if defined(__AVX512DQ__)
  // reduce(x) = x - round(x), 0 for infinities; scalef multiplies by a power of two with correct under- and overflow.
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  if constexpr (std::is_same_v<T, float>) {
    const auto p = detail::exp2_fraction<T>((Vec<T>)_mm512_maskz_reduce_ps(kAll16, (__m512)x, nearest));
    return (Vec<T>)_mm512_maskz_scalef_ps(kAll16, (__m512)p, _mm512_maskz_roundscale_ps(kAll16, (__m512)x, nearest));
  } else {
    const auto p = detail::exp2_fraction<T>((Vec<T>)_mm512_maskz_reduce_pd(kAll8, (__m512d)x, nearest));
    return (Vec<T>)_mm512_maskz_scalef_pd(kAll8, (__m512d)p, _mm512_maskz_roundscale_pd(kAll8, (__m512d)x, nearest));
  }
#else
  using I = Lane<T>;
  constexpr int mantissa = std::numeric_limits<T>::digits - 1;  // 23, 52
  constexpr I bias = std::numeric_limits<T>::max_exponent - 1;  // 127, 1023
  // Adding it rounds to an integer n; the low bits of the sum are then n + bias, the exponent of 2^n: all ones, +inf,
  // for the greatest n; none, 0, for the least.
  constexpr T magic = T(3) * T(I(1) << (mantissa - 1)) + T(bias);
  const Vec<T> y = minimum<T>(broadcast(T(bias + 1)), maximum<T>(broadcast(T(-bias)), x));  // NaN passes both
  const Vec<T> shifted = y + magic;
  const Vec<T> p = detail::exp2_fraction<T>(y - (shifted - magic));
  return p * (Vec<T>)((Vec<I>)shifted << mantissa);
#endif
}

// tanh, relative error about 2e-7 in f32. Near zero an odd polynomial (Cephes tanhf), else 1 - 2 / (e^2|x| + 1).
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    const Vec<T> size = x < 0.0f ? -x : x, square = x * x;
    Vec<T> p = multiply_add<T>(broadcast(-5.70498872745e-3f), square, broadcast(2.06390887954e-2f));
    p = multiply_add<T>(p, square, broadcast(-5.37397155531e-2f));
    p = multiply_add<T>(p, square, broadcast(1.33314422036e-1f));
    p = multiply_add<T>(p, square, broadcast(-3.33332819422e-1f));
    const Vec<T> small = multiply_add<T>(p * square, x, x);
    const Vec<T> large = 1.0f - 2.0f / (exp2<T>(size * 2.8853900817779268f) + 1.0f);
    return size < 0.625f ? small : (x < 0.0f ? -large : large);
  } else {
    for (int i = 0; i < kLanes<T>; ++i) x[i] = std::tanh(x[i]);
    return x;
  }
}

namespace detail {

// One stage of the recursive transpose: exchanges the off-diagonal half x half blocks of rows a and b.
template <int half, bool upper, class T, int... i>
[[gnu::always_inline]] inline Vec<T> exchange(Vec<T> a, Vec<T> b, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  if constexpr (upper) {
    return __builtin_shufflevector(a, b, ((i & half) ? n + (i ^ half) : i)...);
  } else {
    return __builtin_shufflevector(a, b, ((i & half) ? n + i : (i ^ half))...);
  }
}

template <int half, class T>
[[gnu::always_inline]] inline void transpose_from(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  using Indices = std::make_integer_sequence<int, n>;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    if (i & half) continue;
    const Vec<T> a = rows[i], b = rows[i | half];
    rows[i] = exchange<half, true, T>(a, b, Indices{});
    rows[i | half] = exchange<half, false, T>(a, b, Indices{});
  }
  if constexpr (half * 2 < n) transpose_from<half * 2, T>(rows);
}

template <int half, class T, int... i>
[[gnu::always_inline]] inline Vec<T> largest_of_halves(Vec<T> v, std::integer_sequence<int, i...> lanes) {
  v = maximum<T>(v, __builtin_shufflevector(v, v, (i ^ half)...));
  if constexpr (half > 1) return largest_of_halves<half / 2, T>(v, lanes);
  return v;
}

}  // namespace detail

// The greatest element; no element is NaN.
template <class T>
[[gnu::always_inline]] inline T reduce_maximum(Vec<T> v) {
  return detail::largest_of_halves<kLanes<T> / 2, T>(v, std::make_integer_sequence<int, kLanes<T>>{})[0];
}

// Transposes a square of kLanes x kLanes elements held in registers.
template <class T>
[[gnu::always_inline]] inline void transpose(Vec<T> (&rows)[kLanes<T>]) {
  detail::transpose_from<1, T>(rows);
}

// kLanes<C> elements of storage type S, converted to C.
template <class C, class S>
[[gnu::always_inline]] inline Vec<C> load_as(const S* p) {
  if constexpr (std::is_same_v<C, S>) {
    return load(p);
  } else if constexpr (std::is_same_v<S, bf16>) {
    typedef std::uint16_t Half __attribute__((vector_size(kVectorBytes / 2)));
    Half bits;
    std::memcpy(&bits, p, sizeof bits);
    return (Vec<C>)(__builtin_convertvector(bits, Vec<std::uint32_t>) << 16);
  } else if constexpr (std::is_same_v<S, std::uint8_t>) {
    typedef std::uint8_t Bytes __attribute__((vector_size(kLanes<C>)));
    Bytes bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, Vec<C>);
  } else {
    Vec<C> v;
    for (int i = 0; i < kLanes<C>; ++i) v[i] = static_cast<C>(static_cast<Compute<S>>(p[i]));
    return v;
  }
}

// The same on the way out, rounded to nearest even.
template <class C, class S>
[[gnu::always_inline]] inline void store_as(S* p, Vec<C> v) {
  if constexpr (std::is_same_v<C, S>) {
    store<C>(p, v);
  } else {
    for (int i = 0; i < kLanes<C>; ++i) p[i] = static_cast<S>(v[i]);
  }
}

// Products of pairs. Two bf16 side by side in memory are one element of a vector, the first in the lower half.
using Bf16Pair = std::uint32_t;

[[gnu::always_inline]] inline Vec<Bf16Pair> load_pairs(const bf16* p) {
  Vec<Bf16Pair> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

[[gnu::always_inline]] inline void store_pairs(bf16* p, Vec<Bf16Pair> v) {
  std::memcpy(static_cast<void*>(p), &v, sizeof v);
}

// Half `half` of what a and b make, taken in turn `size` elements of each.
template <class T, int size, int half>
[[gnu::always_inline]] inline Vec<T> zip(Vec<T> a, Vec<T> b) {
  constexpr int n = kLanes<T>, first = half * n;
  static_assert(n % size == 0);
  const auto shuffle = [&]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(
        a, b, ((first + i) / size % 2 * n + (first + i) / size / 2 * size + (first + i) % size)...);
  };
  return shuffle(std::make_integer_sequence<int, n>{});
}

// kLanes<bf16> numbers of a and of b, side by side.
[[gnu::always_inline]] inline void store_interleaved(const bf16* a, const bf16* b, bf16* pairs) {
  using Half = Vec<std::uint16_t>;
  const Half x = (Half)load_pairs(a), y = (Half)load_pairs(b);
  store_pairs(pairs, (Vec<Bf16Pair>)zip<std::uint16_t, 1, 0>(x, y));
  store_pairs(pairs + kLanes<bf16>, (Vec<Bf16Pair>)zip<std::uint16_t, 1, 1>(x, y));
}

// (a[i], b[i]) rounded to nearest, ties away from zero. NaN stays NaN where its lower half is 0, as that of a product
// of bf16 is.
[[gnu::always_inline]] inline Vec<Bf16Pair> rounded_pairs(Vec<float> a, Vec<float> b) {
  return (((Vec<Bf16Pair>)a + 0x8000u) >> 16) | (((Vec<Bf16Pair>)b + 0x8000u) & 0xffff0000u);
}

// Whether multiply_pairs is one instruction of this CPU in this build: else it is correct, but slow.
inline bool multiplies_pairs() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

// out(r, v, start(r, v) + sum over steps of x(r, step) . panel[step][v]), x . y = x.first y.first + x.second y.second
// in f32. x points at a pair that goes into all lanes; rows of the panel are `stride` bf16 apart. With AVX-512 it may
// be called only where multiplies_pairs(): the instruction is switched on for this function alone.
template <int R, int V, class Start, class X, class Out>
#if defined(__AVX512F__)
[[gnu::target("avx512bf16")]]
#endif
void multiply_pairs(Start start, X x, const bf16* panel, std::ptrdiff_t stride, std::int64_t steps, Out out) {
  Vec<float> sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[r][v] = start(r, v);
  }
  for (std::int64_t step = 0; step < steps; ++step, panel += stride) {
    Vec<Bf16Pair> lane[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) lane[v] = load_pairs(panel + v * kLanes<bf16>);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Bf16Pair pair;
      std::memcpy(&pair, x(r, step), sizeof pair);
      const Vec<Bf16Pair> all = broadcast(pair);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
#if defined(__AVX512F__)
        sum[r][v] = (Vec<float>)_mm512_dpbf16_ps((__m512)sum[r][v], (__m512bh)all, (__m512bh)lane[v]);
#else
        sum[r][v] = multiply_add<float>((Vec<float>)(all << 16), (Vec<float>)(lane[v] << 16), sum[r][v]);
        sum[r][v] =
            multiply_add<float>((Vec<float>)(all & 0xffff0000u), (Vec<float>)(lane[v] & 0xffff0000u), sum[r][v]);
#endif
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) out(r, v, sum[r][v]);
  }
}

// Conversions that the CPU has as instructions; for bf16, the two that GCC 12 makes four of.
#if defined(__AVX512F__)
template <>
[[gnu::always_inline]] inline Vec<float> load_as<float, bf16>(const bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return (Vec<float>)((Vec<std::uint32_t>)_mm512_maskz_cvtepu16_epi32(kAll16, bits) << 16);
}
template <>
[[gnu::always_inline]] inline Vec<float> load_as<float, f16>(const f16* p) {
  return (Vec<float>)_mm512_maskz_cvtph_ps(kAll16, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
template <>
[[gnu::always_inline]] inline void store_as<float, f16>(f16* p, Vec<float> v) {
  const __m256i half = _mm512_maskz_cvtps_ph(kAll16, (__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
}
#elif defined(__AVX2__) && defined(__F16C__)
template <>
[[gnu::always_inline]] inline Vec<float> load_as<float, bf16>(const bf16* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (Vec<float>)((Vec<std::uint32_t>)_mm256_cvtepu16_epi32(bits) << 16);
}
template <>
[[gnu::always_inline]] inline Vec<float> load_as<float, f16>(const f16* p) {
  return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
template <>
[[gnu::always_inline]] inline void store_as<float, f16>(f16* p, Vec<float> v) {
  const __m128i half = _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
}
#endif

}  // namespace tessera::simd
