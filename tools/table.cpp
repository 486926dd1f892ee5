#include "tools/table.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace tessera {
namespace {

// Columns of a terminal that UTF-8 text takes, near enough: its code points.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(const std::string& cell) {
  if (cell.empty()) return true;
  if (std::count(cell.begin(), cell.end(), ' ') > 3) return false;  // a sentence; "1 min 02 s" is none
  const char first = cell[cell[0] == '-' && cell.size() > 1 ? 1 : 0];
  return (first >= '0' && first <= '9') || cell == "-" || cell == "nan" || cell.ends_with("inf");
}

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

std::string csv(const Table& t) {
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) out += (i ? "," : "") + csv_cell(cells[i]);
    out += '\n';
  };
  line(t.columns);
  for (const auto& row : t.rows) line(row);
  return out;
}

// Names come from files: control characters would break lines or reach the terminal, '|' ends a cell of Markdown.
void tame(std::vector<std::string>& cells, bool markdown) {
  for (auto& cell : cells) {
    std::string text;
    for (const char c : cell)
      text += markdown && c == '|' ? "\\|" : std::string(1, (c >= 0 && c < ' ') || c == 0x7f ? ' ' : c);
    cell = text;
  }
}

std::string aligned(Table t, bool markdown, int indent) {
  tame(t.columns, markdown);
  for (auto& row : t.rows) tame(row, markdown);
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t c = 0; c < t.columns.size(); ++c) {
    widths.push_back(width(t.columns[c]));
    right.push_back(!t.rows.empty());
    for (const auto& row : t.rows) {
      widths[c] = std::max(widths[c], width(row[c]));
      right[c] = right[c] && is_number(row[c]);
    }
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text(static_cast<std::size_t>(indent), ' ');
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string pad(widths[c] - width(cells[c]), ' ');
      text += (markdown ? (c ? " | " : "| ") : (c ? "  " : "")) + (right[c] ? pad + cells[c] : cells[c] + pad);
    }
    if (markdown) text += " |";
    while (text.ends_with(' ')) text.pop_back();
    out += text + '\n';
  };
  line(t.columns);
  if (markdown) {
    std::vector<std::string> rule;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      widths[c] = std::max<std::size_t>(widths[c], 3);
      rule.push_back(std::string(widths[c] - 1, '-') + (right[c] ? ":" : "-"));
    }
    out.clear();
    line(t.columns);
    line(rule);
  }
  for (const auto& row : t.rows) line(row);
  return out;
}

std::string scaled(double x, double base, const char* const* units, int count) {
  int u = 0;
  while (std::abs(x) >= base && u + 1 < count) {
    x /= base;
    ++u;
  }
  return fmt::format("{:.{}f} {}", x, u == 0 || std::abs(x) >= 100 ? 0 : std::abs(x) >= 10 ? 1 : 2, units[u]);
}

}  // namespace

Format format_from_name(const std::string& name) {
  if (name == "table") return Format::table;
  if (name == "md") return Format::md;
  if (name == "csv") return Format::csv;
  if (name == "json") return Format::json;
  check(name == "dot", "no format '", name, "'");
  return Format::dot;
}

std::string render(const Table& table, Format format, int indent) {
  return format == Format::csv ? csv(table) : aligned(table, format == Format::md, format == Format::md ? 0 : indent);
}

std::string with_commas(std::int64_t n) {
  std::string text = fmt::format("{}", n);
  for (auto at = static_cast<std::int64_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string readable_bytes(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  return scaled(bytes, 1000, units, 5);
}

std::string readable_count(double n, const std::string& unit) {
  static constexpr const char* units[] = {"", "k", "M", "G", "T", "P"};
  std::string text = scaled(n, 1000, units, 6) + unit;
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

std::string readable_time(double seconds) {
  if (seconds >= 60) return fmt::format("{:.0f} min {:02.0f} s", std::floor(seconds / 60), std::fmod(seconds, 60));
  static constexpr const char* units[] = {"ns", "us", "ms", "s"};
  return scaled(seconds * 1e9, 1000, units, 4);
}

std::string readable_number(double x) { return fmt::format("{:.5g}", x); }

}  // namespace tessera
