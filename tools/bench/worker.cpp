#include "tools/bench/worker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "runtime/base/error.h"

namespace tessera {
namespace {

struct Reply {
  int code = 0;  // of an Error, whose text follows; 0: none
  std::uint32_t text_bytes = 0;
  Measurement measurement;
};
static_assert(std::is_trivially_copyable_v<Reply>);

bool write_all(int fd, const void* data, std::size_t bytes) {
  for (auto at = static_cast<const char*>(data); bytes > 0;) {
    const auto n = ::write(fd, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

bool read_all(int fd, void* data, std::size_t bytes) {
  for (auto at = static_cast<char*>(data); bytes > 0;) {
    const auto n = ::read(fd, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

// Answers each byte with one run, until the pipe closes or a run fails.
void serve(const std::function<Worker::Run()>& open, int in, int out) {
  Worker::Run run;
  for (char ask; read_all(in, &ask, 1);) {
    Reply reply;
    std::string text;
    try {
      if (!run) run = open();
      reply.measurement = run();
    } catch (const Error& e) {
      reply.code = static_cast<int>(e.code());
      text = e.what();
    } catch (const std::bad_alloc&) {
      reply.code = static_cast<int>(Code::run_time);
      text = "out of memory";
    } catch (const std::exception& e) {
      reply.code = static_cast<int>(Code::internal);
      text = e.what();
    }
    reply.text_bytes = static_cast<std::uint32_t>(text.size());
    if (!write_all(out, &reply, sizeof reply) || !write_all(out, text.data(), text.size()) || reply.code != 0) return;
  }
}

}  // namespace

Worker::Worker(const std::function<Run()>& open) {
  int down[2], up[2];
  const bool piped = ::pipe2(down, O_CLOEXEC) == 0 && ::pipe2(up, O_CLOEXEC) == 0;
  check(piped, Code::run_time, "cannot make a pipe: ", std::strerror(errno));
  process_ = ::fork();
  check(process_ >= 0, Code::run_time, "cannot start a process: ", std::strerror(errno));
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // workers hold each other's pipes, so none would see a parent's end
    ::close(down[1]);
    ::close(up[0]);
    serve(open, down[0], up[1]);
    ::_exit(0);
  }
  ::close(down[0]);
  ::close(up[1]);
  to_ = down[1];
  from_ = up[0];
}

Worker::Worker(Worker&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      to_(std::exchange(other.to_, -1)),
      from_(std::exchange(other.from_, -1)) {}

Worker::~Worker() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);  // it waits for a byte, and has nothing to put in order
  ::close(to_);
  ::close(from_);
  ::waitpid(process_, nullptr, 0);
}

Measurement Worker::run() {
  const char ask = 'r';
  Reply reply;
  const bool answered = write_all(to_, &ask, 1) && read_all(from_, &reply, sizeof reply);
  check(answered, Code::run_time, "the process that ran the model has died (out of memory?)");
  std::string text(reply.text_bytes, '\0');
  check(read_all(from_, text.data(), text.size()), Code::run_time, "the process that ran the model has died");
  if (reply.code != 0) throw Error(static_cast<Code>(reply.code), text);
  return reply.measurement;
}

}  // namespace tessera
