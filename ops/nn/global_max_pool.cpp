#include "ops/global_pool.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) { reduce_positions(c, "ReduceMax"); }

}  // namespace

extern constinit const OpDef op_global_max_pool = define({
    .name = "GlobalMaxPool",
    .since = 22,
    .doc = "The largest element of each channel over all its positions; imported as ReduceMax.",
    .source = "ONNX GlobalMaxPool-22",
    .inputs = {{"X", "T", "[N C in...]"}},
    .outputs = {{"Y", "T", "[N C 1...]"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
