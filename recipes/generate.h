#pragma once
// Answers from a model or a run: one prompt, a chat on the terminal, or a file of samples.
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/core/log.h"
#include "graft/models/generate.h"
#include "session.h"

namespace graft {

/// How several adapters answer a prompt (Lester et al. 2021, section 6): one of them, all by the mean of their logits, or by majority (the
/// earliest of equals wins).
enum class Ensemble { none, mean, vote };

/// A loaded base with adapters, ready to answer.
struct Speaker {
  Base base;
  std::shared_ptr<Transformer> model;
  std::string adapter;                  // the one that answers where a sample names none; "": the base, or none is chosen of several
  std::vector<int32_t> stops;
  std::vector<std::string> adapters{};  // all that are seated
  Ensemble ensemble = Ensemble::none;

  /// Who answers: all in an ensemble, else the adapter that a sample names, else the speaker's. A RequestError if that is none of them.
  std::vector<std::string> asked(const std::string& named, const std::string& origin) const;
};
Speaker open_speaker(const std::vector<Target>& targets, const std::string& device, const std::string& dtype, const Log& log, std::stop_token stop);
Speaker open_speaker(const Target& target, const std::string& device, const std::string& dtype, const Log& log, std::stop_token stop);

/// The ids of a prompt: as a user's turn if the model has a chat template (unless `raw`), else as text.
std::vector<int32_t> prompt_ids(const Base& base, const std::string& text, const std::string& system, bool raw);
/// ... of a whole conversation, with the generation prompt.
std::vector<int32_t> conversation_ids(const Base& base, const Json& messages);

/// One prompt's answer; of a vote, when all have answered.
std::string answer(Speaker& speaker, const std::vector<int32_t>& prompt, const GenerateOptions& options,
                   const std::function<void(const std::string&)>& on_text, std::stop_token stop);

/// Complete lines of a file that an earlier, stopped command wrote; a half-written last line is cut off.
int64_t keep_complete_lines(const std::filesystem::path& out);

/// Answers every sample of a data file, in batches, into a JSONL file: {"index", "prediction", "reference"?}. A batch may ask another adapter
/// for each sample. Lines that are there
/// already are kept: the command goes on where it was stopped.
int64_t answer_file(Speaker& speaker, const DataOptions& data, const std::filesystem::path& out, int64_t batch_size,
                    const GenerateOptions& options, const Log& log, std::stop_token stop);

}  // namespace graft
