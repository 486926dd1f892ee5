#include "runtime/session/plugin_host/table_copy.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// sizeof in ABI 1, the smallest that a plugin can have.
template <class T>
constexpr std::uint32_t first_size = 0;
template <>
constexpr std::uint32_t first_size<tsr_plugin> = 72;
template <>
constexpr std::uint32_t first_size<tsr_op> = 128;
template <>
constexpr std::uint32_t first_size<tsr_method> = 144;
template <>
constexpr std::uint32_t first_size<tsr_port> = 32;
template <>
constexpr std::uint32_t first_size<tsr_parameter> = 56;

constexpr std::uint32_t largest = 1 << 16;  // bytes; more is no struct of any version

template <class T>
T copy_of(const void* at, const std::string& what, const char* type) {
  static_assert(sizeof(T) >= first_size<T>);
  std::uint32_t size = 0;
  std::memcpy(&size, at, sizeof size);
  if (size < first_size<T> || size > largest || size % alignof(T) != 0) {
    Error e(Code::plugin, concat(what, " has a ", type, " of ", size, " bytes; it has at least ", first_size<T>));
    throw e.hint("build the plugin against this Tessera's headers, and set .size to the size of its struct");
  }
  T copy{};
  std::memcpy(static_cast<void*>(&copy), at, std::min<std::size_t>(size, sizeof(T)));
  copy.size = sizeof(T);
  return copy;
}

// Structs of a list lie as far apart as the first says it is long.
template <class T>
std::vector<T> copies_of(const T* list, std::uint32_t count, const std::string& what, const char* kind,
                         const char* type) {
  check(list != nullptr || count == 0, Code::plugin, what, " says it has ", count, " ", kind, "s, but gives none");
  std::vector<T> copies;
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* at = reinterpret_cast<const char*>(list) + std::size_t{i} * list->size;
    const std::string element = concat(kind, " ", i, " of ", what);
    std::uint32_t size = 0;
    std::memcpy(&size, at, sizeof size);
    check(size == list->size, Code::plugin, element, " has a ", type, " of ", size, " bytes, the first has ",
          list->size);
    copies.push_back(copy_of<T>(at, element, type));
  }
  return copies;
}

std::string called(const char* kind, const char* name) { return concat(kind, " '", name ? name : "", "'"); }

}  // namespace

TableCopy::TableCopy(const tsr_plugin& theirs) : plugin_(copy_of<tsr_plugin>(&theirs, "the plugin", "tsr_plugin")) {
  const auto ports = [this](const tsr_port*& list, std::uint32_t count, const std::string& owner, const char* kind) {
    list = ports_.emplace_back(copies_of(list, count, owner, kind, "tsr_port")).data();
  };
  const auto parameters = [this](const tsr_parameter*& list, std::uint32_t count, const std::string& owner) {
    list = parameters_.emplace_back(copies_of(list, count, owner, "parameter", "tsr_parameter")).data();
  };
  ops_ = copies_of(plugin_.ops, plugin_.op_count, "the plugin", "operator", "tsr_op");
  for (tsr_op& op : ops_) {
    const std::string label = called("operator", op.name);
    ports(op.inputs, op.input_count, label, "input");
    ports(op.outputs, op.output_count, label, "output");
    parameters(op.attributes, op.attribute_count, label);
  }
  methods_ = copies_of(plugin_.methods, plugin_.method_count, "the plugin", "method", "tsr_method");
  for (tsr_method& m : methods_) {
    const std::string label = called("attention method", m.name);
    ports(m.inputs, m.input_count, label, "input");
    parameters(m.parameters, m.parameter_count, label);
  }
  plugin_.ops = ops_.data();
  plugin_.methods = methods_.data();
}

}  // namespace tessera
