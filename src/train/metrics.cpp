#include "graft/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "graft/core/error.h"

namespace graft {
namespace {

void check_pairs(size_t predicted, size_t right) { check(predicted == right && right > 0, "metrics of {} predictions for {} answers", predicted, right); }

/// Ranks from 1; equal values share the mean of theirs.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> rank(values.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) rank[order[i]] = (static_cast<double>(begin + end) + 1) / 2;
  }
  return rank;
}

double mean(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()); }

}  // namespace

double accuracy(std::span<const int64_t> predicted, std::span<const int64_t> right) {
  check_pairs(predicted.size(), right.size());
  double same = 0;
  for (size_t i = 0; i < right.size(); ++i) same += predicted[i] == right[i];
  return same / static_cast<double>(right.size());
}

double f1_of_class(std::span<const int64_t> predicted, std::span<const int64_t> right, int64_t positive) {
  check_pairs(predicted.size(), right.size());
  double both = 0, either = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    both += predicted[i] == positive && right[i] == positive;
    either += (predicted[i] == positive) + (right[i] == positive);
  }
  return either == 0 ? 0 : 2 * both / either;
}

double macro_f1(std::span<const int64_t> predicted, std::span<const int64_t> right) {
  std::set<int64_t> classes(predicted.begin(), predicted.end());
  classes.insert(right.begin(), right.end());
  double sum = 0;
  for (const int64_t c : classes) sum += f1_of_class(predicted, right, c);
  return sum / static_cast<double>(classes.size());
}

double matthews(std::span<const int64_t> predicted, std::span<const int64_t> right) {
  check_pairs(predicted.size(), right.size());
  std::map<int64_t, double> guessed, true_count;
  double same = 0;
  for (size_t i = 0; i < right.size(); ++i) same += predicted[i] == right[i], ++guessed[predicted[i]], ++true_count[right[i]];
  const auto n = static_cast<double>(right.size());
  double cross = 0, guessed_square = 0, true_square = 0;
  for (const auto& [c, count] : guessed) {
    guessed_square += count * count;
    if (const auto it = true_count.find(c); it != true_count.end()) cross += count * it->second;
  }
  for (const auto& [c, count] : true_count) true_square += count * count;
  const double spread = (n * n - guessed_square) * (n * n - true_square);
  return spread == 0 ? 0 : (same * n - cross) / std::sqrt(spread);
}

double pearson(std::span<const double> predicted, std::span<const double> right) {
  check_pairs(predicted.size(), right.size());
  const double a = mean(predicted), b = mean(right);
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < right.size(); ++i) {
    const double x = predicted[i] - a, y = right[i] - b;
    ab += x * y, aa += x * x, bb += y * y;
  }
  return aa == 0 || bb == 0 ? 0 : ab / std::sqrt(aa * bb);
}

double spearman(std::span<const double> predicted, std::span<const double> right) { return pearson(ranks(predicted), ranks(right)); }

std::map<std::string, double> class_metrics(std::span<const int64_t> predicted, std::span<const int64_t> right, size_t labels) {
  const double macro = macro_f1(predicted, right);
  return {{"accuracy", accuracy(predicted, right)}, {"f1", labels == 2 ? f1_of_class(predicted, right, 1) : macro}, {"macro_f1", macro},
          {"matthews", matthews(predicted, right)}};
}

std::map<std::string, double> value_metrics(std::span<const double> predicted, std::span<const double> right) {
  return {{"pearson", pearson(predicted, right)}, {"spearman", spearman(predicted, right)}};
}

bool has_metric(TaskKind task, const std::string& name) {
  if (name == "loss") return true;
  if (task == TaskKind::causal_lm) return name == "accuracy";
  const bool of_values = name == "pearson" || name == "spearman";
  return task == TaskKind::regression ? of_values : !of_values;
}

}  // namespace graft
