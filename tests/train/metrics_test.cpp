// Metrics against scikit-learn 1.9.1 and SciPy 1.17.1: the expected numbers were computed there from the same vectors.
#include <gtest/gtest.h>

#include <vector>

#include "graft/train/metrics.h"

namespace graft {
namespace {

using Classes = std::vector<int64_t>;
using Values = std::vector<double>;

TEST(Metrics, TwoClassesAsScikitLearnCountsThem) {
  const Classes predicted{1, 0, 1, 1, 0, 1, 0, 0, 1, 1}, right{1, 0, 0, 1, 1, 1, 0, 1, 1, 0};
  EXPECT_NEAR(accuracy(predicted, right), 0.6, 1e-12);
  EXPECT_NEAR(f1_of_class(predicted, right, 1), 0.6666666666666666, 1e-12);
  EXPECT_NEAR(macro_f1(predicted, right), 0.5833333333333333, 1e-12);
  EXPECT_NEAR(matthews(predicted, right), 0.16666666666666666, 1e-12);
  const auto all = class_metrics(predicted, right, 2);
  EXPECT_NEAR(all.at("f1"), 0.6666666666666666, 1e-12);   // of the second label, as GLUE has it
  EXPECT_NEAR(class_metrics(predicted, right, 3).at("f1"), 0.5833333333333333, 1e-12);
}

TEST(Metrics, FourClassesOneOfThemNeverRight) {
  const Classes predicted{0, 2, 1, 1, 0, 2, 2, 0, 1, 3, 1}, right{0, 1, 1, 2, 0, 2, 2, 1, 1, 2, 0};
  EXPECT_NEAR(accuracy(predicted, right), 0.545454545454545, 1e-12);
  EXPECT_NEAR(macro_f1(predicted, right), 0.434523809523809, 1e-12);
  EXPECT_NEAR(matthews(predicted, right), 0.349626046073549, 1e-12);
}

TEST(Metrics, CorrelationsWithTiesAsSciPyHasThem) {
  const Values predicted{0.1, 2.5, 2.5, 3.7, -1.0, 4.4, 0.0}, right{1.0, 2.0, 3.0, 3.0, 0.5, 5.0, 1.0};
  EXPECT_NEAR(pearson(predicted, right), 0.935805302706052, 1e-12);
  EXPECT_NEAR(spearman(predicted, right), 0.963343294485566, 1e-12);
}

TEST(Metrics, WhatCannotBeToldIsZero) {
  const Classes ones{1, 1, 1}, zeros{0, 0, 0};
  EXPECT_EQ(matthews(ones, ones), 0);
  EXPECT_EQ(f1_of_class(zeros, zeros, 1), 0);
  EXPECT_EQ(accuracy(zeros, zeros), 1);
  EXPECT_EQ(pearson(Values{1, 1, 1}, Values{1, 2, 3}), 0);
  EXPECT_EQ(spearman(Values{1, 2, 3}, Values{2, 2, 2}), 0);
}

TEST(Metrics, ATaskHasItsOwn) {
  EXPECT_TRUE(has_metric(TaskKind::sequence_classification, "matthews"));
  EXPECT_TRUE(has_metric(TaskKind::regression, "spearman"));
  EXPECT_TRUE(has_metric(TaskKind::causal_lm, "accuracy"));
  EXPECT_FALSE(has_metric(TaskKind::regression, "f1"));
  EXPECT_FALSE(has_metric(TaskKind::sequence_classification, "pearson"));
  EXPECT_FALSE(has_metric(TaskKind::causal_lm, "f1"));
}

}  // namespace
}  // namespace graft
