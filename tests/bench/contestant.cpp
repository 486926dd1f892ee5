// tessera_bench_contestant MODEL THREADS [plain|POLICY]: our side of peers.py. Opens the model and does what standard
// input says, a command a line; answers each with a line of JSON. onnxruntime.mjs is the other side and speaks the
// same:
//   (at once)  {"entered", "open_s", "opened"}   moments are seconds of the monotonic clock
//   run N      {"seconds": [...], "ended", "peak_rss"}  N runs; peak_rss in bytes
//   check      {"flops", "outputs": [[...], ...]}  FLOPs by the operators' rules; samples of each output
// Inputs are the same on both sides: xorshift32 from 1, uniform on [-1, 1), in the order of the model's inputs.
// "plain": the graph as it stands, every pass off that can be; in such a graph nothing is constant that could be
// folded. POLICY: a policy file; the outputs then are not the other side's.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>

#include "runtime/pass/pass.h"
#include "runtime/session/session.h"

namespace tessera {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class FlopSum final : public Observer {
 public:
  void step(const StepEvent& event) override {
    const std::lock_guard lock(mutex_);
    sum += event.flops;
  }
  double sum = 0;

 private:
  std::mutex mutex_;
};

NamedTensors random_inputs(const Session& session) {
  std::uint32_t state = 1;
  NamedTensors inputs;
  for (const auto& port : session.inputs()) {
    Tensor t(DType::f32, concrete(*port.shape).value());
    for (float& x : t.write<float>()) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      x = static_cast<float>(state / 4294967296.0 * 2 - 1);
    }
    inputs.emplace(port.name, std::move(t));
  }
  return inputs;
}

long peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (long kib = 0; word == "VmHWM:" && status >> kib) return kib * 1024;
  return 0;
}

void run(Session& session, const NamedTensors& inputs, int times) {
  std::string seconds;
  for (int i = 0; i < times; ++i) {
    const double begin = now();
    const NamedTensors outputs = session.run(inputs);
    char text[32];
    std::snprintf(text, sizeof text, "%s%.9g", i == 0 ? "" : ", ", now() - begin);
    seconds += text;
  }
  std::printf("{\"seconds\": [%s], \"ended\": %.6f, \"peak_rss\": %ld}\n", seconds.c_str(), now(), peak_rss_bytes());
}

void check_outputs(Session& session, const NamedTensors& inputs) {
  FlopSum flops;
  RunOptions options;
  options.observer = &flops;
  const NamedTensors outputs = session.run(inputs, options);
  std::string text;
  for (const auto& port : session.outputs()) {
    const auto values = outputs.at(port.name).read<float>();
    text += text.empty() ? "[" : ", [";
    for (std::size_t i = 0; i < 64; ++i) {
      char number[32];
      std::snprintf(number, sizeof number, "%s%.7g", i == 0 ? "" : ", ",
                    static_cast<double>(values[i * (values.size() - 1) / 63]));
      text += number;
    }
    text += "]";
  }
  std::printf("{\"flops\": %.9g, \"outputs\": [%s]}\n", flops.sum, text.c_str());
}

int contest(const char* path, int threads, const std::string& how) {
  const double entered = now();
  SessionOptions options;
  options.threads = threads;
  if (how == "plain")
    for (const auto* pass : all_passes())
      if (pass->name != "fold_constants") options.disabled_passes.emplace(pass->name);  // it sets the shapes, too
  if (how != "plain") options.policy = how;
  Session session = Session::open(path, options);
  const double opened = now();
  std::printf("{\"entered\": %.6f, \"open_s\": %.6f, \"opened\": %.6f}\n", entered, opened - entered, opened);
  std::fflush(stdout);
  const NamedTensors inputs = random_inputs(session);
  for (std::string word; std::cin >> word;) {
    int times = 0;
    if (word == "run" && std::cin >> times)
      run(session, inputs, times);
    else if (word == "check")
      check_outputs(session, inputs);
    else
      return std::fprintf(stderr, "unknown command '%s'\n", word.c_str()), 2;
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4)
    return std::fputs("usage: tessera_bench_contestant MODEL THREADS [plain|POLICY]\n", stderr), 2;
  try {
    return tessera::contest(argv[1], std::atoi(argv[2]), argc == 4 ? argv[3] : "");
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
