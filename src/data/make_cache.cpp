#include "make_cache.h"

#include <algorithm>
#include <cmath>

#include "faults.h"
#include "pass.h"

namespace graft {

namespace {

struct Prepared {
  SampleTokens tokens;
  uint64_t text_hash = 0;
  int64_t line = 0;
  bool truncated = false;
  std::string dropped;  // the reason, or ""
  std::string fault;
};

struct PreparedChunk {
  size_t source = 0, file = 0;
  std::vector<Prepared> samples;
  std::string fault;
};

void check_ids(const SampleTokens& tokens, const PassSetting& setting) {
  const auto fits = [&](int32_t id) { return id >= 0 && id < setting.vocab_size; };
  const auto id = std::ranges::find_if_not(tokens.ids, fits);
  if (id == tokens.ids.end()) return;
  refuse("token id {} ('{}') is outside the model's vocabulary of {}", *id, setting.tokenizer.id_to_token(*id),
         setting.vocab_size);
}

void fit_length(Prepared& prepared, const DataOptions& options) {
  const auto limit = static_cast<size_t>(options.max_length);
  const size_t length = prepared.tokens.ids.size();
  if (length <= limit) return;
  require(options.overlong != "error", "{} tokens, more than data.max_length {}", length, limit);
  if (options.overlong == "drop") {
    prepared.dropped = "overlong";
  } else {
    truncate(prepared.tokens, limit);
    prepared.truncated = true;
  }
}

Prepared prepare_sample(const Record& record, const SourceInput& source, size_t file, const PassSetting& setting) {
  Prepared prepared;
  prepared.line = record.line;
  try {
    Sample sample = read_sample(record, source, file, Answer::needed);
    prepared.text_hash = sample_hash(sample);
    in_place(source.files[file], record, [&] {
      prepared.tokens = encode_sample(std::move(sample), setting.options, setting.tokenizer, setting.chat, setting.task);
      check_ids(prepared.tokens, setting);
      fit_length(prepared, setting.options);
    });
  } catch (const Error& e) {
    prepared.fault = e.what();
    return prepared;
  }
  prepared.truncated |= prepared.tokens.truncated;
  if (prepared.dropped.empty() && target_count(prepared.tokens) == 0)
    prepared.dropped = prepared.truncated ? "nothing to learn after truncation" : "nothing to learn";
  return prepared;
}

bool held_out(uint64_t text_hash, double share) { return static_cast<double>(text_hash) < std::ldexp(share, 64); }

std::vector<SourceReport> empty_reports(const std::vector<SourceInput>& sources) {
  std::vector<SourceReport> reports;
  for (const auto& source : sources) {
    SourceReport report;
    report.path = source.options.path;
    report.format = source.format ? source.format->name : "auto";
    report.repeat = source.options.repeat;
    reports.push_back(report);
  }
  return reports;
}

/// The writing end of the pass: faults, and the samples of one or two splits.
class Splitter {
 public:
  Splitter(const std::vector<SourceInput>& sources, double share, CacheWriter& rest, CacheWriter* held)
      : share_(share), rest_(rest), held_(held) {
    for (const auto& source : sources) {
      first_file_.push_back(files_.size());
      for (const auto& file : source.files) files_.push_back(file.string());
    }
  }

  void take(const PreparedChunk& chunk) {
    for (const Prepared& sample : chunk.samples) take(sample, chunk);
    if (!chunk.fault.empty()) faults_.add(chunk.fault);
  }

  void finish() {
    faults_.raise();
    rest_.finish(files_);
    if (held_ != nullptr) held_->finish(files_);
  }

 private:
  void take(const Prepared& sample, const PreparedChunk& chunk) {
    if (!sample.fault.empty()) return faults_.add(sample.fault);
    CacheWriter& split = held_ != nullptr && held_out(sample.text_hash, share_) ? *held_ : rest_;
    SourceReport& report = split.report(chunk.source);
    if (!sample.dropped.empty()) {
      ++report.dropped[sample.dropped];
      return;
    }
    report.truncated += sample.truncated;
    report.empty_answers += sample.tokens.empty_answers;
    CacheEntry origin{};
    origin.line = static_cast<uint64_t>(sample.line);
    origin.text_hash = sample.text_hash;
    origin.file = static_cast<uint32_t>(first_file_[chunk.source] + chunk.file);
    origin.source = static_cast<uint32_t>(chunk.source);
    split.add(sample.tokens, origin);
  }

  double share_;
  CacheWriter& rest_;
  CacheWriter* held_;
  std::vector<std::string> files_;
  std::vector<size_t> first_file_;
  FaultList faults_;
};

}  // namespace

void make_cache(const std::vector<SourceInput>& sources, const PassSetting& setting, const SplitFiles& files, uint64_t key,
                const std::stop_token& stop) {
  CacheWriter rest(files.rest, key, empty_reports(sources), setting.task);
  std::optional<CacheWriter> held;
  if (!files.held_out.empty()) held.emplace(files.held_out, key, empty_reports(sources), setting.task);
  Splitter splitter(sources, setting.options.val_size, rest, held ? &*held : nullptr);
  SourceStream stream(sources);
  OrderedPass<RecordChunk, PreparedChunk> pass;
  pass.read = [&](RecordChunk& chunk) { return stream.next(chunk); };
  pass.work = [&](const RecordChunk& chunk) {
    PreparedChunk result{chunk.source, chunk.file, {}, chunk.fault};
    for (const Record& record : chunk.records)
      result.samples.push_back(prepare_sample(record, sources[chunk.source], chunk.file, setting));
    return result;
  };
  pass.write = [&](PreparedChunk&& chunk) { splitter.take(chunk); };
  pass.run(stop);
  splitter.finish();
}

}  // namespace graft
