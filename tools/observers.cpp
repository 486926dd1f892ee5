#include "tools/observers.h"

#include "tools/tensor_files.h"

namespace tessera {

void Dump::step(const StepEvent& e) {
  for (std::size_t i = 0; i < e.out.size(); ++i) {
    if (!e.out[i] || (e.out_names[i] != name_ && (i > 0 || e.node != name_))) continue;
    Tensor copy(e.out[i]->dtype(), e.out[i]->shape());
    if (copy.bytes() > 0) std::memcpy(copy.raw(), e.out[i]->raw(), copy.bytes());
    const std::lock_guard lock(mutex_);
    value_ = std::move(copy);
    return;
  }
}

void Dump::write() const {
  if (!value_)
    throw Error(Code::bad_input, concat("--dump-node: no step ran under the name '", name_, "'"))
        .hint(
            "it may be folded or fused; `tessera inspect --after plan` lists the steps, --pass no-NAME turns a pass "
            "off");
  write_tensor(path_, name_, value_);
}

}  // namespace tessera
