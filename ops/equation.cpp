#include "ops/equation.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr int letters = 52, ellipsis = -1;

int label_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return 26 + c - 'a';
  throw Error(Code::bad_input,
              concat("the equation has the character '", c, "'; letters, ',', '->' and '...' are allowed"));
}

// "i...j" as {i, ellipsis, j}.
Labels read_term(std::string_view term) {
  Labels labels;
  while (!term.empty()) {
    if (term.starts_with("...")) {
      check(std::find(labels.begin(), labels.end(), ellipsis) == labels.end(),
            "a term of the equation has two ellipses");
      labels.push_back(ellipsis);
      term.remove_prefix(3);
    } else {
      labels.push_back(label_of(term.front()));
      term.remove_prefix(1);
    }
  }
  return labels;
}

std::vector<Labels> read_terms(std::string_view list) {
  std::vector<Labels> terms;
  for (std::size_t comma; (comma = list.find(',')) != list.npos; list.remove_prefix(comma + 1))
    terms.push_back(read_term(list.substr(0, comma)));
  terms.push_back(read_term(list));
  return terms;
}

// The ellipsis written out as `axes` labels, the last of them 52.
Labels spread(const Labels& term, std::int64_t axes) {
  Labels labels;
  for (const int l : term) {
    if (l != ellipsis)
      labels.push_back(l);
    else
      for (std::int64_t i = axes; i-- > 0;) labels.push_back(letters + static_cast<int>(i));
  }
  return labels;
}

// Without "->": the ellipsis, then in order the letters that occur once.
Labels implicit_result(const std::vector<Labels>& in, bool has_ellipsis) {
  Labels out;
  if (has_ellipsis) out.push_back(ellipsis);
  for (int l = 0; l < letters; ++l) {
    std::ptrdiff_t times = 0;
    for (const auto& term : in) times += std::count(term.begin(), term.end(), l);
    if (times == 1) out.push_back(l);
  }
  return out;
}

void bind_size(Equation& e, const Labels& labels, const Shape& dims) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j)
      check(labels[i] != labels[j] || dims[i] == dims[j], "one label names dims ", dims[j], " and ", dims[i], " of ",
            dims);
    auto& size = e.sizes[static_cast<std::size_t>(labels[i])];
    check(size < 0 || size == 1 || dims[i] == 1 || size == dims[i], "one label of the equation has dims ", size,
          " and ", dims[i]);
    if (size < 0 || size == 1) size = dims[i];
  }
}

}  // namespace

Shape Equation::dims(const Labels& labels) const {
  Shape dims;
  for (const int l : labels) dims.push_back(size(l));
  return dims;
}

Equation parse_equation(std::string_view text, const std::vector<Shape>& shapes) {
  std::string equation;
  std::copy_if(text.begin(), text.end(), std::back_inserter(equation), [](char c) { return c != ' '; });
  const auto arrow = equation.find("->");
  Equation e;
  const auto terms = read_terms(std::string_view(equation).substr(0, arrow));
  check(terms.size() == shapes.size(), "the equation \"", text, "\" has ", terms.size(), " terms for ", shapes.size(),
        " inputs");
  std::int64_t under_ellipsis = 0;
  bool has_ellipsis = false;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const auto named = std::count_if(terms[i].begin(), terms[i].end(), [](int l) { return l != ellipsis; });
    const bool open = named != std::ssize(terms[i]);
    check(open ? shapes[i].rank() >= named : shapes[i].rank() == named, "term ", i, " of \"", text, "\" does not fit ",
          shapes[i]);
    if (open) under_ellipsis = std::max(under_ellipsis, shapes[i].rank() - named);
    has_ellipsis = has_ellipsis || open;
    e.in.push_back(spread(terms[i], shapes[i].rank() - named));
  }
  e.sizes.assign(static_cast<std::size_t>(letters + under_ellipsis), -1);
  for (std::size_t i = 0; i < terms.size(); ++i) bind_size(e, e.in[i], shapes[i]);
  const Labels out = arrow == equation.npos ? implicit_result(terms, has_ellipsis)
                                            : read_term(std::string_view(equation).substr(arrow + 2));
  e.out = spread(out, under_ellipsis);
  for (std::size_t i = 0; i < e.out.size(); ++i) {
    check(e.size(e.out[i]) >= 0, "the result of \"", text, "\" has a label that no input has");
    check(std::count(e.out.begin(), e.out.end(), e.out[i]) == 1, "the result of \"", text, "\" repeats a label");
  }
  return e;
}

Labelled diagonal_view(const Labels& labels, const Shape& dims) {
  const Shape strides = row_major_strides(dims);
  Labelled view;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (dims[i] == 1) continue;
    if (const int axis = view.find(labels[i]); axis >= 0) {
      view.strides[static_cast<std::size_t>(axis)] += strides[i];
      continue;
    }
    view.labels.push_back(labels[i]);
    view.dims.push_back(dims[i]);
    view.strides.push_back(strides[i]);
  }
  return view;
}

}  // namespace tessera
