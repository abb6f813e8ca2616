// An encoder from data to answers: the job, its run's folder, evaluation, and a file of predictions.
#include <fstream>

#include "../recipes/classify.h"
#include "../recipes/describe.h"
#include "../recipes/export.h"
#include "../recipes/finetune.h"
#include "graft/config/yaml.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/train/checkpoint.h"
#include "support/models.h"
#include "text/tokenizer_samples.h"

namespace graft::testing {
namespace {

class ClassifyTest : public ::testing::Test {
 protected:
  ClassifyTest() {
    setenv("GRAFT_CACHE", (folder_ / "cache").c_str(), 1);
    std::filesystem::copy(golden("bert_base"), folder_ / "model", std::filesystem::copy_options::recursive);
    TokenizerJson tokenizer = wordpiece_sample();
    tokenizer["post_processor"] = TokenizerJson::parse(R"({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})");
    write_file(folder_ / "model" / "tokenizer.json", tokenizer.dump());
  }

  std::string write(const std::string& name, const std::vector<Json>& records) const {
    std::string text;
    for (const Json& record : records) text += record.dump() + "\n";
    write_file(folder_ / name, text);
    return (folder_ / name).string();
  }

  /// "yes" where the text begins with hello.
  static std::vector<Json> greetings() {
    std::vector<Json> records;
    for (int i = 0; i < 24; ++i) records.push_back({{"text", std::string(i % 2 ? "hello" : "world") + (i % 3 ? " unaffable" : " !")}, {"label", i % 2 ? "yes" : "no"}});
    return records;
  }

  Job job(const std::string& train, const std::string& val) const {
    Job job;
    job.model.path = (folder_ / "model").string();
    job.data.train = {DataSource{.path = train}}, job.data.val = {DataSource{.path = val}};
    job.data.overlong = "truncate";
    job.adapter.target_modules = std::vector<std::string>{"query", "value"};
    job.train.max_steps = 8, job.train.learning_rate = 1e-2, job.train.micro_batch_size = 8, job.train.gradient_accumulation_steps = 1;
    job.device = "cpu", job.output_dir = (folder_ / "run").string();
    return job;
  }

  std::vector<Json> lines(const std::string& name) const {
    std::vector<Json> all;
    std::ifstream in(folder_ / name);
    for (std::string line; std::getline(in, line);) all.push_back(parse_json(line, name));
    return all;
  }

  TemporaryFolder folder_;
  Observer nobody_;
};

TEST_F(ClassifyTest, AWholeJobOnAnEncoder) {
  const std::string data = write("data.jsonl", greetings());
  Job given = job(data, data);
  given.eval.metric = "f1", given.train.seed = 7;   // the head's too: evaluate must draw the same one again
  finetune(alone(given), {}, nobody_, {}, {});
  const Job run = read_run_job(folder_ / "run");
  EXPECT_EQ(run.model.task, "sequence_classification");
  EXPECT_EQ(run.model.labels, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(run.model.pooling, "cls");
  const auto metrics = lines("run/metrics.jsonl");
  double first = 0, last = 0;
  for (const Json& line : metrics)
    if (line.contains("loss")) (first == 0 ? first : last) = line["loss"].get<double>();
  EXPECT_LT(last, first);
  for (const char* name : {"accuracy", "f1", "macro_f1", "matthews", "eval_loss"}) EXPECT_TRUE(metrics.back().contains(name)) << name;
  EXPECT_FALSE(metrics.back().contains("perplexity"));

  const Target target = open_target((folder_ / "run").string(), "", "last", {});
  DataOptions test;
  test.train = {DataSource{.path = data}};
  const std::string report = evaluate_target(target, test, "cpu", "auto", 8, {}, {});
  EXPECT_NE(report.find(fmt::format("accuracy {:.5f}", metrics.back()["accuracy"].get<double>())), std::string::npos) << report;

  Speaker speaker = open_speaker(target, "cpu", "auto", {}, {});
  EXPECT_EQ(classify_file(speaker, test, folder_ / "predictions.jsonl", 5, {}, {}), 24);
  const auto answers = lines("predictions.jsonl");
  ASSERT_EQ(answers.size(), 24u);
  double right = 0;
  for (const Json& line : answers) {
    const Json& p = line["probabilities"];
    EXPECT_NEAR(p["no"].get<double>() + p["yes"].get<double>(), 1, 1e-5);
    EXPECT_EQ(line["prediction"], p["yes"].get<double>() > p["no"].get<double>() ? "yes" : "no");
    right += line["prediction"] == line["reference"];
  }
  EXPECT_NEAR(right / 24, metrics.back()["accuracy"].get<double>(), 1e-9);
  EXPECT_EQ(classify_file(speaker, test, folder_ / "predictions.jsonl", 5, {}, {}), 0);   // all are there
  const std::string text = classify_text(speaker, "hello !");
  EXPECT_NE(text.find("yes  0."), std::string::npos) << text;
  EXPECT_THROW(answer(speaker, {2, 3}, {}, {}, {}), RequestError);
}

TEST_F(ClassifyTest, AMergedExportIsAClassifierOfItsOwn) {
  const std::string data = write("data.jsonl", greetings());
  Job given = job(data, data);
  given.train.seed = 7, given.model.pooling = "mean";
  finetune(alone(given), {}, nobody_, {}, {});
  const Target target = open_target((folder_ / "run").string(), "", "last", {});
  MergeOptions options;
  options.dtype = "fp32";
  EXPECT_LT(export_merged(target, folder_ / "merged", options, {}, {}).largest_difference, 1e-5);
  DataOptions test;
  test.train = {DataSource{.path = data}};
  const auto figures = [&](const Target& of) {
    const std::string report = evaluate_target(of, test, "cpu", "fp32", 8, {}, {});
    return report.substr(report.find('\n'));   // without its name
  };
  const Target merged = open_target((folder_ / "merged").string(), "", "last", {});
  EXPECT_EQ(figures(merged), figures(target));   // to five digits
  const auto files = open_model_files((folder_ / "merged").string());
  EXPECT_TRUE(files->contains("classifier.weight"));
  EXPECT_FALSE(files->contains("bert.pooler.dense.weight"));   // of a head that pools otherwise
  EXPECT_EQ(files->config()["architectures"][0], "BertForSequenceClassification");
}

TEST_F(ClassifyTest, ARunGoesOnWithTheTaskThatItFound) {
  const std::string data = write("data.jsonl", greetings());
  Job given = job(data, data);
  given.train.max_steps = 2;
  finetune(alone(given), {}, nobody_, {}, {});
  given.train.max_steps = 4;
  finetune(alone(given), {.resume_or_start = true}, nobody_, {}, {});
  EXPECT_EQ(CheckpointFolder(folder_ / "run" / "checkpoints").steps().back(), 4);
  resume(folder_ / "run", {"train.max_steps=5"}, {}, nobody_, {}, {});
  EXPECT_EQ(CheckpointFolder(folder_ / "run" / "checkpoints").steps().back(), 5);
}

TEST_F(ClassifyTest, WordsAndNumbersTrainToo) {
  std::vector<Json> words, numbers;
  for (int i = 0; i < 16; ++i) {
    words.push_back({{"tokens", {"hello", "world", "!"}}, {"tags", {"B", "I", "O"}}});
    numbers.push_back({{"text", i % 2 ? "hello" : "world"}, {"text_pair", "unaffable"}, {"label", i % 2 ? 4.5 : 0.5}});
  }
  const std::string tags = write("tags.jsonl", words), scores = write("scores.jsonl", numbers);
  finetune(alone(job(tags, tags)), {}, nobody_, {}, {});
  EXPECT_TRUE(lines("run/metrics.jsonl").back().contains("macro_f1"));
  Speaker speaker = open_speaker(open_target((folder_ / "run").string(), "", "last", {}), "cpu", "auto", {}, {});
  DataOptions test;
  test.train = {DataSource{.path = write("words.jsonl", {{{"tokens", {"hello", "!"}}}})}};
  classify_file(speaker, test, folder_ / "words_out.jsonl", 4, {}, {});
  EXPECT_EQ(lines("words_out.jsonl")[0]["prediction"].size(), 2u);

  Job regression = job(scores, scores);
  regression.output_dir = (folder_ / "scores").string(), regression.eval.metric = "spearman";
  finetune(alone(regression), {}, nobody_, {}, {});
  EXPECT_EQ(read_run_job(folder_ / "scores").model.task, "regression");
  EXPECT_TRUE(lines("scores/metrics.jsonl").back().contains("spearman"));
}

TEST_F(ClassifyTest, WhatCannotBeIsRefusedBeforeTheWeightsAreRead) {
  const auto refusal = [&](const Job& job) {
    try {
      finetune(alone(job), {}, nobody_, {}, {});
    } catch (const RequestError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::string data = write("data.jsonl", greetings()), text = write("text.jsonl", {{{"text", "hello"}}});
  EXPECT_NE(refusal(job(text, text)).find("is an encoder"), std::string::npos);
  Job metric = job(data, data);
  metric.eval.metric = "spearman";
  EXPECT_NE(refusal(metric).find("sequence_classification has no spearman"), std::string::npos);
  Job labels = job(data, data);
  labels.model.labels = {"no", "maybe"};
  EXPECT_NE(refusal(labels).find("label 'yes' is none of the task's: no, maybe"), std::string::npos);
}

}  // namespace
}  // namespace graft::testing
