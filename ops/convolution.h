#pragma once
// The three sums of a convolution over [batch, channels, spatial...], of any number of spatial axes: its result, the
// gradient of its input (which is also what ConvTranspose computes) and the gradient of its weights.
//
// Each is a matrix product with the unfolded input: a matrix of (channel, tap) x (output position), of which only a
// piece of some MiB exists at a time. Types: f32, f64; f16 and bf16 are widened to f32 and rounded once. Thread rule:
// call from any thread; the work is split by sizes only, sums have one order.
#include "ops/window.h"

namespace tessera {

struct Convolution {
  std::int64_t batch = 0, group = 1;
  std::int64_t channels = 0, maps = 0;  // of the input and of the result, over all groups
  Window window{};

  std::int64_t positions() const { return count(outs(window)); }
  std::int64_t inputs() const { return count(ins(window)); }  // per channel
  std::int64_t taps() const { return count(kernels(window)); }
  // Rows of the unfolded input of one group.
  std::int64_t rows() const { return channels / group * taps(); }
  double flops() const;  // of each of the three sums
};

// The dims behind the first two: of positions, or of taps.
Shape spatial(const Shape& s);

// Attribute "kernel_shape" must be what the weights have, if it is there.
void check_kernel_shape(const AttributeReader& attr, const Shape& weights);

// Checks weights [maps, channels / group, kernel...] against an input of `channels`, and returns the sizes, without
// window.
Convolution grouped(const Shape& weights, std::int64_t batch, std::int64_t channels, std::int64_t group);

// y [batch, maps, out...] = w * x + bias; x [batch, channels, in...], bias [maps] or null.
void convolve(DType dtype, const Convolution&, const void* x, const void* w, const void* bias, void* y);

// x [batch, channels, in...] = the adjoint of w * applied to y, + bias [channels] or null.
void convolve_transposed(DType dtype, const Convolution&, const void* y, const void* w, const void* bias, void* x);

// dw [maps, channels / group, kernel...] = sum over batch and positions of dy x.
void convolve_weights(DType dtype, const Convolution&, const void* x, const void* dy, void* dw);

// For gradient rules: dB = the sum of dY [batch, maps, out...] over batch and positions.
ValueId bias_gradient(GradContext& g);

}  // namespace tessera
