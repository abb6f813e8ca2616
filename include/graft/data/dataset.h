#pragma once
// From files to token ids with a mask of what is learnt. Goals: every fault of the data is found in one parallel pass before the first
// step, with file and line; nothing needs the whole text in memory; what was dropped is counted. Non-goals: torch, shuffling
// (batches.h).
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/config/visit.h"
#include "graft/core/log.h"
#include "graft/data/task.h"
#include "graft/text/chat_template.h"
#include "graft/text/tokenizer.h"

namespace graft {

struct DataSource {
  std::string path;                             // a file or a glob
  std::string format = "auto";                  // of the table in formats.cpp
  std::map<std::string, std::string> columns;   // our field name -> the file's, for other column names
  std::optional<int64_t> limit;
  double repeat = 1;
  void visit(auto& v) {
    v("path", path, "a .jsonl, .jsonl.gz or .json file, or a glob");
    v("format", format, "layout of a sample", {"auto", "messages", "sharegpt", "alpaca", "prompt_completion", "text", "classification", "token_classification"});
    v("columns", columns, "graft's field name: the file's column, where they differ");
    v("limit", limit, "read at most so many samples", AtLeast(1));
    v("repeat", repeat, "how often each sample is seen in an epoch; 0.5: a different half of them in each", MoreThan(0));
  }
};

struct DataOptions {
  std::vector<DataSource> train;
  std::vector<DataSource> val;
  double val_size = 0;
  std::string train_on = "assistant";
  int max_length = 2048;
  std::string overlong = "drop";
  bool packing = false;
  bool append_eos = true;
  std::optional<std::string> system;
  bool allow_special_tokens_in_content = false;
  void visit(auto& v) {
    v("train", train, "what to learn from: a list of sources");
    v("val", val, "held-out sources");
    v("val_size", val_size, "share held out by a hash of the text, when `val` names none", Between(0, 0.9));
    v("train_on", train_on, "whose tokens are learnt: every assistant turn, the last one, or everything", {"assistant", "last", "all"});
    v("max_length", max_length, "longest sample, in tokens", AtLeast(2));
    v("overlong", overlong, "what to do with longer ones", {"drop", "truncate", "error"});
    v("packing", packing, "lay short samples side by side in rows of max_length; none sees another, and train.micro_batch_size counts rows");
    v("append_eos", append_eos, "end `text` and `prompt_completion` samples with EOS");
    v("system", system, "system message for conversations that have none");
    v("allow_special_tokens_in_content", allow_special_tokens_in_content, "parse special tokens inside messages (unsafe on user text)");
  }
};

/// One sample, ready. It lives as long as its Dataset.
struct SampleView {
  std::span<const int32_t> ids;
  std::span<const uint8_t> learn;    // language: which ids are learnt (as targets; the first is never one); else empty
  std::span<const int32_t> labels{}; // a class a token (-100: none), one class, or one number (a float's bits); language: empty
  std::span<const uint8_t> types{};  // 1 in the second text of a pair; language: empty
};

inline constexpr int32_t no_label = -100;

/// A source's samples lie together in a dataset, in the order of the reports.
struct SourceReport {
  std::string path, format;
  int64_t samples = 0, tokens = 0, targets = 0;
  int64_t truncated = 0;
  int64_t empty_answers = 0;                      // learnt turns without text: they train their end token alone
  double repeat = 1;
  std::map<std::string, int64_t> dropped;         // by reason
  int64_t length_p50 = 0, length_p90 = 0, length_max = 0;
};

/// A prepared split: a mapped cache file, keyed by the hash of data, tokenizer, template and options.
class Dataset {
 public:
  int64_t size() const;
  SampleView sample(int64_t index) const;
  int64_t length(int64_t index) const;
  int64_t target_count(int64_t index) const;
  int64_t total_targets() const;
  const std::vector<SourceReport>& reports() const;
  uint64_t hash() const;                          // of content: a checkpoint remembers it
  const Task& task() const;                       // that its labels are for
  /// For `show`: file and line that the sample came from.
  std::string origin(int64_t index) const;
  /// Of what the file says: equal for duplicates.
  uint64_t text_hash(int64_t index) const;

  struct Impl;
  explicit Dataset(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

using FileHashes = std::map<std::string, std::string>;   // by path, as io/file_hash.h makes them

struct PreparedData {
  Dataset train;
  std::optional<Dataset> val;
  FileHashes train_files;   // that `train` (and what is held out of it) was read from
};

/// Reads, renders, tokenises and checks everything (all faults at once: a RequestError with file and line each), or maps the cache of
/// an earlier run. `chat` may be null where no source needs it; `vocab_size` is the model's number of embedding rows; `task`, with its
/// labels and pooling, is the model's.
PreparedData prepare_data(const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat, int64_t vocab_size,
                          const std::filesystem::path& cache_folder, const Log& log = {}, std::stop_token stop = {}, const Task& task = {});

/// Prompts for `generate --data` and `evaluate`: each sample without its last assistant turn, and that turn's text; or a text for a
/// classifier, and its label.
struct PromptSample {
  std::vector<int32_t> prompt;        // ends with the generation prompt
  std::string reference{};            // the last assistant turn's (or completion's) text, or the label's; "" if none
  std::vector<int32_t> reference_ids{}; // as trained: the target ids that follow the prompt
  std::string origin{};
  std::string adapter{};              // the record's own field of this name: which of several adapters is asked
  std::vector<uint8_t> types{};       // of a classifier's texts: as in SampleView
  std::vector<int32_t> labels{};      // ... too; class 0 (or 0.0) stands for what the file does not say
  SampleView view() const { return {prompt, {}, labels, types}; }
};
std::vector<PromptSample> read_prompts(const std::vector<DataSource>& sources, const DataOptions& options, const Tokenizer& tokenizer,
                                       const ChatTemplate* chat, const Task& task = {});

}  // namespace graft
