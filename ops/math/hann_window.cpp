#include "ops/math/cosine_window.h"

namespace tessera {

extern constinit const OpDef op_hann_window = define(cosine_window({
    .name = "HannWindow",
    .doc = "y[n] = sin(pi n / N)^2 = 0.5 - 0.5 cos(2 pi n / N).",
    .source = "ONNX HannWindow-17; Harris, Proceedings of the IEEE 66 (1), 1978",
    .kernel = cosine_window_kernel<Cosines{0.5, 0.5, 0}>,
    .examples = {"i64 4 -> {0, 0.5, 1, 0.5}", "i32 5; periodic=0 -> {0, 0.5, 1, 0.5, 0}",
                 "i64 3; output_datatype=11 -> f64{0, 0.75, 0.75}", "i64 1; periodic=0 -> {1}", "i64 0 -> f32[0]{}"},
}));

}  // namespace tessera
