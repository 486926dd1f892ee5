#include "runtime/exec/trace.h"

#include <algorithm>
#include <iomanip>

#include "runtime/base/aside_file.h"

namespace tessera {
namespace {

std::string shapes_of(std::span<const Tensor* const> tensors) {
  std::string text;
  for (const Tensor* t : tensors) text += concat(text.empty() ? "" : ", ", t ? concat(t->dtype(), t->shape()) : "-");
  return text;
}

// As a JSON string. Names come from files: anything may stand in them.
std::string json_string(std::string_view text) {
  std::ostringstream out;
  out << '"' << std::hex << std::setfill('0');
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out << '\\' << c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out << "\\u" << std::setw(4) << static_cast<int>(c);
    else
      out << c;
  }
  out << '"';
  return out.str();
}

}  // namespace

void Trace::step(const StepEvent& event) {
  Event e{std::string(event.node), std::string(event.op), shapes_of(event.in), shapes_of(event.out), event.worker,
          event.begin_ns,          event.end_ns,          event.flops};
  const std::lock_guard lock(mutex_);
  e.begin_ns += run_begin_ns_;
  e.end_ns += run_begin_ns_;
  last_end_ns_ = std::max(last_end_ns_, e.end_ns);
  events_.push_back(std::move(e));
}

void Trace::next_run() { run_begin_ns_ = last_end_ns_; }

std::string Trace::json() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n";
  int workers = 0;
  for (const auto& e : events_) workers = std::max(workers, e.worker + 1);
  for (int w = 0; w < workers; ++w)
    out << R"({"ph": "M", "name": "thread_name", "pid": 1, "tid": )" << w << R"(, "args": {"name": "worker )" << w
        << "\"}},\n";
  out << R"({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "tessera"}})";
  out << std::fixed << std::setprecision(3);  // microseconds
  for (const auto& e : events_) {
    out << ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": " << e.worker << ", \"name\": " << json_string(e.node)
        << ", \"cat\": " << json_string(e.op) << ", \"ts\": " << static_cast<double>(e.begin_ns) / 1e3
        << ", \"dur\": " << static_cast<double>(e.end_ns - e.begin_ns) / 1e3
        << ", \"args\": {\"op\": " << json_string(e.op) << ", \"in\": " << json_string(e.in)
        << ", \"out\": " << json_string(e.out) << ", \"flops\": " << e.flops << "}}";
  }
  out << "\n]}\n";
  return out.str();
}

void Trace::write(const std::string& path) const {
  AsideFile file(path);
  file.write(json());
  file.commit();
}

}  // namespace tessera
