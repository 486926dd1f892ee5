#include "runtime/load/load.h"
#include "runtime/session/plugin_host.h"
#include "runtime/session/session.h"

namespace tessera {

Session Session::open(const std::string& path, SessionOptions options) {
  Graph graph = load(path, registry_with(load_plugins(options.plugins)));
  return Session(std::move(graph), std::move(options));
}

}  // namespace tessera
