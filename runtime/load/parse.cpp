#include "runtime/load/parse.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <limits>

#include "runtime/base/error.h"
#include "runtime/load/wire.h"

namespace tessera {
namespace {

constexpr std::size_t protobuf_limit = std::numeric_limits<int>::max();

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text.empty()) text = concat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  std::string text;
};

void parse_text(const Bytes& file, google::protobuf::Message& message) {
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(100);
  google::protobuf::io::ArrayInputStream stream(file.data(), static_cast<int>(file.size()));
  if (!parser.Parse(&stream, &message)) throw Error(Code::bad_input, error.text);
}

}  // namespace

bool is_text_proto(const std::string& path) { return path.ends_with(".textproto") || path.ends_with(".pbtxt"); }

std::set<std::string> parse_message(const Bytes& file, bool text, google::protobuf::Message& message) {
  check(file.size() > 0, "the file is empty");
  if (text) {
    check(file.size() <= protobuf_limit, "a text file may not exceed 2 GB");
    parse_text(file, message);
    return {};
  }
  auto walked = walk_message(file.span(), *message.GetDescriptor());
  const void* data = walked.shortened ? walked.shortened->data() : static_cast<const void*>(file.data());
  const std::size_t size = walked.shortened ? walked.shortened->size() : file.size();
  check(size <= protobuf_limit,
        "the model exceeds 2 GB without its raw data; store large tensors as raw or external data");
  google::protobuf::io::CodedInputStream stream(static_cast<const std::uint8_t*>(data), static_cast<int>(size));
  stream.SetTotalBytesLimit(std::numeric_limits<int>::max());
  const google::protobuf::LogSilencer silent;  // it would print what we throw
  check(message.ParsePartialFromCodedStream(&stream) && stream.ConsumedEntireMessage(), "the file is malformed");
  return std::move(walked.unknown);
}

}  // namespace tessera
