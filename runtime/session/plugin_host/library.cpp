#include "runtime/session/plugin_host/library.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

namespace tessera {
namespace {

constexpr const char* entry_name = "tsr_plugin_entry";

Error failure(const std::string& what, const std::string& next) { return Error(Code::plugin, what).hint(next); }

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_386:
      return "32-bit x86";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32-bit ARM";
    case EM_AARCH64:
      return "64-bit ARM";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "64-bit POWER";
  }
  return concat("machine type ", machine);
}

// What this program itself was built for.
Elf64_Ehdr own_header() {
  const Bytes program = Bytes::map("/proc/self/exe");
  Elf64_Ehdr header;
  std::memcpy(&header, program.data(), sizeof header);
  return header;
}

// The loader takes a file that is cut short, and the process dies when it touches the missing part.
void check_complete(const Bytes& file, const Elf64_Ehdr& header) {
  const auto end = [](std::uint64_t offset, std::uint64_t bytes) {
    return offset > UINT64_MAX - bytes ? UINT64_MAX : offset + bytes;
  };
  std::uint64_t needed = std::max(end(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr)),
                                  end(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr)));
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    if (needed > file.size()) break;
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    needed = std::max(needed, end(segment.p_offset, segment.p_filesz));
  }
  if (needed > file.size())
    throw failure(concat("the file is cut short: it has ", file.size(), " bytes of ", needed),
                  "copy or build the plugin again");
}

void check_elf(const std::string& path) {
  std::error_code none;
  check(std::filesystem::exists(path, none), Code::plugin, "there is no such file");
  check(std::filesystem::is_regular_file(path, none), Code::plugin, "it is no file");
  const Bytes file = [&] {
    try {
      return Bytes::map(path);
    } catch (const Error& e) {
      throw failure(e.message(), "make the file readable");
    }
  }();
  Elf64_Ehdr header{};
  if (file.size() >= EI_NIDENT) std::memcpy(&header, file.data(), std::min(file.size(), sizeof header));
  if (file.size() < EI_NIDENT || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    throw failure("the file is no shared library (no ELF header)", "give the .so file that the plugin's build makes");
  const Elf64_Ehdr own = own_header();
  const std::string built = "build the plugin for " + machine_name(own.e_machine);
  if (header.e_ident[EI_CLASS] != own.e_ident[EI_CLASS])
    throw failure("the library is of another architecture: not 64-bit", built);
  if (header.e_ident[EI_DATA] != own.e_ident[EI_DATA])
    throw failure("the library is of another architecture: another byte order", built);
  if (file.size() < sizeof header)
    throw failure(concat("the file is cut short: it has ", file.size(), " bytes"), "copy or build the plugin again");
  if (header.e_machine != own.e_machine)
    throw failure("the library is of another architecture: " + machine_name(header.e_machine), built);
  if (header.e_type != ET_DYN)
    throw failure("the file is an ELF file, but no shared library", "link it with -shared, or use tessera_add_plugin");
  check_complete(file, header);
}

// "_Z3foov" -> "foo()"; other names as they are.
std::string demangled(std::string_view symbol) {
  int status = 0;
  const std::string name(symbol.substr(0, symbol.find(' ')));
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  const std::string readable = text ? text : name;
  std::free(text);
  return readable;
}

// The loader's message, and what to do about it.
Error loading_failure(const std::string& path, std::string_view message) {
  constexpr std::string_view missing = ": cannot open shared object file";
  if (const auto at = message.find(missing); at != std::string_view::npos)
    return failure(concat("it needs the library '", message.substr(0, at), "', which is not found"),
                   concat("install it, or name its folder in LD_LIBRARY_PATH; `ldd ", path, "` lists what it needs"));
  constexpr std::string_view undefined = "undefined symbol: ";
  if (const auto at = message.find(undefined); at != std::string_view::npos)
    return failure(concat("it uses '", demangled(message.substr(at + undefined.size())), "', which nothing defines"),
                   "link the plugin with the library or the source file that defines it");
  return failure(concat("the system cannot load it: ", message), concat("`ldd ", path, "` may say more"));
}

const tsr_plugin* call_entry(void* symbol) {
  const char* no_work = "it only returns the address of a constant table; work belongs into kernels";
  try {
    return reinterpret_cast<tsr_plugin_entry_function>(symbol)();
  } catch (const std::exception& e) {
    throw failure(concat(entry_name, " threw an exception: ", e.what()), no_work);
  } catch (...) {
    throw failure(concat(entry_name, " threw an exception"), no_work);
  }
}

}  // namespace

void check_abi(std::uint32_t theirs, std::uint32_t least, std::uint32_t ours) {
  if (theirs == 0)
    throw failure("it is too old: built for plugin ABI 0, a draft; the first version is 1",
                  "build the plugin against this Tessera's headers");
  const std::uint32_t needed = least == 0 ? theirs : least;
  if (needed > ours)
    throw failure(concat("it is too new: it needs plugin ABI ", needed, ", this Tessera has ", ours),
                  "use a newer Tessera, or build the plugin against this one's headers");
}

const tsr_plugin& open_plugin_library(const std::string& path) {
  check_elf(path);
  ::dlerror();
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char* message = ::dlerror();
    throw loading_failure(path, message ? message : "unknown reason");
  }
  void* symbol = ::dlsym(library, entry_name);
  if (!symbol)
    throw failure(concat("it exports no ", entry_name, ": it is a library, but no plugin of Tessera"),
                  "define the entry as plugin.h declares it, and link with tessera_add_plugin");
  const tsr_plugin* plugin = call_entry(symbol);
  if (!plugin) throw failure(concat(entry_name, " returned no table"), "return the address of a constant tsr_plugin");
  const bool says_least = plugin->size >= offsetof(tsr_plugin, least_abi) + sizeof plugin->least_abi;
  check_abi(plugin->abi_version, says_least ? plugin->least_abi : 0, TSR_ABI_VERSION);
  return *plugin;
}

}  // namespace tessera
