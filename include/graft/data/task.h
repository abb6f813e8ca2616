#pragma once
// What is asked of a model: the next token, or one class or number a text, or a class a token. The data says it, the model's head follows it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graft/config/visit.h"

namespace graft {

enum class TaskKind : uint32_t { causal_lm, sequence_classification, token_classification, regression };

/// Which hidden state speaks for a text: the first position's (even where a virtual token stands there, as PEFT does), the mean over the
/// text's real tokens, or the last real token's. automatic: the family's own.
enum class Pooling : uint32_t { automatic, cls, mean, last };

struct Task {
  TaskKind kind = TaskKind::causal_lm;
  std::vector<std::string> labels;        // the classes' names, in order; none for causal_lm and regression
  Pooling pooling = Pooling::automatic;   // of a model's own task: never automatic
  uint64_t seed = 42;                     // of a head that the model's files lack

  /// How many numbers a head gives; 0 for causal_lm, which has the vocabulary's.
  int64_t outputs() const { return kind == TaskKind::regression ? 1 : static_cast<int64_t>(labels.size()); }
  bool operator==(const Task& other) const {
    return kind == other.kind && labels == other.labels && pooling == other.pooling && (kind == TaskKind::causal_lm || seed == other.seed);
  }
  /// One label a text (not one a token).
  bool labels_texts() const { return kind == TaskKind::sequence_classification || kind == TaskKind::regression; }
};

TaskKind task_kind(std::string_view name);   // RequestErrors name the known ones
std::string_view name_of(TaskKind kind);
Pooling pooling_named(std::string_view name);
std::string_view name_of(Pooling pooling);
/// The same names as a section's choices; the task's begin with "auto": as the data says.
Choices task_names();
Choices pooling_names();

}  // namespace graft
