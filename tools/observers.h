#pragma once
// Observers of the runner beside runtime/exec/trace.h and statistics.h: several at once, the output of one node.
// Thread rule: `step` is called from several threads; the rest between runs.
#include <mutex>
#include <string>
#include <vector>

#include "runtime/exec/observer.h"

namespace tessera {

// Passes each step on to several.
class Observers final : public Observer {
 public:
  void add(Observer& o) { all_.push_back(&o); }
  Observer* get() { return all_.empty() ? nullptr : this; }  // null: nothing to watch, which costs nothing
  void step(const StepEvent& event) override {
    for (Observer* o : all_) o->step(event);
  }

 private:
  std::vector<Observer*> all_;
};

// Copies the output of one node (its first, when `name` is the node's) or the value of that name, and writes it.
class Dump final : public Observer {
 public:
  Dump(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}
  void step(const StepEvent& event) override;
  void write() const;  // what the last run gave; Error(bad_input) when no step had the name
  const std::string& path() const { return path_; }

 private:
  std::string name_, path_;
  std::mutex mutex_;
  Tensor value_;
};

}  // namespace tessera
