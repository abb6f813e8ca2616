#include "classify.h"

#include <ATen/ATen.h>

#include <fstream>
#include <map>

#include "graft/core/error.h"
#include "graft/data/sample.h"
#include "graft/train/classify.h"

namespace graft {
namespace {

/// outputs: [places, classes] of one sample.
Json prediction_line(const Tensor& outputs, const Task& task) {
  if (task.kind == TaskKind::regression) return {{"prediction", outputs[0][0].item<float>()}};
  const Tensor p = at::softmax(outputs, -1), best = outputs.argmax(-1);
  const auto label = [&](int64_t place) { return task.labels[static_cast<size_t>(best[place].item<int64_t>())]; };
  Json line;
  if (task.kind == TaskKind::token_classification) {
    line = {{"prediction", Json::array()}, {"probabilities", Json::array()}};
    for (int64_t place = 0; place < p.size(0); ++place) line["prediction"].push_back(label(place)), line["probabilities"].push_back(p[place].max().item<float>());
    return line;
  }
  line["prediction"] = label(0);
  for (size_t c = 0; c < task.labels.size(); ++c) line["probabilities"][task.labels[c]] = p[0][static_cast<int64_t>(c)].item<float>();
  return line;
}

/// Texts are cut to what the model takes.
DataOptions fitting(DataOptions data, const Speaker& speaker) {
  data.overlong = "truncate";
  data.max_length = static_cast<int>(std::min<int64_t>(data.max_length, speaker.model->max_positions()));
  return data;
}

/// Several adapters' outputs for the same places as one: their mean, or as logits of the share of votes that each class has.
Tensor combined(const std::vector<Tensor>& outputs, Ensemble ensemble) {
  const Tensor all = at::stack(outputs);   // [adapters, places, classes]
  if (ensemble == Ensemble::mean || all.size(2) == 1) return all.mean(0);
  return at::one_hot(all.argmax(-1), all.size(2)).to(all.scalar_type()).mean(0).log();
}

/// Of each text by whom it asks: [places, classes] each.
std::vector<Tensor> outputs_of(const Speaker& speaker, const std::vector<SampleView>& texts, const std::vector<std::vector<std::string>>& asked,
                               int64_t batch_size, const std::stop_token& stop) {
  std::map<std::string, std::vector<size_t>> of_adapter;
  for (size_t i = 0; i < texts.size(); ++i)
    for (const auto& name : asked[i]) of_adapter[name].push_back(i);
  std::vector<std::vector<Tensor>> each(texts.size());
  for (const auto& [name, indices] : of_adapter) {
    std::vector<SampleView> own;
    for (const size_t i : indices) own.push_back(texts[i]);
    const auto outputs = classify(*speaker.model, name, own, batch_size, stop);
    for (size_t i = 0; i < indices.size(); ++i) each[indices[i]].push_back(outputs[i]);
  }
  std::vector<Tensor> result;
  for (const auto& outputs : each) result.push_back(outputs.size() == 1 ? outputs.front() : combined(outputs, speaker.ensemble));
  return result;
}

}  // namespace

std::string classify_text(Speaker& speaker, const std::string& text) {
  const Task& task = speaker.model->task();
  require(task.labels_texts(), "{} labels words: give a file of them (--data, format token_classification)", speaker.base.files->where());
  const SampleTokens tokens = encode_labelled(LabelledText{text, std::nullopt, nullptr}, fitting({}, speaker), speaker.base.tokenizer, task);
  const SampleView view{tokens.ids, {}, tokens.labels, tokens.types};
  const Tensor outputs = outputs_of(speaker, {view}, {speaker.asked("", "")}, 1, {}).front()[0];
  if (task.kind == TaskKind::regression) return fmt::format("{:.4f}\n", outputs[0].item<float>());
  const Tensor p = at::softmax(outputs, -1), order = p.argsort(-1, /*descending=*/true);
  std::string lines;
  for (int64_t i = 0; i < p.size(0); ++i) {
    const auto c = order[i].item<int64_t>();
    lines += fmt::format("{}  {:.4f}\n", task.labels[static_cast<size_t>(c)], p[c].item<float>());
  }
  return lines;
}

int64_t classify_file(Speaker& speaker, const DataOptions& data, const std::filesystem::path& out, int64_t batch_size, const Log& log, std::stop_token stop) {
  const Task& task = speaker.model->task();
  const auto samples = read_prompts(data.train, fitting(data, speaker), speaker.base.tokenizer, nullptr, task);
  const int64_t done = keep_complete_lines(out), total = std::ssize(samples);
  if (done > 0) log.info("{}: {} of {} samples are answered already", out.string(), done, total);
  std::ofstream file(out, std::ios::app);
  check(file.good(), "{}: cannot be written", out.string());
  constexpr int64_t at_once = 4096;   // so many are sorted by length
  for (int64_t begin = done; begin < total; begin += at_once) {
    std::vector<SampleView> views;
    std::vector<std::vector<std::string>> asked;
    for (int64_t i = begin; i < std::min(total, begin + at_once); ++i) {
      const PromptSample& sample = samples[static_cast<size_t>(i)];
      views.push_back(sample.view()), asked.push_back(speaker.asked(sample.adapter, sample.origin));
    }
    const auto outputs = outputs_of(speaker, views, asked, batch_size, stop);
    for (size_t r = 0; r < outputs.size(); ++r) {
      const PromptSample& sample = samples[static_cast<size_t>(begin) + r];
      Json line = {{"index", begin + static_cast<int64_t>(r)}, {"origin", sample.origin}};
      line.update(prediction_line(outputs[r], task));
      if (!sample.reference.empty()) line["reference"] = sample.reference;
      file << to_line(line) << "\n";
    }
    file.flush();
    check(file.good(), "{}: cannot be written (is the disk full?)", out.string());
    log.info("answered {} of {}", begin + std::ssize(outputs), total);
  }
  return total - done;
}

}  // namespace graft
