#pragma once
// What one head of an attention site attends to in a run of the model.
#include "runtime/op/registry.h"
#include "runtime/session/session.h"
#include "tools/picture/mask.h"

namespace tessera {

// One head, for one entry of the batch.
struct HeadOfSite {
  std::string site;
  std::int64_t head = 0, batch = 0;
};

// `bound` is a graph after stage `policy`; it is run as far as the site. Errors: bad_input for a site, a head or an
// entry of the batch that is not there, with the nearest names.
TileMask mask_of_head(Graph bound, const Registry& registry, const NamedTensors& inputs, const HeadOfSite& shown,
                      const SessionOptions& options);

}  // namespace tessera
