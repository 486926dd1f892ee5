#pragma once
// What one head of an attention site attends to in a run of the model.
#include "runtime/op/registry.h"
#include "runtime/session/session.h"
#include "tools/picture/mask.h"

namespace tessera {

// `bound` is a graph after stage `policy`; it is run as far as the site. Batch entry 0 is shown. Errors: bad_input for
// a site or a head that is not there, with the nearest names.
TileMask mask_of_head(Graph bound, const Registry& registry, const NamedTensors& inputs, const std::string& site,
                      std::int64_t head, const SessionOptions& options);

}  // namespace tessera
