#include "ops/global_pool.h"

namespace tessera {
namespace {

void expand(RewriteContext& c) { reduce_positions(c, "ReduceMean"); }

}  // namespace

extern constinit const OpDef op_global_average_pool = define({
    .name = "GlobalAveragePool",
    .since = 22,
    .doc = "The mean of each channel over all its positions; imported as ReduceMean.",
    .source = "ONNX GlobalAveragePool-22; Lin et al. 2014, arXiv:1312.4400",
    .inputs = {{"X", "T", "[N C in...]"}},
    .outputs = {{"Y", "T", "[N C 1...]"}},
    .types = {{"T", dtypes::floats}},
    .expand = expand,
});

}  // namespace tessera
