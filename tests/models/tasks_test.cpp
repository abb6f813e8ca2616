// Heads: where their values come from, and what a file may hold beside.
#include <fstream>

#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"
#include "graft/models/stored_task.h"
#include "support/models.h"

namespace graft::testing {
namespace {

Task classes(int64_t count, uint64_t seed = 1) {
  Task task{TaskKind::sequence_classification, {}, Pooling::automatic, seed};
  for (int64_t i = 0; i < count; ++i) task.labels.push_back("label " + std::to_string(i));
  return task;
}

Tensor head_of(const std::string& folder, const Task& task, std::string* said = nullptr, const char* path = "classifier") {
  const Log log([&](LogLevel, const std::string& line) { if (said) *said += line + "\n"; });
  const auto model = load_model(*open_model_files(golden(folder).string()), {.device = test_device(), .dtype = at::kFloat, .task = task}, log);
  return model->find_site(path)->values().weight.clone();
}

TEST(Tasks, AHeadThatTheFileLacksStartsAtRandomByItsSeedAndIsNamed) {
  std::string said;
  const Tensor head = head_of("bert_base", classes(3), &said);
  EXPECT_NE(said.find("start at random (seed 1): classifier.weight, classifier.bias"), std::string::npos) << said;
  EXPECT_EQ(said.find("pooler"), std::string::npos) << said;   // the file has that one
  EXPECT_TRUE(at::equal(head, head_of("bert_base", classes(3))));
  EXPECT_FALSE(at::equal(head, head_of("bert_base", classes(3, 2))));
  EXPECT_NEAR(head.std().item<double>(), 0.02, 0.005);
}

TEST(Tasks, AHeadInTheFileIsTakenIfItHasTheShape) {
  const Tensor stored = load_tensors(golden("bert_classifier") / "model.safetensors").at("classifier.weight");
  std::string said;
  EXPECT_TRUE(at::equal(head_of("bert_classifier", classes(3), &said).cpu(), stored));
  EXPECT_EQ(said.find("random"), std::string::npos) << said;
  EXPECT_EQ(head_of("bert_classifier", classes(4), &said).size(0), 4);
  EXPECT_NE(said.find("random"), std::string::npos);
}

TEST(Tasks, HeadsHaveTransformersNames) {
  const auto has = [](const char* family, const Task& task, std::initializer_list<const char*> names) {
    const auto model = outline_model(tiny_config(family), task);
    for (const char* name : names) EXPECT_NE(model->find_site(name), nullptr) << family << " " << name;
    return model->sites().back()->role() == Role::head;
  };
  Task mean = classes(2), tokens = classes(2);
  mean.pooling = Pooling::mean, tokens.kind = TaskKind::token_classification;
  EXPECT_TRUE(has("bert", classes(2), {"bert.pooler.dense", "classifier"}));
  EXPECT_TRUE(has("bert", mean, {"classifier"}));
  EXPECT_EQ(outline_model(tiny_config("bert"), mean)->find_site("bert.pooler.dense"), nullptr);
  EXPECT_TRUE(has("bert", tokens, {"classifier"}));
  EXPECT_TRUE(has("roberta", classes(2), {"classifier.dense", "classifier.out_proj"}));
  EXPECT_TRUE(has("llama", classes(2), {"score"}));
  EXPECT_EQ(outline_model(tiny_config("llama"), classes(2))->vocabulary_head(), nullptr);
}

TEST(Tasks, PoolingIsTheFamilysOwnUnlessItIsAskedFor) {
  const auto pooling = [](const char* family, Pooling asked) {
    Task task = classes(2);
    task.pooling = asked;
    return outline_model(tiny_config(family), task)->task().pooling;
  };
  EXPECT_EQ(pooling("bert", Pooling::automatic), Pooling::cls);
  EXPECT_EQ(pooling("llama", Pooling::automatic), Pooling::last);
  EXPECT_EQ(pooling("llama", Pooling::mean), Pooling::mean);
  EXPECT_THROW(pooling("llama", Pooling::cls), RequestError);
  EXPECT_THROW(pooling("roberta", Pooling::last), RequestError);
}

TEST(Tasks, OtherHeadsMayBeInTheFileAndNothingElse) {
  Task tokens = classes(4);
  tokens.kind = TaskKind::token_classification;
  head_of("bert_classifier", tokens);   // its pooler is not taken
  head_of("bert_classifier", classes(2), nullptr, "bert.encoder.layer.0.attention.self.query");
  EXPECT_TRUE(may_be_left("cls.predictions.transform.dense.weight"));
  EXPECT_TRUE(may_be_left("roberta.embeddings.position_ids"));
  EXPECT_FALSE(may_be_left("bert.encoder.layer.2.output.dense.weight"));
  TemporaryFolder folder;
  TensorMap tensors = load_tensors(golden("bert_base") / "model.safetensors");
  tensors["encoder.layer.2.output.dense.weight"] = at::zeros({2, 2});
  save_tensors(folder / "model.safetensors", tensors);
  std::filesystem::copy_file(golden("bert_base") / "config.json", folder / "config.json");
  try {
    outline_model(*open_model_files(folder.path().string()));
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("no such tensor: bert.encoder.layer.2.output.dense.weight"), std::string::npos) << e.what();
  }
}

TEST(Tasks, FilesConvertedFromTensorFlowHaveTheirNormsNamed) {
  TemporaryFolder folder;
  TensorMap tensors;
  for (const auto& [stored, tensor] : load_tensors(golden("bert_classifier") / "model.safetensors")) {
    std::string name = stored;
    if (const auto at = name.rfind("LayerNorm."); at != std::string::npos) name = name.substr(0, at) + (name.ends_with("weight") ? "LayerNorm.gamma" : "LayerNorm.beta");
    tensors[name] = tensor;
  }
  save_tensors(folder / "model.safetensors", tensors);
  std::filesystem::copy_file(golden("bert_classifier") / "config.json", folder / "config.json");
  at::NoGradGuard no_grad;
  const LoadOptions options{.device = test_device(), .dtype = at::kFloat, .task = classes(3)};
  const Batch batch = batch_of({9, 6}, 97);
  EXPECT_TRUE(at::equal(logits(*load_model(*open_model_files(folder.path().string()), options), batch),
                        logits(*load_model(*open_model_files(golden("bert_classifier").string()), options), batch)));
}

TEST(Tasks, ACheckpointSaysItsOwnTask) {
  const auto task = [](const char* folder) { return stored_task(read_json(golden(folder) / "config.json")); };
  EXPECT_EQ(task("bert_classifier").labels, (std::vector<std::string>{"no", "yes", "unclear"}));
  EXPECT_EQ(task("bert_tokens").kind, TaskKind::token_classification);
  EXPECT_EQ(task("roberta_regression").kind, TaskKind::regression);
  EXPECT_EQ(task("roberta_classifier").labels, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
  EXPECT_EQ(task("bert_base").kind, TaskKind::causal_lm);
}

}  // namespace
}  // namespace graft::testing
