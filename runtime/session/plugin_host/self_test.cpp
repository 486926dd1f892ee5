// A plugin's own test, and the examples in its documentation.
#include "runtime/op/example.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/plugin_host/call.h"
#include "runtime/session/plugin_host/loaded.h"

namespace tessera {

std::vector<std::string> self_test(const Plugin& plugin) {
  std::vector<std::string> failures;
  if (const tsr_function own = table_of(plugin).self_test) try {
      tsr_call call(nullptr);
      call.run_function("self-test", [&] { return own(&plugin_host(), &call); });
    } catch (const Error& e) {
      failures.push_back(concat("its self-test failed: ", e.what()));
    }
  for (const OpDef* op : plugin.ops)
    for (auto& failure : failing_examples(*op)) failures.push_back(std::move(failure));
  return failures;
}

}  // namespace tessera
