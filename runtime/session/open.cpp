#include "runtime/load/load.h"
#include "runtime/session/session.h"

namespace tessera {

Session Session::open(const std::string& path, SessionOptions options) {
  return Session(load(path, builtin_registry()), std::move(options));
}

}  // namespace tessera
