#include "ops/math/cosine_window.h"

namespace tessera {

extern constinit const OpDef op_blackman_window = define(cosine_window({
    .name = "BlackmanWindow",
    .doc = "y[n] = 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N).",
    .source = "ONNX BlackmanWindow-17; Harris, Proceedings of the IEEE 66 (1), 1978",
    .kernel = cosine_window_kernel<Cosines{0.42, 0.5, 0.08}>,
    .examples = {"i64 4 -> {0, 0.34, 1, 0.34}", "i32 3; periodic=0 -> {0, 1, 0}",
                 "i64 3; output_datatype=11 -> f64{0, 0.63, 0.63}"},
}));

}  // namespace tessera
