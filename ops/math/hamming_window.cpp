#include "ops/math/cosine_window.h"

namespace tessera {

extern constinit const OpDef op_hamming_window = define(cosine_window({
    .name = "HammingWindow",
    .doc = "y[n] = 25/46 - 21/46 cos(2 pi n / N).",
    .source = "ONNX HammingWindow-17; Harris, Proceedings of the IEEE 66 (1), 1978",
    .kernel = cosine_window_kernel<Cosines{25.0 / 46, 21.0 / 46, 0}>,
    .examples = {"i64 4 -> {0.08695652, 0.5434783, 1, 0.5434783}", "i32 3; periodic=0 -> {0.08695652, 1, 0.08695652}",
                 "i64 2; output_datatype=11 -> f64{0.08695652, 1}"},
}));

}  // namespace tessera
