// Cache or pass, and what is said about either.
#include <bit>
#include <chrono>
#include <unordered_set>

#include "graft/core/table.h"
#include "graft/io/file_hash.h"
#include "make_cache.h"

namespace graft {

namespace {

constexpr uint64_t cache_version = 3;  // raised when the same inputs come to give other samples

void check_options(const DataOptions& options) {
  ErrorList errors;
  const auto one_of = [&](std::string_view key, const std::string& value, const std::vector<std::string>& known) {
    if (std::ranges::find(known, value) == known.end()) errors.add("data.{}: '{}' is none of {}", key, value, join(known));
  };
  one_of("train_on", options.train_on, {"assistant", "last", "all"});
  one_of("overlong", options.overlong, {"drop", "truncate", "error"});
  if (options.train.empty()) errors.add("data.train: names no source");
  if (options.max_length < 2) errors.add("data.max_length: {} leaves nothing to predict", options.max_length);
  if (!(options.val_size >= 0 && options.val_size <= 0.9))
    errors.add("data.val_size: {} is not between 0 and 0.9", options.val_size);
  if (options.val_size > 0 && !options.val.empty()) errors.add("data.val and data.val_size are both given: take one");
  errors.raise("the data section cannot be used:");
}

void check_needs(const std::vector<SourceInput>& sources, const PassSetting& setting, const Log& log, ErrorList& errors) {
  for (const SourceInput& source : sources) {
    if (source.format == nullptr) continue;
    const std::string& path = source.options.path;
    if (source.chat && setting.chat == nullptr)
      errors.add("{}: format {} needs a chat template, and the model has none: set model.chat_template (chatml, or a file)", path,
                 source.format->name);
    if (source.chat || source.format->task != TaskKind::causal_lm) continue;
    if (setting.options.append_eos && !setting.tokenizer.eos())
      errors.add("{}: the tokenizer names no EOS token: set data.append_eos=false", path);
    if (setting.options.system) log.warn("data: {}: data.system is not used, these samples are plain text", path);
  }
}

Hash& add_text(Hash& hash, std::string_view text) { return hash.add(uint64_t{text.size()}).add(text); }

/// Whole files, and so the one pass over the data of a start that finds its cache.
FileHashes hash_files(const std::vector<SourceInput>& sources, const std::stop_token& stop) {
  FileHashes hashes;
  for (const SourceInput& source : sources)
    for (const auto& file : source.files) {
      if (stop.stop_requested()) throw Stopped("stopped while the data was read");
      if (!hashes.contains(file.string())) hashes[file.string()] = file_hash(file);
    }
  return hashes;
}

void add_sources(Hash& hash, const std::vector<SourceInput>& sources, const FileHashes& hashes) {
  hash.add(uint64_t{sources.size()});
  for (const SourceInput& source : sources) {
    const DataSource& options = source.options;
    add_text(add_text(hash, options.path), options.format);
    for (const auto& [name, column] : options.columns) add_text(add_text(hash, name), column);
    hash.add(static_cast<uint64_t>(options.limit.value_or(-1))).add(std::bit_cast<uint64_t>(options.repeat));
    for (const auto& file : source.files) add_text(add_text(hash, file.string()), hashes.at(file.string()));
  }
}

/// Of all that decides the samples: the program, the files' contents, the tokenizer, the template, the options.
uint64_t cache_key(const std::vector<SourceInput>& sources, const FileHashes& hashes, const PassSetting& setting) {
  const DataOptions& options = setting.options;
  Hash hash;
  add_text(hash, GRAFT_VERSION).add(cache_version).add(setting.tokenizer.hash()).add(static_cast<uint64_t>(setting.vocab_size));
  add_text(hash, setting.chat ? setting.chat->source() : "");
  add_text(add_text(add_text(hash, options.train_on), options.overlong), options.system ? "system:" + *options.system : "");
  hash.add(static_cast<uint64_t>(options.max_length)).add(std::bit_cast<uint64_t>(options.val_size));
  hash.add(uint64_t{options.append_eos}).add(uint64_t{options.allow_special_tokens_in_content});
  hash.add(static_cast<uint64_t>(setting.task.kind)).add(static_cast<uint64_t>(setting.task.pooling));
  for (const auto& label : setting.task.labels) add_text(hash, label);
  add_sources(hash, sources, hashes);
  return hash.value();
}

std::string drops(const SourceReport& report) {
  std::string text;
  for (const auto& [reason, count] : report.dropped) text += fmt::format(", {} dropped ({})", count, reason);
  if (report.truncated > 0) text += fmt::format(", {} truncated", report.truncated);
  if (report.empty_answers > 0) text += fmt::format(", {} empty answers", report.empty_answers);
  return text;
}

void log_reports(const Dataset& data, std::string_view split, const Log& log) {
  for (const SourceReport& r : data.reports())
    log.info("data: {} {}: {}{}, {} samples{}, {} tokens, {} learnt, length p50 {} p90 {} max {}{}", split, r.path, r.format,
             r.format == "alpaca" ? " (Stanford's prompt as the user's message)" : "", r.samples, drops(r), r.tokens, r.targets,
             r.length_p50, r.length_p90, r.length_max, r.repeat == 1 ? "" : fmt::format(", repeat {}", r.repeat));
}

void check_not_empty(const Dataset& data, std::string_view key) {
  if (data.size() > 0) return;
  std::string why;
  for (const SourceReport& report : data.reports()) why += fmt::format("\n  {}: {}{}", report.path, report.format, drops(report));
  refuse("{}: 0 samples after filtering{}", key, why);
}

struct Splits {
  Dataset rest;
  std::optional<Dataset> held_out;
  FileHashes files;
};

Splits open_or_make(const std::vector<SourceInput>& sources, const PassSetting& setting, const std::filesystem::path& folder,
                    const Log& log, const std::stop_token& stop) {
  const auto begin = std::chrono::steady_clock::now();
  const FileHashes hashes = hash_files(sources, stop);
  const uint64_t key = cache_key(sources, hashes, setting);
  const std::string name = Hash().add(key).hex();
  const bool split = setting.options.val_size > 0;
  const SplitFiles files{folder / (name + ".data"), split ? folder / (name + ".held_out.data") : std::filesystem::path()};
  const auto open = [&]() -> std::optional<Splits> {
    auto rest = open_cache(files.rest, key, log);
    auto held = rest && split ? open_cache(files.held_out, key, log) : std::nullopt;
    if (!rest || (split && !held)) return std::nullopt;
    return Splits{std::move(*rest), std::move(held), hashes};
  };
  if (auto cached = open()) {
    log.info("data: reused {}", files.rest.string());
    return std::move(*cached);
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, "{}: cannot be made: {}", folder.string(), error.message());
  make_cache(sources, setting, files, key, stop);
  auto made = open();
  check(made.has_value(), "{}: cannot be read back", files.rest.string());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  log.info("data: tokenised in {:.1f} s into {}", seconds.count(), files.rest.string());
  return std::move(*made);
}

// Samples held out by name may be in the training files too; val_size cannot do that.
void warn_of_overlap(const Dataset& train, const Dataset& val, const Log& log) {
  std::unordered_set<uint64_t> texts;
  for (int64_t i = 0; i < val.size(); ++i) texts.insert(val.text_hash(i));
  int64_t both = 0;
  for (int64_t i = 0; i < train.size(); ++i) both += texts.contains(train.text_hash(i));
  if (both > 0) log.warn("data: {} samples of data.train are in data.val too", both);
}

}  // namespace

PreparedData prepare_data(const DataOptions& options, const Tokenizer& tokenizer, const ChatTemplate* chat, int64_t vocab_size,
                          const std::filesystem::path& cache_folder, const Log& log, std::stop_token stop, const Task& task) {
  check_options(options);
  const PassSetting setting{options, tokenizer, chat, vocab_size, task};
  ErrorList errors;
  const auto train_sources = open_sources(options.train, Answer::needed, errors, &task.kind);
  const auto val_sources = open_sources(options.val, Answer::needed, errors, &task.kind);
  check_needs(train_sources, setting, log, errors);
  check_needs(val_sources, setting, log, errors);
  errors.raise("the data cannot be used:");

  std::optional<Splits> train, val;
  const auto open = [&](std::optional<Splits>& split, const std::vector<SourceInput>& sources) {
    try {
      if (!sources.empty()) split = open_or_make(sources, setting, cache_folder, log, stop);
    } catch (const RequestError& e) {
      errors.add("{}", e.what());  // the faults of the other split are to be told in the same go
    }
  };
  open(train, train_sources);
  open(val, val_sources);
  errors.raise("the data cannot be used:");
  PreparedData data{train->rest, val ? val->rest : std::move(train->held_out), std::move(train->files)};
  log_reports(data.train, "train", log);
  check_not_empty(data.train, "data.train");
  if (!data.val) return data;
  log_reports(*data.val, options.val.empty() ? "held out of" : "val", log);
  check_not_empty(*data.val, options.val.empty() ? fmt::format("data.val_size={}", options.val_size) : "data.val");
  if (!options.val.empty()) warn_of_overlap(data.train, *data.val, log);
  return data;
}

}  // namespace graft
