#include "runtime/exec/frame.h"

#include <cstring>

namespace tessera {
namespace {

Tensor copy_of(const Tensor& t) {
  Tensor copy(t.dtype(), t.shape());
  if (t.bytes() > 0) std::memcpy(copy.raw(), t.raw(), t.bytes());
  return copy;
}

}  // namespace

std::vector<Tensor> Frame::Forward::run(const Subgraph& body, std::span<const Tensor> inputs) {
  check(to != nullptr, Code::internal, "a subgraph needs a session to run it");
  return to->run(body, inputs);
}

Frame::Frame(std::shared_ptr<const Plan> plan, std::shared_ptr<ArenaPool> arenas)
    : plan_(std::move(plan)),
      arenas_(std::move(arenas)),
      slots_(plan_->slots.size()),
      waiting_(std::make_unique<std::atomic<std::int32_t>[]>(plan_->steps.size())) {
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    const Slot& slot = plan_->slots[s];
    const Slot& base = slot.kind == Slot::Kind::view ? plan_->slots[static_cast<std::size_t>(slot.base)] : slot;
    const auto id = static_cast<std::int32_t>(s);
    if (slot.kind == Slot::Kind::unused) continue;
    if (slot.kind == Slot::Kind::late) {
      late_.push_back(id);
      continue;
    }
    slots_[s] = Tensor::borrow(slot.dtype, slot.shape, nullptr);
    if (base.kind == Slot::Kind::constant)
      slots_[s].point_to(
          plan_->graph.values[slot.kind == Slot::Kind::view ? static_cast<std::size_t>(slot.base) : s].constant.raw());
    if (base.kind == Slot::Kind::arena) in_arena_.push_back(id);
    if (slot.kind == Slot::Kind::output) outputs_.push_back(id);
    if (slot.kind == Slot::Kind::view && (base.kind == Slot::Kind::input || base.kind == Slot::Kind::output))
      moving_views_.push_back(id);
  }
  for (const Step& step : plan_->steps) {
    first_in_.push_back(in_.size());
    first_out_.push_back(out_.size());
    for (const auto s : step.in) in_.push_back(s < 0 ? nullptr : &slots_[static_cast<std::size_t>(s)]);
    for (const auto s : step.out) out_.push_back(s < 0 ? nullptr : &slots_[static_cast<std::size_t>(s)]);
  }
  first_in_.push_back(in_.size());
  first_out_.push_back(out_.size());
  contexts_.reserve(plan_->steps.size());
  for (std::size_t s = 0; s < plan_->steps.size(); ++s) {
    const Node& node = plan_->graph.at(plan_->steps[s].node);
    contexts_.emplace_back(*node.op, node.attributes, in(s), out(s), plan_->steps[s].state.get(), &subgraphs_);
  }
}

std::span<const Tensor* const> Frame::in(std::size_t step) const {
  return std::span(in_).subspan(first_in_[step], first_in_[step + 1] - first_in_[step]);
}

std::span<Tensor* const> Frame::out(std::size_t step) const {
  return std::span(out_).subspan(first_out_[step], first_out_[step + 1] - first_out_[step]);
}

void Frame::point_into(std::byte* arena) {
  if (arena == pointed_) return;
  for (const auto id : in_arena_) {
    const auto s = static_cast<std::size_t>(id);
    const Slot& slot = plan_->slots[s];
    const bool view = slot.kind == Slot::Kind::view;
    slots_[s].point_to(arena + (view ? plan_->slots[static_cast<std::size_t>(slot.base)].offset : slot.offset));
  }
  pointed_ = arena;
}

void Frame::begin(std::span<const Tensor> inputs, SubgraphRunner* subgraphs) {
  const auto& ports = plan_->graph.inputs;
  check(inputs.size() == ports.size(), Code::internal, "the plan takes ", ports.size(), " inputs, got ", inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensor& slot = slots_[index(ports[i].value)];
    check(inputs[i].dtype() == slot.dtype() && inputs[i].shape() == slot.shape(), Code::internal, "input ", i, " is ",
          inputs[i].dtype(), inputs[i].shape(), ", the plan is for ", slot.dtype(), slot.shape());
    slot.point_to(inputs[i].raw());
  }
  if (plan_->arena_bytes > 0) {
    arena_ = arenas_->take(plan_->arena_bytes, pointed_);
    point_into(arena_->data());
  }
  for (const auto id : outputs_) {
    Tensor& slot = slots_[static_cast<std::size_t>(id)];
    if (slot.bytes() >= ArenaPool::large_output) {
      auto block = arenas_->output(slot.bytes());
      void* data = block.get();
      slot.point_to(data, std::move(block));
    } else {
      Tensor fresh(slot.dtype(), slot.shape());
      slot.point_to(fresh.raw(), fresh.owner());
    }
  }
  for (const auto id : moving_views_) {
    const Tensor& base = slots_[static_cast<std::size_t>(plan_->slots[static_cast<std::size_t>(id)].base)];
    slots_[static_cast<std::size_t>(id)].point_to(base.raw(), base.owner());
  }
  subgraphs_.to = subgraphs;
}

std::vector<Tensor> Frame::finish() {
  std::vector<Tensor> outputs;
  outputs.reserve(plan_->outputs.size());
  for (const auto& o : plan_->outputs) {
    const Tensor& t = slots_[static_cast<std::size_t>(o.slot)];
    outputs.push_back(o.copied ? copy_of(t) : t);
  }
  return outputs;
}

void Frame::end() {
  for (const auto id : outputs_) slots_[static_cast<std::size_t>(id)].point_to(nullptr);
  for (const auto id : moving_views_) slots_[static_cast<std::size_t>(id)].point_to(nullptr);
  for (const auto id : late_) slots_[static_cast<std::size_t>(id)] = {};
  if (arena_) arenas_->give_back(std::move(arena_));
}

std::shared_ptr<Frame> make_frame(std::shared_ptr<const Plan> plan, std::shared_ptr<ArenaPool> arenas) {
  return std::make_shared<Frame>(std::move(plan), arenas ? std::move(arenas) : std::make_shared<ArenaPool>());
}

}  // namespace tessera
