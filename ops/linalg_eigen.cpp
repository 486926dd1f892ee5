// The only file of the product verb that sees Eigen.
#include <Eigen/Core>

#include "ops/linalg_tile.h"

namespace tessera {
namespace {

template <class T, int Order>
using Stored = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>, 0, Eigen::OuterStride<>>;

template <class T, int OrderA, int OrderB>
void multiply(const Tile& t, const T* a, const T* b, T* c) {
  const Stored<T, OrderA> left(a, t.m, t.k, Eigen::OuterStride<>(t.a_stride));
  const Stored<T, OrderB> right(b, t.k, t.n, Eigen::OuterStride<>(t.b_stride));
  Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0, Eigen::OuterStride<>> result(
      c, t.m, t.n, Eigen::OuterStride<>(t.c_stride));
  if (!t.accumulate) result.setZero();
  result.noalias() += (static_cast<T>(t.alpha) * left) * right;
}

template <class T>
void by_order(const Tile& t, const T* a, const T* b, T* c) {
  constexpr int rows = Eigen::RowMajor, columns = Eigen::ColMajor;
  if (t.a_transposed)
    t.b_transposed ? multiply<T, columns, columns>(t, a, b, c) : multiply<T, columns, rows>(t, a, b, c);
  else
    t.b_transposed ? multiply<T, rows, columns>(t, a, b, c) : multiply<T, rows, rows>(t, a, b, c);
}

}  // namespace

void eigen_tile(const Tile& t, const float* a, const float* b, float* c) { by_order(t, a, b, c); }
void eigen_tile(const Tile& t, const double* a, const double* b, double* c) { by_order(t, a, b, c); }
void eigen_tile(const Tile& t, const std::uint32_t* a, const std::uint32_t* b, std::uint32_t* c) {
  by_order(t, a, b, c);
}
void eigen_tile(const Tile& t, const std::uint64_t* a, const std::uint64_t* b, std::uint64_t* c) {
  by_order(t, a, b, c);
}

}  // namespace tessera
