#include "stream.h"

#include <algorithm>

#include "graft/core/table.h"

namespace graft {

namespace {

constexpr size_t probe_records = 16;
constexpr size_t chunk_records = 128;
constexpr size_t chunk_bytes = size_t{1} << 20;

// The source's first records. A damaged one is passed over here: the pass reports it with all others. If the format is to be told
// by them and there is nothing else, it is an error at once.
std::vector<Json> first_records(const SourceInput& source) {
  std::vector<Json> records;
  std::string fault;
  for (const auto& file : source.files) {
    const auto reader = open_records(file);
    Record record;
    for (size_t i = 0; i < probe_records && reader->next(record); ++i) {
      try {
        records.push_back(parse_record(record, file));
      } catch (const Error& e) {
        if (fault.empty()) fault = e.what();
      }
    }
    if (!records.empty()) return records;
  }
  require(fault.empty() || source.format != nullptr, "{}", fault);
  return records;
}

SourceInput open_source(const DataSource& options, Answer answer, const TaskKind* task) {
  SourceInput source{options, source_files(options.path), nullptr, false};
  require(!options.limit || *options.limit > 0, "{}: limit must be at least 1", options.path);
  require(options.repeat > 0, "{}: repeat must be more than 0", options.path);
  if (options.format != "auto") source.format = &find_row(data_formats(), options.format, "data format");
  check_columns(source.format, options.columns);
  const std::vector<Json> records = first_records(source);
  if (records.empty() && source.format == nullptr) return source;
  try {
    if (source.format == nullptr) source.format = &detect_format(records, options.columns, answer, task);
  } catch (const Error& e) {
    refuse("{}: {}", source.files.front().string(), e.what());
  }
  if (!serves(*source.format, task))
    refuse("{}: format {} is not for {}: set model.task, or another format", options.path, source.format->name, name_of(*task));
  if (source.format->task != TaskKind::causal_lm) return source;
  const std::string_view name = source.format->name;
  const bool told = !records.empty() && records.front().is_object();
  const Json* prompt = told ? Fields(records.front(), options.columns).find("prompt") : nullptr;
  source.chat = name != "text" && (name != "prompt_completion" || (prompt != nullptr && prompt->is_array()));
  return source;
}

}  // namespace

std::vector<SourceInput> open_sources(const std::vector<DataSource>& sources, Answer answer, ErrorList& errors, const TaskKind* task) {
  std::vector<SourceInput> inputs;
  for (const DataSource& source : sources) errors.guard([&] { inputs.push_back(open_source(source, answer, task)); });
  return inputs;
}

void SourceStream::fill(RecordChunk& chunk) {
  const auto& limit = sources_[source_].options.limit;
  size_t bytes = 0;
  Record record;
  while (chunk.records.size() < chunk_records && bytes < chunk_bytes) {
    if ((limit && taken_ >= *limit) || !reader_->next(record)) {
      reader_.reset();
      return;
    }
    ++taken_;
    bytes += record.text.size();
    chunk.records.push_back(std::move(record));
  }
}

bool SourceStream::next(RecordChunk& chunk) {
  while (source_ < sources_.size()) {
    const auto& files = sources_[source_].files;
    if (file_ == files.size()) {
      ++source_;
      file_ = 0;
      taken_ = 0;
      continue;
    }
    chunk = {source_, file_, {}, {}};
    try {
      if (!reader_) reader_ = open_records(files[file_]);
      fill(chunk);
    } catch (const Error& e) {
      chunk.fault = e.what();
      reader_.reset();
    }
    if (!reader_) ++file_;
    if (!chunk.records.empty() || !chunk.fault.empty()) return true;
  }
  return false;
}

Sample read_sample(const Record& record, const SourceInput& source, size_t file, Answer answer) {
  const Json json = parse_record(record, source.files[file]);
  return in_place(source.files[file], record, [&] {
    require(json.is_object(), "expected an object, got {}", json.type_name());
    return source.format->read(Fields(json, source.options.columns, answer));
  });
}

}  // namespace graft
