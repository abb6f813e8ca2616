#include "graft/models/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/kernels/api.h"

namespace graft {
namespace {

/// One prompt as one adapter takes it. Rows are ordered by adapter.
struct Row {
  size_t prompt;
  std::string adapter;
  int64_t slots = 0, prefix = 0;   // what the adapter puts in front
  int64_t length = 0;              // with the slots
};

/// Rows of one adapter, in order.
struct Run {
  int64_t begin, rows;
};

std::vector<Row> rows_of(const Transformer& model, const std::vector<Prompt>& prompts) {
  std::vector<Row> rows;
  for (size_t p = 0; p < prompts.size(); ++p)
    for (const auto& adapter : prompts[p].adapters) {
      const VirtualTokens extra = model.virtual_tokens(adapter);
      rows.push_back({p, adapter, extra.slots, extra.prefix, static_cast<int64_t>(prompts[p].ids.size()) + extra.slots});
    }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.adapter < b.adapter; });
  return rows;
}

std::vector<Run> runs_of(const std::vector<Row>& rows) {
  std::vector<Run> runs;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (r == 0 || rows[r].adapter != rows[r - 1].adapter) runs.push_back({static_cast<int64_t>(r), 0});
    ++runs.back().rows;
  }
  return runs;
}

Batch prompt_batch(const std::vector<Prompt>& prompts, const std::vector<Row>& rows, const Run& run, at::Device device) {
  HostBatch batch;
  batch.rows = run.rows;
  const auto ids_of = [&](int64_t r) -> const std::vector<int32_t>& { return prompts[rows[static_cast<size_t>(run.begin + r)].prompt].ids; };
  for (int64_t r = 0; r < run.rows; ++r) batch.columns = std::max(batch.columns, static_cast<int64_t>(ids_of(r).size()));
  for (int64_t r = 0; r < run.rows; ++r) {
    const auto& ids = ids_of(r);
    for (int64_t t = 0; t < batch.columns; ++t) {
      const bool real = t < static_cast<int64_t>(ids.size());
      batch.ids.push_back(real ? ids[static_cast<size_t>(t)] : 0), batch.positions.push_back(t), batch.segments.push_back(real ? 0 : -1);
    }
  }
  const Row& first = rows[static_cast<size_t>(run.begin)];
  Batch part = to_batch(with_virtual_tokens(batch, {first.slots, first.prefix}), device);
  part.adapter = first.adapter;
  return part;
}

Batch whole(std::vector<Batch> parts) { return parts.size() == 1 ? std::move(parts.front()) : mixed(std::move(parts)); }

/// Of each prompt, over its adapters. logits: [rows, vocab] -> [prompts, vocab]
Tensor averaged(const Tensor& logits, const std::vector<Row>& rows, int64_t prompts) {
  if (static_cast<int64_t>(rows.size()) == prompts && std::is_sorted(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.prompt < b.prompt; }))
    return logits;
  std::vector<int64_t> owner;
  for (const Row& row : rows) owner.push_back(static_cast<int64_t>(row.prompt));
  const Tensor index = at::tensor(owner, at::kLong), zeros = at::zeros({prompts, logits.size(1)}, logits.options());
  return zeros.index_add(0, index, logits) / at::bincount(index).unsqueeze(1);
}

/// The next token of one row. log_p: fp32 [vocab]. The random number is a function of (seed, row, position).
int64_t pick(const Tensor& logits, const GenerateOptions& options, int64_t row, int64_t position) {
  if (options.temperature == 0) return logits.argmax().item<int64_t>();
  const int64_t k = options.top_k > 0 ? std::min(options.top_k, logits.size(0)) : logits.size(0);
  auto [values, ids] = (logits / options.temperature).topk(k);
  Tensor p = at::softmax(values, 0).to(at::kDouble);
  Tensor below = p.cumsum(0);
  const int64_t kept = options.top_p >= 1 ? k : std::min<int64_t>(k, (below - p).lt(options.top_p).sum().item<int64_t>());
  float random[2];
  kernels::uniform_cpu(random, 2, 0.5f, options.seed + static_cast<uint64_t>(position), static_cast<uint32_t>(row));
  const double target = (random[0] + 0.5) * below[kept - 1].item<double>();
  const int64_t chosen = std::min<int64_t>(kept - 1, below.le(target).sum().item<int64_t>());
  return ids[chosen].item<int64_t>();
}

/// What has been said so far.
struct Answers {
  explicit Answers(size_t count) : ids(count), next(count, 0), done(count, false) {}
  std::vector<std::vector<int32_t>> ids;
  std::vector<int64_t> next;   // each one's newest token
  std::vector<bool> done;
  bool all_done() const { return std::all_of(done.begin(), done.end(), [](bool d) { return d; }); }
};

/// logits: [prompts, vocab] fp32, of the token number `n` behind each prompt.
void say_next(Answers& answers, const Tensor& logits, const std::vector<Prompt>& prompts, const std::vector<int32_t>& stop_ids,
              const GenerateOptions& options, int64_t n, const std::function<void(size_t, int32_t)>& on_token) {
  for (size_t p = 0; p < prompts.size(); ++p) {
    if (answers.done[p]) continue;
    const auto row = static_cast<int64_t>(p);
    const int64_t id = answers.next[p] = pick(logits[row], options, row, static_cast<int64_t>(prompts[p].ids.size()) + n);
    answers.done[p] = std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end();
    if (answers.done[p]) continue;
    answers.ids[p].push_back(static_cast<int32_t>(id));
    if (on_token) on_token(p, static_cast<int32_t>(id));
  }
}

/// The rows' newest tokens as a batch, cut as the prompts were. positions: [rows, 1]
Batch next_batch(const Answers& answers, const Tensor& positions, const std::vector<Row>& rows, const std::vector<Run>& runs) {
  std::vector<int64_t> ids, segments;
  for (const Row& row : rows) ids.push_back(answers.done[row.prompt] ? 0 : answers.next[row.prompt]), segments.push_back(answers.done[row.prompt] ? -1 : 0);
  const auto column = [&](const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).unsqueeze(1).to(positions.device()); };
  const Tensor all_ids = column(ids), all_segments = column(segments);
  std::vector<Batch> parts;
  for (const auto& [begin, count] : runs) {
    Batch part;
    part.ids = all_ids.narrow(0, begin, count), part.segments = all_segments.narrow(0, begin, count);
    part.positions = positions.narrow(0, begin, count);
    part.adapter = rows[static_cast<size_t>(begin)].adapter;
    parts.push_back(std::move(part));
  }
  return whole(std::move(parts));
}

}  // namespace

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::vector<Prompt>& prompts, const std::vector<int32_t>& stop_ids,
                                           const GenerateOptions& options, const std::function<void(size_t prompt, int32_t id)>& on_token,
                                           std::stop_token stop) {
  at::NoGradGuard no_grad;
  if (prompts.empty()) return {};
  for (const auto& prompt : prompts) require(!prompt.ids.empty() && !prompt.adapters.empty(), "generate: an empty prompt, or one that asks no one");
  const std::vector<Row> rows = rows_of(model, prompts);
  const std::vector<Run> runs = runs_of(rows);
  std::vector<Batch> parts;
  std::vector<int64_t> lengths, ahead;   // in the batch; in positions, a prefix counted
  for (const Run& run : runs) parts.push_back(prompt_batch(prompts, rows, run, model.device()));
  for (const Row& row : rows) lengths.push_back(row.length), ahead.push_back(row.length + row.prefix);
  Batch batch = whole(std::move(parts));
  const auto count = static_cast<int64_t>(rows.size());
  const auto longest_prefix = std::max_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.prefix < b.prefix; })->prefix;
  Cache cache = model.new_cache(count, batch.ids.size(1) + longest_prefix + options.max_new_tokens);
  const Tensor position = at::tensor(ahead, at::kLong).unsqueeze(1).to(model.device()), row = at::arange(count, position.options());
  Tensor last = at::tensor(lengths, at::kLong).to(model.device()) - 1;   // where each row's newest hidden state lies
  Answers answers(prompts.size());
  for (int64_t n = 0; n < options.max_new_tokens; ++n) {
    if (stop.stop_requested()) throw Stopped("stopped while generating");
    const Tensor ends = model.hidden(batch, &cache).index({row, last});
    const Tensor logits = averaged(model.predict(ends, batch).to(at::kFloat).cpu(), rows, static_cast<int64_t>(prompts.size()));
    say_next(answers, logits, prompts, stop_ids, options, n, on_token);
    if (answers.all_done()) break;
    batch = next_batch(answers, position + n, rows, runs);
    last = at::zeros_like(row);
  }
  return std::move(answers.ids);
}

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::string& adapter, const std::vector<std::vector<int32_t>>& prompts,
                                           const std::vector<int32_t>& stop_ids, const GenerateOptions& options,
                                           const std::function<void(size_t prompt, int32_t id)>& on_token, std::stop_token stop) {
  std::vector<Prompt> asked;
  for (const auto& ids : prompts) asked.push_back({ids, {adapter}});
  return generate(model, asked, stop_ids, options, on_token, std::move(stop));
}

}  // namespace graft
