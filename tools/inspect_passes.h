#pragma once
// The passes, for `inspect`: what each does, with its examples, and how often each rewrote something in a model.
#include "runtime/plan/specialise.h"
#include "tools/json_fwd.h"
#include "tools/table.h"

namespace tessera {

// For --passes.
std::string passes_text(Format format);
Json passes_json();

// For --after: rewrites by pass and stage, passes in the order they ran first; empty when none ran.
Table rewrites_table(const std::vector<StageRuns>& runs);
Json rewrites_json(const std::vector<StageRuns>& runs);

}  // namespace tessera
