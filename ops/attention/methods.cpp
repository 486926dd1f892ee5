// All attention methods of the process: a list that only grows, read without locks.
#include <atomic>

#include "ops/attention/method.h"
#include "ops/attention/method_operator.h"

namespace tessera {
namespace {

struct Entry {
  std::unique_ptr<const AttentionMethod> method;
  std::unique_ptr<const MethodTables> tables;  // null: the operators are tables of their own (dense)
  const Entry* next = nullptr;
};

AttentionMethod dense_record() {
  AttentionMethod dense;
  dense.name = "dense";
  dense.doc = "Every query attends to every key.";
  dense.source = "Vaswani et al. 2017, arXiv:1706.03762; Dao 2023, arXiv:2307.08691";
  return dense;
}

std::atomic<const Entry*>& newest() {
  static const Entry dense{std::make_unique<const AttentionMethod>(dense_record()), nullptr, nullptr};
  static std::atomic<const Entry*> head{&dense};
  return head;
}

const Entry* find(const Entry* entry, std::string_view name) {
  while (entry && entry->method->name != name) entry = entry->next;
  return entry;
}

}  // namespace

MethodOperators make_operator(std::unique_ptr<const AttentionMethod> method) {
  auto entry = std::make_unique<Entry>();
  entry->tables = std::make_unique<const MethodTables>(*method);
  entry->method = std::move(method);
  auto& head = newest();
  entry->next = head.load(std::memory_order_acquire);
  do
    check(!find(entry->next, entry->method->name), Code::plugin, "an attention method '", entry->method->name,
          "' is there already");
  while (!head.compare_exchange_weak(entry->next, entry.get(), std::memory_order_acq_rel));
  const Entry* kept = entry.release();  // for the life of the process: graphs and plans point to it
  return {&kept->tables->forward, &kept->tables->backward};
}

const AttentionMethod* find_method(std::string_view name) {
  const Entry* entry = find(newest().load(std::memory_order_acquire), name);
  return entry ? entry->method.get() : nullptr;
}

std::vector<const AttentionMethod*> all_methods() {
  std::vector<const AttentionMethod*> methods;
  for (const Entry* e = newest().load(std::memory_order_acquire); e; e = e->next)
    methods.insert(methods.begin(), e->method.get());
  return methods;
}

const AttentionMethod* method_of(const OpDef& op) {
  constexpr std::string_view gradient = "Grad";
  if (op.domain != "tessera.attention") return nullptr;
  if (const auto* method = find_method(op.name)) return method;
  if (!op.name.ends_with(gradient)) return nullptr;
  return find_method(op.name.substr(0, op.name.size() - gradient.size()));
}

}  // namespace tessera
