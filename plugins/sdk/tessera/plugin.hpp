#pragma once
// C++20 comfort over plugin.h: typed reads, parameters, parallel loops with lambdas, formulas for gradients, tables
// with designated initialisers, exceptions as failures. Header-only: a plugin links nothing of Tessera.
//
// A plugin's function takes one of the contexts below by reference and may throw; guard<f> makes it fit the C table:
//
//   void kernel(Kernel& k) {
//     const auto x = k.read<float>(0);
//     const auto y = k.write<float>(0);
//     k.parallel(std::ssize(x), 16384, [&](std::int64_t begin, std::int64_t end) { ... });
//   }
//   constexpr tsr_op ops[] = {Operator{.name = "Twice", ..., .kernel = guard<kernel>}};
//   const tsr_plugin* tsr_plugin_entry() {
//     static constexpr tsr_plugin plugin = Plugin{.name = "twice", .version = "1.0", .doc = "...", .ops = ops};
//     return &plugin;
//   }
//
// Attention methods: attention_method.hpp. Contexts are borrowed: valid during the call only. Thread rule: functions
// are called from several threads at once, each with a context of its own; only `parallel` hands one to several
// threads.
#include <tessera/plugin.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tessera::plugin {

// Thrown to leave a function when the host knows the reason already: a stopped run, a refused call.
struct Reported {};

// The number of an element type; f16 and bf16 are read as uint16_t.
template <class T>
inline constexpr std::uint32_t dtype_of = 0;
// clang-format off
template <> inline constexpr std::uint32_t dtype_of<float> = 1;
template <> inline constexpr std::uint32_t dtype_of<std::uint8_t> = 2;
template <> inline constexpr std::uint32_t dtype_of<std::int8_t> = 3;
template <> inline constexpr std::uint32_t dtype_of<std::uint16_t> = 4;
template <> inline constexpr std::uint32_t dtype_of<std::int16_t> = 5;
template <> inline constexpr std::uint32_t dtype_of<std::int32_t> = 6;
template <> inline constexpr std::uint32_t dtype_of<std::int64_t> = 7;
template <> inline constexpr std::uint32_t dtype_of<bool> = 9;
template <> inline constexpr std::uint32_t dtype_of<double> = 11;
template <> inline constexpr std::uint32_t dtype_of<std::uint32_t> = 12;
template <> inline constexpr std::uint32_t dtype_of<std::uint64_t> = 13;
// clang-format on
inline constexpr std::uint32_t f16 = 10, bf16 = 16;

inline std::string dtype_name(std::uint32_t dtype) {
  constexpr const char* names[] = {"absent", "f32", "u8",  "i8",  "u16", "i16",       "i32",        "i64", "string",
                                   "bool",   "f16", "f64", "u32", "u64", "complex64", "complex128", "bf16"};
  return dtype < std::size(names) ? names[dtype] : "type " + std::to_string(dtype);
}

// Calls f(T{}) for the T of the list that has this number: with_type<float, double>(dtype, [&](auto zero) { using T =
// decltype(zero); ... }).
template <class... Ts, class F>
void with_type(std::uint32_t dtype, F&& f) {
  const bool found = ((dtype == dtype_of<Ts> ? (f(Ts{}), true) : false) || ...);
  if (!found) throw std::invalid_argument("elements of type " + dtype_name(dtype) + " are not taken");
}

// What every function may ask: the attributes of the node, or the parameters of the method. A name that the table does
// not have fails the call, as does asking for another type.
class Call {
 public:
  Call(const tsr_host* host, tsr_call* call) : host_(host), call_(call) {}
  bool given(const char* name) const { return host_->given(call_, name) != 0; }
  double real(const char* name) const { return host_->real(call_, name); }
  std::int64_t integer(const char* name) const { return host_->integer(call_, name); }
  std::span<const std::int64_t> integers(const char* name) const {
    std::int64_t count = 0;
    const std::int64_t* first = host_->integers(call_, name, &count);
    if (!first) throw Reported{};
    return {first, static_cast<std::size_t>(count)};
  }
  std::string_view text(const char* name) const {
    const char* value = host_->text(call_, name);
    if (!value) throw Reported{};
    return value;
  }
  void log(const std::string& line) const { host_->log(call_, line.c_str()); }

  // body(begin, end) for chunks of [0, n) of `grain`, on the host's threads. An exception of body ends the loop and is
  // thrown here; so is Reported when the run was stopped.
  template <class F>
  void parallel(std::int64_t n, std::int64_t grain, F&& body) {
    struct Loop {
      F& body;
      std::atomic_flag failed = ATOMIC_FLAG_INIT;
      std::exception_ptr error{};
      static void chunk(void* user, std::int64_t begin, std::int64_t end) noexcept {
        auto& loop = *static_cast<Loop*>(user);
        try {
          if (!loop.failed.test(std::memory_order_relaxed)) loop.body(begin, end);
        } catch (...) {
          if (!loop.failed.test_and_set()) loop.error = std::current_exception();
        }
      }
    } loop{body};
    must(host_->parallel(call_, n, grain, Loop::chunk, &loop));
    if (loop.error) std::rethrow_exception(loop.error);
  }

 protected:
  static void must(std::int32_t result) {
    if (result != 0) throw Reported{};
  }
  const tsr_host* host_;
  tsr_call* call_;
};

using Dims = std::span<const std::int64_t>;

// An operator's call. Element types are numbers, see dtype_of; an input that is absent has none.
class OperatorCall : public Call {
 public:
  using Call::Call;
  bool has(std::uint32_t i) const { return dtype(i) != 0; }
  std::uint32_t dtype(std::uint32_t i) const { return host_->input(call_, i).dtype; }
  Dims dims(std::uint32_t i) const { return dims_of(host_->input(call_, i)); }

 protected:
  static Dims dims_of(const tsr_tensor& t) { return {t.dims, t.rank}; }
  template <class T>
  static std::span<T> elements(const tsr_tensor& t) {
    constexpr std::uint32_t asked = dtype_of<std::remove_const_t<T>>;
    static_assert(asked != 0, "no element type has this C++ type");
    const bool half = asked == dtype_of<std::uint16_t> && (t.dtype == f16 || t.dtype == bf16);
    if (t.dtype != asked && !half)
      throw std::logic_error("a tensor of " + dtype_name(t.dtype) + " is read as " + dtype_name(asked));
    std::size_t n = 1;
    for (const auto d : dims_of(t)) n *= static_cast<std::size_t>(d);
    return {static_cast<T*>(t.data), n};
  }
};

// Sets the dims of every output; sees types and dims of the inputs.
class Shape : public OperatorCall {
 public:
  using OperatorCall::OperatorCall;
  void set(std::uint32_t output, Dims dims) {
    must(host_->set_output(call_, output, 0, dims.data(), static_cast<std::uint32_t>(dims.size())));
  }
  void set(std::uint32_t output, std::initializer_list<std::int64_t> dims) {
    set(output, Dims(dims.begin(), dims.size()));
  }
};

class Kernel : public OperatorCall {
 public:
  using OperatorCall::OperatorCall;
  template <class T>
  std::span<const T> read(std::uint32_t input) const {
    return elements<const T>(host_->input(call_, input));
  }
  template <class T>
  std::span<T> write(std::uint32_t output) {
    return elements<T>(host_->output(call_, output));
  }
  Dims output_dims(std::uint32_t i) const { return dims_of(host_->output(call_, i)); }
  bool wants(std::uint32_t output) const { return host_->output(call_, output).dtype != 0; }

 private:
  friend class ThreadLease;
};

// Threads for a library of the plugin's own, from here to the end of the block; see tsr_host::lease_threads. The host's
// loops of this call run on the calling thread meanwhile.
class ThreadLease {
 public:
  explicit ThreadLease(Kernel& k) : kernel_(k), threads_(k.host_->lease_threads(k.call_)) {}
  ~ThreadLease() { kernel_.host_->return_threads(kernel_.call_); }
  ThreadLease(const ThreadLease&) = delete;
  ThreadLease& operator=(const ThreadLease&) = delete;
  int threads() const { return threads_; }

 private:
  Kernel& kernel_;
  int threads_;
};

// A value of the gradient graph. Sums and products of values and numbers are nodes: dy * (s + beta * y * (1 - s)).
class Gradient;
class Value {
 public:
  Value() = default;  // absent

 private:
  friend class Gradient;
  Value(Gradient& g, std::int64_t handle) : gradient_(&g), handle_(handle) {}
  Gradient& gradient() const;
  static Value join(const char* op, Value a, Value b);
  static Value join(const char* op, double a, Value b);
  static Value join(const char* op, Value a, double b);
  // clang-format off
  friend Value operator+(Value a, Value b) { return join("Add", a, b); }
  friend Value operator+(double a, Value b) { return join("Add", a, b); }
  friend Value operator+(Value a, double b) { return join("Add", a, b); }
  friend Value operator-(Value a, Value b) { return join("Sub", a, b); }
  friend Value operator-(double a, Value b) { return join("Sub", a, b); }
  friend Value operator-(Value a, double b) { return join("Sub", a, b); }
  friend Value operator*(Value a, Value b) { return join("Mul", a, b); }
  friend Value operator*(double a, Value b) { return join("Mul", a, b); }
  friend Value operator*(Value a, double b) { return join("Mul", a, b); }
  friend Value operator/(Value a, Value b) { return join("Div", a, b); }
  friend Value operator/(double a, Value b) { return join("Div", a, b); }
  friend Value operator/(Value a, double b) { return join("Div", a, b); }
  // clang-format on
  Gradient* gradient_ = nullptr;
  std::int64_t handle_ = 0;
};

// Writes the backward of one node as other nodes. Gradients of inputs that were broadcast are summed by the host.
class Gradient : public OperatorCall {
 public:
  using OperatorCall::OperatorCall;
  Value in(std::uint32_t i) { return {*this, host_->grad_input(call_, i)}; }
  Value out(std::uint32_t i) { return {*this, host_->grad_output(call_, i)}; }
  Value dout(std::uint32_t i) { return {*this, host_->grad_dout(call_, i)}; }
  bool needed(std::uint32_t input) const { return host_->grad_needed(call_, input) != 0; }
  Value scalar(double x) { return {*this, host_->grad_constant(call_, x)}; }  // of the type of input 0
  Value integers(Dims x) { return {*this, host_->grad_integers(call_, x.data(), static_cast<std::int64_t>(x.size()))}; }
  // A node of operator "Mul" or "domain::Name"; attributes as in "axis=1; alpha=0.5".
  Value node(const char* op, std::initializer_list<Value> in, const char* attributes = nullptr) {
    return nodes(op, in, attributes, 1)[0];
  }
  std::vector<Value> nodes(const char* op, std::initializer_list<Value> in, const char* attributes, int outputs) {
    std::vector<std::int64_t> handles;
    for (const Value& v : in) handles.push_back(v.handle_);
    const std::int64_t first = host_->grad_node(call_, op, handles.data(), static_cast<std::uint32_t>(handles.size()),
                                                attributes, static_cast<std::uint32_t>(outputs));
    if (first == 0) throw Reported{};
    std::vector<Value> values;
    for (int i = 0; i < outputs; ++i) values.push_back(Value(*this, first + i));
    return values;
  }
  void set(std::uint32_t input, Value gradient) { must(host_->set_grad(call_, input, gradient.handle_)); }
};

inline Gradient& Value::gradient() const {
  if (!gradient_) throw std::logic_error("the gradient rule computes with an absent value");
  return *gradient_;
}
inline Value Value::join(const char* op, Value a, Value b) { return a.gradient().node(op, {a, b}); }
inline Value Value::join(const char* op, double a, Value b) { return join(op, b.gradient().scalar(a), b); }
inline Value Value::join(const char* op, Value a, double b) { return join(op, a, a.gradient().scalar(b)); }

// What a context is made of beside host and call: the further arguments of its C functions.
template <class... A>
struct Arguments {};
template <class Context>
struct ArgumentsOf {
  using type = Arguments<>;
};

template <auto f, class R, class Context, class... A>
constexpr auto guarded(R (*)(Context&), Arguments<A...>) {
  using Result = std::conditional_t<std::is_void_v<R>, std::int32_t, R>;
  return +[](const tsr_host* host, tsr_call* call, A... rest) -> Result {
    try {
      Context context(host, call, rest...);
      if constexpr (!std::is_void_v<R>) return f(context);
      f(context);
      return Result{};
    } catch (const Reported&) {
    } catch (const std::exception& e) {
      host->fail(call, e.what());
    } catch (...) {
      host->fail(call, "it threw something that is no std::exception");
    }
    return Result{1};
  };
}
template <class R, class Context>
Context context_of(R (*)(Context&));

// The C function that runs f(context) and turns what it throws into a failure.
template <auto f>
inline constexpr auto guard = guarded<f>(f, typename ArgumentsOf<std::remove_const_t<decltype(context_of(f))>>::type{});

// Tables; each becomes its C struct by itself. Arrays they name live as long as the library.
struct Parameter {
  const char* name;
  std::uint32_t type = TSR_REAL;
  const char* fallback = nullptr;  // as in YAML; null: optional without a default; "required"
  double low = 0, high = 0;        // inclusive; both 0: any
  const char* choices = nullptr;   // of a text: "slot|mean"
  const char* doc = "";
  constexpr operator tsr_parameter() const {
    return {sizeof(tsr_parameter), type, name, fallback, low, high, choices, doc};
  }
};

struct Port {
  const char* name;
  const char* types = "f32|f64";
  const char* doc = "";
  std::uint32_t flags = 0;  // TSR_OPTIONAL, TSR_VARIADIC
  constexpr operator tsr_port() const { return {sizeof(tsr_port), flags, name, types, doc}; }
};

struct Operator {
  const char* name;
  const char* domain;
  std::uint32_t since = 1;
  const char* doc;
  const char* source;
  std::span<const tsr_port> inputs, outputs;
  std::span<const tsr_parameter> attributes{};
  std::uint32_t flags = 0;  // TSR_POINTWISE, TSR_MAKES_NAN, TSR_NO_GRADIENT
  tsr_function shape;
  tsr_function kernel;
  tsr_function gradient = nullptr;
  double (*flops)(const tsr_host*, tsr_call*) = nullptr;
  std::span<const char* const> examples{};
  constexpr operator tsr_op() const {
    const auto count = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
    return {sizeof(tsr_op),
            since,
            name,
            domain,
            doc,
            source,
            inputs.data(),
            outputs.data(),
            count(inputs),
            count(outputs),
            attributes.data(),
            count(attributes),
            flags,
            shape,
            kernel,
            gradient,
            flops,
            examples.data(),
            count(examples),
            0};
  }
};

struct Plugin {
  const char* name;
  const char* version;
  const char* doc;
  std::span<const tsr_op> ops{};
  std::span<const tsr_method> methods{};
  tsr_function self_test = nullptr;
  std::uint32_t least_abi = 0;
  constexpr operator tsr_plugin() const {
    return {sizeof(tsr_plugin),
            TSR_ABI_VERSION,
            name,
            version,
            doc,
            ops.data(),
            methods.data(),
            static_cast<std::uint32_t>(ops.size()),
            static_cast<std::uint32_t>(methods.size()),
            self_test,
            least_abi,
            0};
  }
};

}  // namespace tessera::plugin
