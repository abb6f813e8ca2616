#pragma once
// How good predictions are, as scikit-learn and SciPy count it. Pure functions of what was predicted and what was right, by class or value.
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "graft/data/task.h"

namespace graft {

double accuracy(std::span<const int64_t> predicted, std::span<const int64_t> right);
/// F1 of one class against all others: 2 tp / (2 tp + fp + fn); 0 where nothing was or should have been of it.
double f1_of_class(std::span<const int64_t> predicted, std::span<const int64_t> right, int64_t positive);
/// The mean of the classes' F1, over those that were predicted or right.
double macro_f1(std::span<const int64_t> predicted, std::span<const int64_t> right);
/// Matthews' correlation (Gorodkin 2004 for more than two classes); 0 where one side is of a single class.
double matthews(std::span<const int64_t> predicted, std::span<const int64_t> right);

/// Correlations; 0 where one side is constant. Ties share their mean rank.
double pearson(std::span<const double> predicted, std::span<const double> right);
double spearman(std::span<const double> predicted, std::span<const double> right);

/// By name: accuracy, f1 (of two labels the second's, of more the macro), macro_f1, matthews.
std::map<std::string, double> class_metrics(std::span<const int64_t> predicted, std::span<const int64_t> right, size_t labels);
/// pearson, spearman.
std::map<std::string, double> value_metrics(std::span<const double> predicted, std::span<const double> right);

/// Whether evaluating such a task gives a metric of this name (eval.metric; "loss" always).
bool has_metric(TaskKind task, const std::string& name);

}  // namespace graft
