#pragma once
// The attention sites of a model, for `inspect --sites`.
#include "runtime/pass/pass.h"
#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

// `g` is the graph after stage sites. Softmax nodes that became no site are listed below, with what prevented it.
std::string sites_text(const Graph& g, Format format);
// Adds "sites" and "softmax_without_site" to a report.
void add_sites(Json& report, const Graph& g);

}  // namespace tessera
