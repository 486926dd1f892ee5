// A program outside the tree that embeds Tessera: opens a model, runs it from two threads at once, cancels a run.
// Built against an installed Tessera by the tests; usage: embedding MODEL
#include <tessera/session.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

namespace {

// Small numbers of any type and shape the model declares.
tessera::NamedTensors some_inputs(const tessera::Session& session) {
  tessera::NamedTensors inputs;
  for (const auto& port : session.inputs()) {
    tessera::Shape shape;
    for (const auto& dim : port.shape.value()) shape.push_back(dim.concrete() ? dim.value : 2);
    tessera::Tensor t(port.dtype, shape);
    std::memset(t.raw(), 0, t.bytes());
    if (port.dtype == tessera::DType::f32)
      for (std::size_t i = 0; auto& x : t.write<float>()) x = 0.01f * static_cast<float>(i++ % 100);
    inputs.emplace(port.name, t);
  }
  return inputs;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 2) return std::fprintf(stderr, "usage: embedding MODEL\n"), 2;
  auto session = tessera::Session::open(arguments[1], {.threads = 2});
  const auto inputs = some_inputs(session);

  tessera::NamedTensors first, second;
  std::thread a([&] { first = session.run(inputs); });
  std::thread b([&] { second = session.run(inputs); });
  a.join();
  b.join();
  for (const auto& [name, tensor] : first) {
    const bool same = std::memcmp(tensor.raw(), second.at(name).raw(), tensor.bytes()) == 0;
    std::printf("%s: %zu bytes, %s\n", name.c_str(), tensor.bytes(), same ? "equal in both threads" : "DIFFERENT");
    if (!same) return 1;
  }

  const auto stop = std::make_shared<tessera::Cancellation>();
  stop->cancel();
  try {
    session.run(inputs, {.cancellation = stop});
    std::printf("the run was not cancelled\n");
    return 1;
  } catch (const tessera::Error& e) {
    std::printf("cancelled: %s\n", e.message().c_str());
    return e.code() == tessera::Code::run_time ? 0 : 1;
  }
} catch (const tessera::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return static_cast<int>(e.code());
}
