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
  int64_t length = 0;              // of its text so far, with the slots
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
      rows.push_back({p, adapter, extra.slots, extra.prefix});
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

/// texts: of each prompt, with what was said so far
Batch text_batch(const std::vector<std::vector<int32_t>>& texts, const std::vector<Row>& rows, const Run& run, at::Device device) {
  HostBatch batch;
  batch.rows = run.rows;
  const auto ids_of = [&](int64_t r) -> const std::vector<int32_t>& { return texts[rows[static_cast<size_t>(run.begin + r)].prompt]; };
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

/// Rows that grow a token at a time over a cache.
struct Decoding {
  Transformer& model;
  std::vector<Row> rows;
  std::vector<Run> runs;
  Batch batch;    // what the model has not seen yet
  Cache cache;
  Tensor last;    // where in `batch` each row's newest token lies

  void begin(const std::vector<std::vector<int32_t>>& texts, int64_t new_tokens) {
    std::vector<Batch> parts;
    std::vector<int64_t> ends;
    int64_t prefix = 0;
    for (const Run& run : runs) parts.push_back(text_batch(texts, rows, run, model.device()));
    for (Row& row : rows) {
      row.length = static_cast<int64_t>(texts[row.prompt].size()) + row.slots;
      ends.push_back(row.length - 1), prefix = std::max(prefix, row.prefix);
    }
    batch = whole(std::move(parts));
    cache = model.new_cache(batch.ids.size(0), batch.ids.size(1) + prefix + new_tokens);
    last = at::tensor(ends, at::kLong).to(model.device());
  }
  /// Each prompt's next token, -1 where it has ended; a row's position goes on all the same.
  void append(const std::vector<int64_t>& tokens) {
    std::vector<int64_t> ids, positions;
    for (Row& row : rows) ids.push_back(tokens[row.prompt]), positions.push_back(row.prefix + row.length++);
    const auto column = [&](const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).unsqueeze(1).to(model.device()); };
    const Tensor all = column(ids), where = column(positions);
    std::vector<Batch> parts;
    for (const auto& [begin, count] : runs) {
      Batch part;
      part.ids = all.narrow(0, begin, count).clamp_min(0), part.positions = where.narrow(0, begin, count);
      part.segments = at::where(all.narrow(0, begin, count).lt(0), -1, at::zeros_like(part.ids));
      part.adapter = rows[static_cast<size_t>(begin)].adapter;
      parts.push_back(std::move(part));
    }
    batch = whole(std::move(parts));
    last = at::zeros_like(last);
  }
  /// fp32 [rows, vocabulary] on the CPU.
  Tensor logits() {
    const Tensor hidden = model.hidden(batch, &cache);
    return model.predict(hidden.index({at::arange(last.size(0), last.options()), last}), batch).to(at::kFloat).cpu();
  }
  bool holds() const {
    return std::ranges::all_of(rows, [&](const Row& row) { return model.cache_holds(row.length - 1 + row.prefix, row.length + row.prefix); });
  }
};

void check_positions(const Decoding& decoding, int64_t new_tokens) {
  int64_t longest = 0;
  for (const Row& row : decoding.rows) longest = std::max(longest, row.length + row.prefix);
  require(!decoding.model.has_position_table() || longest + new_tokens <= decoding.model.max_positions() + 1,
          "generate: {} tokens and max_new_tokens {} are more than the model's table of {} positions holds", longest, new_tokens,
          decoding.model.max_positions());
}

}  // namespace

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::vector<Prompt>& prompts, const std::vector<int32_t>& stop_ids,
                                           const GenerateOptions& options, const std::function<void(size_t prompt, int32_t id)>& on_token,
                                           std::stop_token stop) {
  at::NoGradGuard no_grad;
  if (prompts.empty()) return {};
  std::vector<std::vector<int32_t>> out(prompts.size()), texts;
  for (const auto& prompt : prompts) {
    require(!prompt.ids.empty() && !prompt.adapters.empty(), "generate: an empty prompt, or one that asks no one");
    texts.push_back(prompt.ids);
  }
  Decoding decoding{.model = model, .rows = rows_of(model, prompts), .runs = {}, .batch = {}, .cache = {}, .last = {}};
  decoding.runs = runs_of(decoding.rows);
  decoding.begin(texts, options.max_new_tokens);
  check_positions(decoding, options.max_new_tokens);
  std::vector<int64_t> next(prompts.size(), 0);   // -1: the prompt's answer has ended
  for (int64_t n = 0; n < options.max_new_tokens; ++n) {
    if (stop.stop_requested()) throw Stopped("stopped while generating");
    const Tensor logits = averaged(decoding.logits(), decoding.rows, std::ssize(prompts));
    for (size_t p = 0; p < prompts.size(); ++p) {
      if (next[p] < 0) continue;
      const auto row = static_cast<int64_t>(p);
      next[p] = pick(logits[row], options, row, std::ssize(prompts[p].ids) + n);
      if (std::ranges::find(stop_ids, next[p]) != stop_ids.end()) next[p] = -1;
      if (next[p] < 0) continue;
      out[p].push_back(static_cast<int32_t>(next[p])), texts[p].push_back(out[p].back());
      if (on_token) on_token(p, out[p].back());
    }
    if (std::ranges::all_of(next, [](int64_t token) { return token < 0; })) break;
    decoding.append(next);
    if (!decoding.holds()) decoding.begin(texts, options.max_new_tokens - n);   // rotary frequencies depend on the length: the keys are made again
  }
  return out;
}

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::string& adapter, const std::vector<std::vector<int32_t>>& prompts,
                                           const std::vector<int32_t>& stop_ids, const GenerateOptions& options,
                                           const std::function<void(size_t prompt, int32_t id)>& on_token, std::stop_token stop) {
  std::vector<Prompt> asked;
  for (const auto& ids : prompts) asked.push_back({ids, {adapter}});
  return generate(model, asked, stop_ids, options, on_token, std::move(stop));
}

}  // namespace graft
