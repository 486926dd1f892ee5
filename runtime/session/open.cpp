#include "runtime/load/load.h"
#include "runtime/session/open_policy.h"
#include "runtime/session/session.h"

namespace tessera {

Session Session::open(const std::string& path, SessionOptions options) {
  auto policy = open_policy(options.policy);
  return open(path, std::move(policy), std::move(options));
}

Session Session::open(const std::string& path, std::shared_ptr<const Policy> policy, SessionOptions options) {
  Graph graph = load(path, registry_for(options.plugins, policy.get()));
  return Session(std::move(graph), std::move(policy), std::move(options));
}

}  // namespace tessera
