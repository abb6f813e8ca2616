#pragma once
// A run, or several beside each other, as one HTML page to look at and pass on.
// Goals: one file that needs nothing else and may load nothing else, light and dark, on a desk, on a phone and on paper; data
// files' texts stay text, whatever they hold. Non-goals: watching live (TensorBoard does), judging a run.
#include <string>
#include <vector>

#include "graft/report/run_history.h"

namespace graft {

std::string run_page(const RunHistory& run);

/// A key of the jobs that is not the same in all of them.
struct KeyDifference {
  std::string key;
  std::vector<std::string> values;  // one a run
};
std::string comparison_page(const std::vector<RunHistory>& runs, const std::vector<KeyDifference>& differences);

}  // namespace graft
