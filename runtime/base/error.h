#pragma once
// Errors: one exception type; every layer that knows more adds one frame.
//
//   check(b.rank() == 2, "B must be a matrix, got rank ", b.rank());
//
// A kernel states only the local fact. Whom it concerned (node, file, policy line, plugin) is added by the layer that
// knows it, with `Error::in`. Thread rule: an Error is a value; nothing here is shared.
#include <exception>
#include <sstream>
#include <string>

namespace [[gnu::visibility("default")]] tessera {

// Who has to act. The numbers are the runner's exit codes (0 and 1 mean "done" and "outputs differ").
enum class Code {
  bad_input = 2,    // usage, a malformed model, tensor or data file, wrong names, shapes, types
  unsupported = 3,  // an operator, version or type that is not there
  policy = 4,       // a policy that cannot be read or applied
  plugin = 5,       // a plugin that cannot be loaded or breaks its contract
  run_time = 6,     // memory, disk, deadline, cancelled
  internal = 70,    // our own fault, or of a program that reads a tensor as another type; never caused by a file
};

// Where a default argument was evaluated. (clang-tidy 14 cannot parse libstdc++'s std::source_location.)
struct Place {
  const char* file;
  int line;
  constexpr Place(const char* f = __builtin_FILE(), int l = __builtin_LINE()) : file(f), line(l) {}
};

class Error : public std::exception {
 public:
  Error(Code code, std::string message, Place at = {}) : code_(code), message_(std::move(message)), at_(at) {
    text_ = message_;
  }

  // Adds one line of context, innermost first: in("node 'fc1' (Gemm)").
  Error& in(const std::string& frame) {
    text_ += "\n  in " + frame;
    return *this;
  }
  // Adds the next step to take: hint("give it with --input x=FILE").
  Error& hint(const std::string& advice) {
    text_ += "\n  " + advice;
    return *this;
  }
  Code code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }  // the local fact alone
  Place place() const noexcept { return at_; }                      // the line of ours that noticed
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Code code_;
  std::string message_, text_;
  Place at_;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << parts);
  return out.str();
}

// A condition with the place it was written, so that `check` needs no macro.
struct Condition {
  bool holds;
  Place at;
  constexpr Condition(bool b, const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : holds(b), at(file, line) {}
};

// Throws Error(code) with the parts joined as text when the condition does not hold. The text is built only then.
template <class... Parts>
void check(Condition c, Code code, const Parts&... message) {
  if (!c.holds) [[unlikely]]
    throw Error(code, concat(message...), c.at);
}
template <class... Parts>
void check(Condition c, const Parts&... message) {
  if (!c.holds) [[unlikely]]
    throw Error(Code::bad_input, concat(message...), c.at);
}

}  // namespace tessera
