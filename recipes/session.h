#pragma once
// What every verb needs first: the base's files, its tokenizer and template, and where things lie on this machine.
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/models/load.h"
#include "graft/text/chat_template.h"
#include "job.h"

namespace graft {

struct Base {
  std::unique_ptr<ModelFiles> files;
  Tokenizer tokenizer;
  std::string template_source;            // "" if there is none
  std::optional<ChatTemplate> chat;
};

/// The model as a verb uses it: from the base's files, or from the stored quantised base where the options ask for one.
std::shared_ptr<Transformer> load_base(const Base& base, const LoadOptions& options, const Log& log, std::stop_token stop = {});

/// What the data pass takes: the template, or null where the model has none.
const ChatTemplate* chat_or_null(const Base& base);
/// The adapter as it trains over this model: model.new_tokens are the tokenizer's last, and their vectors are always trained.
AdapterOptions with_new_tokens(AdapterOptions adapter, const ModelOptions& model, const Tokenizer& tokenizer);
/// How many virtual tokens an adapter puts in front of each sample: data.max_length and a model's positions count them.
int64_t virtual_tokens_of(const std::optional<AdapterOptions>& adapter);
/// The job's data as this model's ids and labels, from the cache of this machine where it is there. An outline does.
PreparedData prepare_for(const Base& base, const Transformer& model, DataOptions options, int64_t virtual_tokens, const Log& log, std::stop_token stop = {});

/// Opens the files and reads tokenizer and template; no weights yet.
Base open_base(const ModelOptions& options);

/// Ids that end an answer: eos of config.json and generation_config.json, the tokenizer's, and the template's own end of turn.
std::vector<int32_t> stop_ids(const Base& base);
/// The token with which the template ends an assistant's turn, if it is one token.
std::optional<int32_t> end_of_turn(const Base& base);

/// $GRAFT_CACHE, else $XDG_CACHE_HOME/graft, else ~/.cache/graft.
std::filesystem::path cache_folder();

/// Whether a path is a run's folder (it has a job.yaml and checkpoints).
bool is_run_folder(const std::filesystem::path& path);
/// Where an adapter lies: the folder itself, or of a run the one inside it.
std::filesystem::path adapter_in(const std::filesystem::path& folder);
Job read_run_job(const std::filesystem::path& run);

/// What the verbs that use a trained model take: a run's folder, or a model with an optional adapter folder.
struct Target {
  ModelOptions model;
  QuantizationOptions quantization;        // of the base that the adapter was trained on
  std::optional<AdapterOptions> adapter;
  std::string adapter_name = "default";    // under which it is seated
  std::optional<at::ScalarType> dtype;     // of a run: that it computed in
  TensorMap values;                        // of a run's adapter, by load_parameters' names ...
  std::filesystem::path adapter_folder;    // ... or where a model's adapter lies
  uint64_t seed = 42;                     // of a run: of the head that the base's files lack
  std::string what;                       // for messages: "runs/x, step 40"
};
/// `checkpoint`: "last", "best" or a step; only for runs.
Target open_target(const std::string& path, const std::string& adapter_folder, const std::string& checkpoint, const Log& log);
/// The same where several adapters may be meant: all of a run of several, or one a folder of `adapter_folders` (FOLDER or NAME=FOLDER).
/// They have one model.
std::vector<Target> open_targets(const std::string& path, const std::vector<std::string>& adapter_folders, const std::string& checkpoint, const Log& log);

/// Seats the target's adapter in its model under its name, as it was trained (an outline gets no fake quantisation); returns the name to
/// use ("" without one).
std::string seat_target(Transformer& model, const Target& target, const Log& log);

}  // namespace graft
