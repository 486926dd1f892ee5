// The only file of the product verb that sees oneDNN.
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

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

}  // namespace

void onednn_tile(const Tile& t, const float* a, const float* b, float* c) {
  const OneThread one_thread;
  const auto status = dnnl_sgemm(t.a_transposed ? 'T' : 'N', t.b_transposed ? 'T' : 'N', t.m, t.n, t.k, t.alpha, a,
                                 t.a_stride, b, t.b_stride, t.accumulate ? 1.0f : 0.0f, c, t.c_stride);
  check(status != dnnl_out_of_memory, Code::run_time, "out of memory in a matrix product");
  check(status == dnnl_success, Code::internal, "dnnl_sgemm refused a product: status ", static_cast<int>(status));
}

}  // namespace tessera
