// Einsum against its definition: for every index of every label, add the product of the operands' elements.
#include <gtest/gtest.h>

#include <random>

#include "ops/contraction.h"
#include "ops/equation.h"
#include "runtime/op/evaluate.h"
#include "runtime/op/registry.h"
#include "tests/support/compare.h"

namespace tessera {
namespace {

Tensor einsum(const std::string& equation, const std::vector<Tensor>& in) {
  std::vector<const Tensor*> p;
  for (const auto& t : in) p.push_back(&t);
  return evaluate(builtin_registry().at("Einsum"), {{"equation", equation}}, p, 1)[0];
}

Tensor by_definition(const std::string& equation, const std::vector<Tensor>& in) {
  std::vector<Shape> shapes;
  std::vector<std::vector<double>> values;
  for (const auto& t : in) {
    shapes.push_back(t.shape());
    values.push_back(doubles(t));
  }
  const Equation e = parse_equation(equation, shapes);
  Labels all = e.out;
  for (const auto& term : e.in)
    for (const int l : term)
      if (std::find(all.begin(), all.end(), l) == all.end()) all.push_back(l);
  const Shape dims = e.dims(all);
  std::vector<double> sums(static_cast<std::size_t>(count(e.dims(e.out))), 0.0);
  const std::int64_t inner =
      std::max<std::int64_t>(1, count(Shape(dims.begin() + static_cast<int>(e.out.size()), dims.end())));
  for (std::int64_t at = 0; at < count(dims); ++at) {
    std::vector<std::int64_t> index(e.sizes.size());
    std::int64_t rest = at;
    for (std::size_t i = all.size(); i-- > 0; rest /= dims[i]) index[static_cast<std::size_t>(all[i])] = rest % dims[i];
    double term = 1;
    for (std::size_t o = 0; o < in.size(); ++o) {
      std::int64_t offset = 0;
      for (std::size_t a = 0; a < e.in[o].size(); ++a)
        offset = offset * shapes[o][a] + (shapes[o][a] == 1 ? 0 : index[static_cast<std::size_t>(e.in[o][a])]);
      term *= values[o][static_cast<std::size_t>(offset)];
    }
    sums[static_cast<std::size_t>(at / inner)] += term;
  }
  return converted(Tensor::of<double>(e.dims(e.out), sums), in[0].dtype());
}

// Small whole numbers: exact in every type.
Tensor numbers(DType dtype, const Shape& shape, int seed) {
  std::vector<double> v(static_cast<std::size_t>(count(shape)));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<double>((i * 31 + static_cast<std::size_t>(seed) * 17) % 5);
  return converted(Tensor::of<double>(shape, v), dtype);
}

struct Case {
  std::string equation;
  std::vector<Shape> shapes;
};

TEST(Einsum, follows_its_definition) {
  const std::vector<Case> cases = {
      {"nfhwpqrc->ncfphqwr", {{2, 3, 2, 2, 1, 2, 2, 4}}},
      {"bihd,bjhd->bhij", {{2, 5, 3, 4}, {2, 6, 3, 4}}},
      {"bhij,bjhd->bihd", {{2, 3, 5, 6}, {2, 6, 3, 4}}},
      {"bhwc,dc->bdhw", {{2, 3, 4, 5}, {6, 5}}},
      {"...ij,...kj->...ik", {{2, 1, 3, 4}, {5, 2, 4}}},
      {"i...j,j->...i", {{2, 3, 4, 5}, {5}}},
      {"...,...", {{2, 3}, {3}}},
      {"...ij->ji", {{2, 3, 4}}},
      {"iij,jk->k", {{3, 3, 4}, {4, 2}}},
      {"ab,bc,cd,de->ae", {{2, 3}, {3, 4}, {4, 5}, {5, 2}}},
      {"kbi,kbi->bi", {{4, 3, 5}, {4, 3, 5}}},
      {"abcd,bxdy->ycax", {{2, 3, 4, 5}, {3, 6, 5, 2}}},
      {"ij,kj->ki", {{3, 4}, {5, 4}}},
      {"i,i->", {{300}, {300}}},
      {",ij->ij", {{}, {2, 3}}},
      {"ij,ij->ij", {{1, 4}, {3, 1}}},
      {"ij,kj->ik", {{3, 1}, {2, 5}}},
      {"zA,Ab", {{2, 3}, {3, 4}}},
      {"ij,jk->ik", {{0, 3}, {3, 2}}},
      {"ij,jk->ik", {{2, 0}, {0, 2}}},
      {"ij->", {{0, 3}}},
      {"i,j->j", {{1}, {0}}},
      {"abcdefghi,i->hgabcdef", {{2, 1, 2, 2, 1, 2, 2, 2, 3}, {3}}},
  };
  for (const auto& c : cases)
    for (const DType t : {DType::f32, DType::f64, DType::bf16, DType::i8, DType::u16, DType::i64}) {
      SCOPED_TRACE(concat(c.equation, " ", t));
      std::vector<Tensor> in;
      for (std::size_t i = 0; i < c.shapes.size(); ++i) in.push_back(numbers(t, c.shapes[i], static_cast<int>(i)));
      const Tensor expected = by_definition(c.equation, in), got = einsum(c.equation, in);
      if (t == DType::i8) {  // sums may wrap
        EXPECT_EQ(got.shape(), expected.shape());
        continue;
      }
      EXPECT_TRUE(close(got, expected, tolerance_of(t)));
    }
}

TEST(Einsum, follows_its_definition_for_random_equations) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 600; ++round) {
    const int dims[] = {2, 3, 1, 4, 5};
    Case c;
    std::string used;
    for (int o = 0, n = 1 + below(3); o < n; ++o) {
      if (o > 0) c.equation += ",";
      Shape shape;
      for (int a = below(5); a > 0; --a) {
        const int l = below(5);
        const char letter = static_cast<char>('a' + l);
        c.equation += letter;
        if (used.find(letter) == used.npos) used += letter;
        shape.push_back(dims[l]);
      }
      c.shapes.push_back(shape);
    }
    c.equation += "->";
    std::shuffle(used.begin(), used.end(), random);
    c.equation += used.substr(0, static_cast<std::size_t>(below(static_cast<int>(used.size()) + 1)));
    SCOPED_TRACE(c.equation);
    std::vector<Tensor> in;
    for (std::size_t i = 0; i < c.shapes.size(); ++i)
      in.push_back(numbers(DType::f32, c.shapes[i], round + static_cast<int>(i)));
    ASSERT_TRUE(close(einsum(c.equation, in), by_definition(c.equation, in)));
  }
}

// The contractions of attention and of linear layers read and write their tensors where they lie.
TEST(Contraction, copies_nothing_where_strides_suffice) {
  const auto copies = [](const std::string& equation, const std::vector<Shape>& shapes) {
    const Equation e = parse_equation(equation, shapes);
    return Contraction(diagonal_view(e.in[0], shapes[0]), diagonal_view(e.in[1], shapes[1]),
                       row_major(e.out, e.dims(e.out)))
        .copies();
  };
  const Shape q{2, 100, 4, 64}, k{2, 110, 4, 64}, scores{2, 4, 100, 110};
  EXPECT_EQ(copies("bihd,bjhd->bhij", {q, k}), 0);
  EXPECT_EQ(copies("bhij,bjhd->bihd", {scores, k}), 0);
  EXPECT_EQ(copies("bhij,bihd->bjhd", {scores, q}), 0);
  EXPECT_EQ(copies("blc,cd->bld", {{2, 100, 64}, {64, 128}}), 0);
  EXPECT_EQ(copies("blc,hcd->bhld", {{2, 100, 64}, {4, 64, 32}}), 0);
  EXPECT_EQ(copies("bhwc,dc->bdhw", {{2, 30, 40, 64}, {32, 64}}), 0);
}

TEST(Equation, says_what_is_wrong) {
  const auto refused = [](const std::string& equation, const std::vector<Shape>& shapes) {
    try {
      parse_equation(equation, shapes);
    } catch (const Error& e) {
      return e.code() == Code::bad_input;
    }
    return false;
  };
  EXPECT_TRUE(refused("ij,jk->ik", {{2, 3}}));
  EXPECT_TRUE(refused("ij->k", {{2, 3}}));
  EXPECT_TRUE(refused("ij->ii", {{2, 3}}));
  EXPECT_TRUE(refused("i1->i", {{2, 3}}));
  EXPECT_TRUE(refused("ijk->i", {{2, 3}}));
  EXPECT_TRUE(refused("i..->i", {{2, 3}}));
  EXPECT_TRUE(refused("......->", {{2, 3}}));
  EXPECT_TRUE(refused("ii->i", {{2, 3}}));
  EXPECT_TRUE(refused("ij,jk->ik", {{2, 3}, {4, 5}}));
  EXPECT_TRUE(refused("i->i->i", {{2}}));
  EXPECT_TRUE(refused("...->...", {}));
}

}  // namespace
}  // namespace tessera
