// The only file of the product verb that sees oneDNN.
#include <omp.h>
#include <array>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include "ops/linalg_tile.h"
#include "runtime/base/error.h"

namespace tessera {
namespace {

// oneDNN takes its number of threads from OpenMP's setting of the calling thread; the threads are ours.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// A bf16 product of one shape, ready to run. Primitives are made once per shape and thread: making one costs as much as
// a small product, and oneDNN's working memory belongs to the thread that made it.
class Bf16Product {
 public:
  using Key = std::array<std::int64_t, 8>;
  using Type = dnnl::memory::data_type;
  static Key key(const Tile& t, Type result) {
    return {t.m,
            t.n,
            t.k,
            t.a_stride,
            t.b_stride,
            t.c_stride,
            t.a_transposed + 2 * t.b_transposed + 4 * t.accumulate,
            static_cast<int>(result)};
  }

  Bf16Product(const Tile& t, Type result)
      : a_(matrix(t.m, t.k, t.a_stride, t.a_transposed, Type::bf16)),
        b_(matrix(t.k, t.n, t.b_stride, t.b_transposed, Type::bf16)),
        c_(matrix(t.m, t.n, t.c_stride, false, result)),
        matmul_({dnnl::matmul::desc(a_, b_, c_), adding(t.accumulate), engine()}) {}

  void run(const bf16* a, const bf16* b, void* c) const {
    dnnl::stream stream(engine());
    matmul_.execute(stream, {{DNNL_ARG_SRC, {a_, engine(), const_cast<bf16*>(a)}},
                             {DNNL_ARG_WEIGHTS, {b_, engine(), const_cast<bf16*>(b)}},
                             {DNNL_ARG_DST, {c_, engine(), c}}});
    stream.wait();
  }

 private:
  // Of a product that is added to what C holds, or replaces it.
  static dnnl::primitive_attr adding(bool accumulate) {
    dnnl::post_ops after;
    if (accumulate) after.append_sum(1.0f);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    return attributes;
  }
  static const dnnl::engine& engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
  }
  static dnnl::memory::desc matrix(std::int64_t rows, std::int64_t columns, std::int64_t stride, bool transposed,
                                   Type type) {
    return {{rows, columns}, type, transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1}};
  }
  dnnl::memory::desc a_, b_, c_;
  dnnl::matmul matmul_;
};

const Bf16Product& bf16_product(const Tile& t, Bf16Product::Type result) {
  constexpr std::size_t kept = 256;
  thread_local std::map<Bf16Product::Key, Bf16Product> made;
  const auto key = Bf16Product::key(t, result);
  if (const auto at = made.find(key); at != made.end()) return at->second;
  if (made.size() >= kept) made.clear();
  return made.try_emplace(key, t, result).first->second;
}

void bf16_tile(const Tile& t, const bf16* a, const bf16* b, void* c, Bf16Product::Type result) {
  const OneThread one_thread;
  try {
    bf16_product(t, result).run(a, b, c);
  } catch (const dnnl::error& e) {
    throw Error(e.status == dnnl_out_of_memory ? Code::run_time : Code::internal,
                concat("a bf16 matrix product failed: ", e.message));
  }
}

}  // namespace

void onednn_tile(const Tile& t, const float* a, const float* b, float* c) {
  const OneThread one_thread;
  const auto status = dnnl_sgemm(t.a_transposed ? 'T' : 'N', t.b_transposed ? 'T' : 'N', t.m, t.n, t.k, t.alpha, a,
                                 t.a_stride, b, t.b_stride, t.accumulate ? 1.0f : 0.0f, c, t.c_stride);
  check(status != dnnl_out_of_memory, Code::run_time, "out of memory in a matrix product");
  check(status == dnnl_success, Code::internal, "dnnl_sgemm refused a product: status ", static_cast<int>(status));
}

bool multiplies_bf16() {
  static const bool able = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
  return able;
}

void onednn_tile(const Tile& t, const bf16* a, const bf16* b, bf16* c) {
  bf16_tile(t, a, b, c, Bf16Product::Type::bf16);
}
void onednn_tile(const Tile& t, const bf16* a, const bf16* b, float* c) {
  bf16_tile(t, a, b, c, Bf16Product::Type::f32);
}

}  // namespace tessera
