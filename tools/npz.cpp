#include "tools/npz.h"

#include <zlib.h>
#include <algorithm>
#include <cstring>

#include "runtime/base/aside_file.h"
#include "runtime/base/bytes.h"
#include "runtime/base/nearest.h"
#include "tools/npy.h"

// Layout: PKWARE APPNOTE 6.3.9, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14-16 (ends), 4.5.3
// (zip64).
namespace tessera {
namespace {

constexpr std::uint32_t local_mark = 0x04034b50, central_mark = 0x02014b50, end_mark = 0x06054b50;
constexpr std::uint32_t end64_mark = 0x06064b50, locator64_mark = 0x07064b50;
constexpr std::uint64_t full32 = 0xffffffff, full16 = 0xffff;

std::uint32_t checksum(std::uint32_t crc, const void* data, std::size_t bytes) {
  return bytes == 0 ? crc : static_cast<std::uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(data), bytes));
}

struct Member {
  std::string name;
  std::uint64_t stored = 0, size = 0,
                offset = 0;  // bytes in the archive, bytes when inflated, place of the local header
  std::uint32_t crc = 0;
  int method = 0, flags = 0;
};

// Little-endian reads, each checked against the end of the file.
class Archive {
 public:
  explicit Archive(std::span<const std::byte> file) : file_(file) {}

  std::uint64_t number(std::uint64_t at, int bytes) const {
    const auto part = slice(at, static_cast<std::uint64_t>(bytes));
    std::uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
      value = value << 8 | static_cast<std::uint64_t>(part[static_cast<std::size_t>(i)]);
    return value;
  }
  std::span<const std::byte> slice(std::uint64_t at, std::uint64_t bytes) const {
    check(at <= file_.size() && bytes <= file_.size() - at, "the zip archive is cut short");
    return file_.subspan(at, bytes);
  }

  std::vector<Member> members() const {
    const std::uint64_t end = find_end();
    std::uint64_t count = number(end + 10, 2), at = number(end + 16, 4);
    if ((count == full16 || at == full32) && end >= 20 && number(end - 20, 4) == locator64_mark) {
      const std::uint64_t end64 = number(end - 12, 8);
      check(number(end64, 4) == end64_mark, "the zip archive has a broken zip64 directory");
      count = number(end64 + 32, 8);
      at = number(end64 + 48, 8);
    }
    std::vector<Member> found;
    for (; count > 0; --count) found.push_back(member(at));
    return found;
  }

  std::span<const std::byte> stored_bytes(const Member& m) const {
    check(number(m.offset, 4) == local_mark, "member '", m.name, "' has no local header");
    return slice(m.offset + 30 + number(m.offset + 26, 2) + number(m.offset + 28, 2), m.stored);
  }

 private:
  std::uint64_t find_end() const {
    check(file_.size() >= 22, "this is no zip archive");
    const std::uint64_t last = file_.size() - 22, first = last > full16 ? last - full16 : 0;
    for (std::uint64_t at = last + 1; at-- > first;)
      if (number(at, 4) == end_mark) return at;
    throw Error(Code::bad_input, "this is no zip archive");
  }

  // The directory entry at `at`, which moves to the next.
  Member member(std::uint64_t& at) const {
    check(number(at, 4) == central_mark, "the zip archive has a broken directory");
    Member m;
    m.flags = static_cast<int>(number(at + 8, 2));
    m.method = static_cast<int>(number(at + 10, 2));
    m.crc = static_cast<std::uint32_t>(number(at + 16, 4));
    m.stored = number(at + 20, 4);
    m.size = number(at + 24, 4);
    m.offset = number(at + 42, 4);
    const std::uint64_t name = number(at + 28, 2), extra = number(at + 30, 2), comment = number(at + 32, 2);
    const auto text = slice(at + 46, name);
    m.name.assign(reinterpret_cast<const char*>(text.data()), text.size());
    widen(m, at + 46 + name, extra);
    at += 46 + name + extra + comment;
    return m;
  }

  // Sizes and offset from the zip64 extra field, where the short ones are full.
  void widen(Member& m, std::uint64_t at, std::uint64_t bytes) const {
    const std::uint64_t end = at + bytes;
    while (at + 4 <= end) {
      const std::uint64_t id = number(at, 2), length = number(at + 2, 2);
      std::uint64_t field = at + 4;
      if (id == 1)
        for (std::uint64_t* value : {&m.size, &m.stored, &m.offset})
          if (*value == full32 && field + 8 <= at + 4 + length) {
            *value = number(field, 8);
            field += 8;
          }
      at += 4 + length;
    }
  }

  std::span<const std::byte> file_;
};

std::vector<std::byte> inflated(std::span<const std::byte> from, std::uint64_t size) {
  // Deflate cannot shrink by more than 1032; so a small file cannot ask for much memory.
  check(size / 1032 <= from.size(), "its announced size is impossible");
  std::vector<std::byte> to(size + 1);
  z_stream z{};
  check(::inflateInit2(&z, -MAX_WBITS) == Z_OK, Code::run_time, "out of memory");
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  z.next_out = reinterpret_cast<Bytef*>(to.data());
  std::uint64_t in_left = from.size(), out_left = to.size();
  int state = Z_OK;
  while (state == Z_OK) {  // avail_* hold 32 bits only
    z.avail_in = static_cast<uInt>(std::min<std::uint64_t>(in_left, 1u << 30));
    z.avail_out = static_cast<uInt>(std::min<std::uint64_t>(out_left, 1u << 30));
    const auto in = z.avail_in, out = z.avail_out;
    state = ::inflate(&z, Z_NO_FLUSH);
    in_left -= in - z.avail_in;
    out_left -= out - z.avail_out;
  }
  ::inflateEnd(&z);
  check(state == Z_STREAM_END && out_left == 1, "its compressed data is broken");
  to.resize(size);
  return to;
}

std::string array_name(const Member& m) {
  return m.name.ends_with(".npy") ? m.name.substr(0, m.name.size() - 4) : m.name;
}

Tensor read_member(const Archive& archive, const Member& m) try {
  check(m.name.ends_with(".npy"), "it is no .npy file");
  check(!(m.flags & 1), Code::unsupported, "it is encrypted");
  check(m.method == 0 || m.method == 8, Code::unsupported, "its compression method ", m.method, " is not known");
  const auto stored = archive.stored_bytes(m);
  check(m.method == 8 || m.stored == m.size, "its sizes differ");
  const auto buffer = m.method == 8 ? inflated(stored, m.size) : std::vector<std::byte>{};
  const auto bytes = m.method == 8 ? std::span<const std::byte>(buffer) : stored;
  check(checksum(0, bytes.data(), bytes.size()) == m.crc, "its check sum is wrong");
  return npy_to_tensor(bytes);
} catch (Error& e) {
  throw e.in("member '" + m.name + "'");
}

void put(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}

// What local header and directory entry share. Sizes and offset go to a zip64 field where one of them does not fit.
std::string entry(const Member& m, bool central) {
  const bool wide = m.size >= full32 || m.offset >= full32;
  std::string extra;
  if (wide) {
    put(extra, 1, 2);
    put(extra, central ? 24 : 16, 2);
    put(extra, m.size, 8);
    put(extra, m.size, 8);
    if (central) put(extra, m.offset, 8);
  }
  std::string out;
  put(out, central ? central_mark : local_mark, 4);
  if (central) put(out, 45, 2);              // made by: version 4.5
  put(out, wide ? 45 : 20, 2);               // needed to read
  put(out, 0x0800, 2);                       // names are UTF-8
  put(out, 0, 2);                            // stored
  put(out, std::uint64_t{0x0021} << 16, 4);  // 1980-01-01: the same arrays give the same file
  put(out, m.crc, 4);
  put(out, wide ? full32 : m.size, 4);
  put(out, wide ? full32 : m.size, 4);
  put(out, m.name.size(), 2);
  put(out, extra.size(), 2);
  if (central) {
    out.append(10, '\0');  // comment, disk, attributes
    put(out, wide ? full32 : m.offset, 4);
  }
  return out + m.name + extra;
}

std::string end_of_archive(std::uint64_t count, std::uint64_t at, std::uint64_t bytes) {
  std::string out;
  const bool wide = count >= full16 || at >= full32 || bytes >= full32;
  if (wide) {
    put(out, end64_mark, 4);
    put(out, 44, 8);
    put(out, 45, 2);
    put(out, 45, 2);
    put(out, 0, 8);
    for (const auto value : {count, count, bytes, at}) put(out, value, 8);
    put(out, locator64_mark, 4);
    put(out, 0, 4);
    put(out, at + bytes, 8);
    put(out, 1, 4);
  }
  put(out, end_mark, 4);
  put(out, 0, 4);
  put(out, wide ? full16 : count, 2);
  put(out, wide ? full16 : count, 2);
  put(out, wide ? full32 : bytes, 4);
  put(out, wide ? full32 : at, 4);
  put(out, 0, 2);
  return out;
}

}  // namespace

std::map<std::string, Tensor> read_npz(const std::string& path) {
  std::map<std::string, Tensor> arrays;
  try {
    const Bytes file = Bytes::map(path);
    const Archive archive(file.span());
    for (const auto& m : archive.members())
      check(arrays.emplace(array_name(m), read_member(archive, m)).second, "member '", m.name, "' is there twice");
  } catch (Error& e) {
    throw e.in("file '" + path + "'");
  }
  return arrays;
}

Tensor read_npz_array(const std::string& path, const std::string& name) {
  try {
    const Bytes file = Bytes::map(path);
    const Archive archive(file.span());
    const auto members = archive.members();
    std::vector<std::string> names;
    for (const auto& m : members) names.push_back(array_name(m));
    check(!names.empty(), "it holds no array");
    auto at = std::find(names.begin(), names.end(), name);
    if (names.size() == 1) at = names.begin();
    check(at != names.end(), "it has no array '", name, "'", nearest_or_all(name, names));
    check(std::count(names.begin(), names.end(), *at) == 1, "member '", name, ".npy' is there twice");
    return read_member(archive, members[static_cast<std::size_t>(at - names.begin())]);
  } catch (Error& e) {
    throw e.in("file '" + path + "'");
  }
}

void write_npz(const std::string& path, const std::map<std::string, Tensor>& arrays) {
  AsideFile file(path);
  std::string directory;
  for (const auto& [name, tensor] : arrays) {
    const std::string header = npy_header(tensor.dtype(), tensor.shape());
    Member m;
    m.name = name + ".npy";
    check(m.name.size() <= full16, "an array's name is too long for a zip archive");
    m.size = m.stored = header.size() + tensor.bytes();
    m.offset = file.size();
    m.crc = checksum(checksum(0, header.data(), header.size()), tensor.raw(), tensor.bytes());
    file.write(entry(m, false));
    file.write(header);
    file.write(bytes_of(tensor));
    directory += entry(m, true);
  }
  const std::uint64_t at = file.size();
  file.write(directory);
  file.write(end_of_archive(arrays.size(), at, directory.size()));
  file.commit();
}

}  // namespace tessera
