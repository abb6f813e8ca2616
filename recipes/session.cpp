#include "session.h"

#include <cstdlib>
#include <set>

#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/peft/adapter_file.h"
#include "graft/peft/qat.h"
#include "graft/train/checkpoint.h"
#include "jobs.h"
#include "quantize.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

std::string token_text(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  return id ? std::string(tokenizer.id_to_token(*id)) : std::string();
}

void add_ids(const Json& value, std::set<int32_t>& ids) {
  if (value.is_number_integer()) ids.insert(value.get<int32_t>());
  if (value.is_array())
    for (const auto& item : value) add_ids(item, ids);
}

Checkpoint chosen_checkpoint(const CheckpointFolder& checkpoints, const std::string& choice, const fs::path& run) {
  if (choice == "last" || choice == "best") {
    std::optional<Checkpoint> last = checkpoints.read_last();
    require(last.has_value(), "{}: has no complete checkpoint yet", run.string());
    if (choice == "last") return std::move(*last);
    require(last->state.best_step > 0, "{}: no evaluation has named a best checkpoint", run.string());
    return checkpoints.read(last->state.best_step);
  }
  const auto steps = checkpoints.steps();
  for (const int64_t step : steps)
    if (std::to_string(step) == choice) return checkpoints.read(step);
  refuse("{}: no checkpoint '{}'; there are: last, best, {}", run.string(), choice, fmt::join(steps, ", "));
}

/// The tokens that an adapter's base has grown by: the tokenizer beside the adapter spells those that the model's own lacks.
std::vector<std::string> new_tokens_of(const AdapterOptions& adapter, const fs::path& folder, const std::string& model) {
  const auto& trained = adapter.trainable_token_indices;
  if (trained.empty()) return {};
  const int32_t known = open_model_files(model)->tokenizer().vocab_size();
  const int32_t last = *std::max_element(trained.begin(), trained.end());
  if (last < known) return {};
  require(fs::exists(folder / "tokenizer.json"), "{}: trains token {}, and {} has {}: the tokenizer.json of the grown vocabulary belongs beside it", folder.string(), last, model, known);
  const Tokenizer grown = Tokenizer::from_json(read_text(folder / "tokenizer.json"));
  require(last < grown.vocab_size(), "{}: trains token {}, and its own tokenizer has {}", folder.string(), last, grown.vocab_size());
  std::vector<std::string> tokens;
  for (int32_t id = known; id < grown.vocab_size(); ++id) tokens.emplace_back(grown.id_to_token(id));
  return tokens;
}

/// NAME=FOLDER, or a folder, whose last part is the name.
std::pair<std::string, std::string> named_folder(const std::string& given) {
  const size_t equals = given.find('=');
  if (equals != std::string::npos && !fs::exists(given)) return {given.substr(0, equals), given.substr(equals + 1)};
  const fs::path clean = (fs::path(given) / "").lexically_normal().parent_path();
  return {clean.filename().string(), given};
}

}  // namespace

Base open_base(const ModelOptions& options) {
  auto files = open_grown_files(open_model_files(options.path), options.new_tokens);
  Tokenizer tokenizer = files->tokenizer();
  const std::string source = chat_template_source(options.chat_template, files->chat_template());
  Base base{std::move(files), std::move(tokenizer), source, std::nullopt};
  if (!source.empty()) base.chat.emplace(source, token_text(base.tokenizer, base.tokenizer.bos()), token_text(base.tokenizer, base.tokenizer.eos()));
  return base;
}

std::shared_ptr<Transformer> load_base(const Base& base, const LoadOptions& options, const Log& log, std::stop_token stop) {
  if (!options.quantization.store || options.quantization.format == "none") return load_model(*base.files, options, log, std::move(stop));
  const auto files = stored_base(base, options.quantization, options.device, log, stop);
  return load_model(*files, options, log, std::move(stop));
}

const ChatTemplate* chat_or_null(const Base& base) { return base.chat ? &*base.chat : nullptr; }

AdapterOptions with_new_tokens(AdapterOptions adapter, const ModelOptions& model, const Tokenizer& tokenizer) {
  auto& trained = adapter.trainable_token_indices;
  const auto count = static_cast<int32_t>(model.new_tokens.size());
  for (int32_t id = tokenizer.vocab_size() - count; id < tokenizer.vocab_size(); ++id)
    if (std::find(trained.begin(), trained.end(), id) == trained.end()) trained.push_back(id);
  return adapter;
}

int64_t virtual_tokens_of(const std::optional<AdapterOptions>& adapter) {
  int64_t count = 0;
  if (adapter)
    std::visit([&](const auto& options) {
      if constexpr (requires { options.num_virtual_tokens; }) count = options.num_virtual_tokens;
    }, adapter->options);
  return count;
}

PreparedData prepare_for(const Base& base, const Transformer& model, DataOptions options, int64_t virtual_tokens, const Log& log, std::stop_token stop) {
  if (model.has_position_table() && options.max_length > model.max_positions()) {
    log.info("data.max_length is {}; the model has {} positions, which is the limit here", options.max_length, model.max_positions());
    options.max_length = static_cast<int>(model.max_positions());
  }
  options.max_length -= static_cast<int>(virtual_tokens);
  require(options.max_length >= 2, "data.max_length leaves no room: the adapter takes {} of it for virtual tokens", virtual_tokens);
  return prepare_data(options, base.tokenizer, chat_or_null(base), model.vocab_size(), cache_folder() / "data", log, std::move(stop), model.task());
}

std::optional<int32_t> end_of_turn(const Base& base) {
  if (!base.chat) return std::nullopt;
  Conversation conversation;
  conversation.messages = Json::array({{{"role", "user"}, {"content", "a"}}, {{"role", "assistant"}, {"content", "b"}}});
  try {
    const ChatTokens tokens = encode_chat(base.tokenizer, *base.chat, conversation);
    for (size_t i = tokens.ids.size(); i-- > 0;)
      if (tokens.assistant_message[i] >= 0) return base.tokenizer.is_special(tokens.ids[i]) ? std::optional(tokens.ids[i]) : std::nullopt;
  } catch (const Error&) {   // a template that wants other conversations ends its turns in its own way
  }
  return std::nullopt;
}

std::vector<int32_t> stop_ids(const Base& base) {
  std::set<int32_t> ids;
  add_ids(base.files->config().value("eos_token_id", Json()), ids);
  if (const Json generation = base.files->generation_config(); generation.is_object()) add_ids(generation.value("eos_token_id", Json()), ids);
  if (const auto eos = base.tokenizer.eos()) ids.insert(*eos);
  if (const auto end = end_of_turn(base)) ids.insert(*end);
  return {ids.begin(), ids.end()};
}

fs::path cache_folder() {
  if (const char* folder = std::getenv("GRAFT_CACHE"); folder && *folder) return folder;
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) return fs::path(folder) / "graft";
  const char* home = std::getenv("HOME");
  return fs::path(home && *home ? home : "/tmp") / ".cache" / "graft";
}

bool is_run_folder(const fs::path& path) { return fs::exists(path / "job.yaml") && fs::exists(path / "checkpoints"); }

fs::path adapter_in(const fs::path& folder) { return is_run_folder(folder) ? folder / "adapter" : folder; }

Job read_run_job(const fs::path& run) {
  require(fs::exists(run / "job.yaml"), "{}: not a run's folder (no job.yaml)", run.string());
  return read_job<Job>(read_config(run / "job.yaml"));
}

Target open_target(const std::string& path, const std::string& adapter_folder, const std::string& checkpoint, const Log& log) {
  Target target;
  if (!is_run_folder(path)) {
    require(adapter_runs(path).empty(), "{} holds a run of several adapters: name the folder of one of them", path);
    require(checkpoint.empty() || checkpoint == "last", "--checkpoint is for runs; {} is a model", path);
    target.model.path = path, target.what = path;
    if (adapter_folder.empty()) return target;
    target.adapter = read_adapter_options(adapter_folder, log);
    target.adapter_folder = adapter_folder;
    target.model.new_tokens = new_tokens_of(*target.adapter, adapter_folder, path);
    target.what += " with " + adapter_folder;
    return target;
  }
  require(adapter_folder.empty(), "--adapter is for models; {} is a run, which has its own", path);
  const Job job = read_run_job(path);
  const CheckpointFolder checkpoints(fs::path(path) / "checkpoints", log);
  const Checkpoint read = chosen_checkpoint(checkpoints, checkpoint.empty() ? "last" : checkpoint, path);
  target.model = job.model;
  target.quantization = job.quantization;
  target.adapter = job.adapter;
  target.seed = job.train.seed;
  target.dtype = dtype_from_name(read.facts.value("dtype", std::string("fp32")), at::kCUDA);
  target.values = read.adapter;
  target.what = fmt::format("{}, step {}", path, read.state.step);
  return target;
}

std::vector<Target> open_targets(const std::string& path, const std::vector<std::string>& adapter_folders, const std::string& checkpoint, const Log& log) {
  std::vector<Target> targets;
  if (adapter_folders.empty())
    for (const auto& [name, run] : adapter_runs(path)) {
      targets.push_back(open_target(run.string(), "", checkpoint, log));
      targets.back().adapter_name = name;
    }
  if (!targets.empty()) return targets;
  if (adapter_folders.empty()) return {open_target(path, "", checkpoint, log)};
  std::set<std::string> names;
  for (const auto& given : adapter_folders) {
    const auto [name, folder] = named_folder(given);
    targets.push_back(open_target(path, folder, checkpoint, log));
    targets.back().adapter_name = name;
    require(targets.back().model.new_tokens == targets.front().model.new_tokens, "{} and {} belong to vocabularies that grew apart", targets.front().adapter_name, name);
    require(names.insert(name).second, "two adapters are named '{}': give one another name: NAME={}", name, folder);
  }
  return targets;
}

std::string seat_target(Transformer& model, const Target& target, const Log& log) {
  if (!target.adapter) return "";
  const std::string& name = target.adapter_name;
  graft_adapter(model, name, *target.adapter, GraftSetting{.fresh = false}, log);
  if (target.adapter_folder.empty())
    load_parameters(model, name, target.values, target.what);
  else
    load_adapter_values(model, name, *target.adapter, target.adapter_folder);
  if (!model.device().is_meta()) add_fake_quantization(model, name, target.quantization, log);
  return name;
}

}  // namespace graft
