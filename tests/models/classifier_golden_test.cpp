// Tiny random encoders and classifiers, against what transformers and PEFT computed in float64 (tests/golden/make_classifiers.py).
#include <bit>

#include "graft/data/batches.h"
#include "graft/io/tensors.h"
#include "graft/models/stored_task.h"
#include "graft/train/classify.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

class ClassifierGolden : public ::testing::TestWithParam<const char*> {
 protected:
  ClassifierGolden() : files_(open_model_files(golden(GetParam()).string())), reference_(load_tensors(golden(GetParam()) / "golden.safetensors")) {
    model_ = load_model(*files_, {.device = test_device(), .dtype = at::kFloat, .task = stored_task(files_->config())});
  }

  /// The golden texts with their targets as the data pass would lay them out.
  HostBatch batch() const {
    const Tensor ids = reference_.at("input_ids"), lengths = reference_.at("lengths");
    const bool headless = model_->task().kind == TaskKind::causal_lm;
    const Task task = headless ? Task{TaskKind::sequence_classification, {}, Pooling::cls, 0} : model_->task();
    std::vector<std::vector<int32_t>> rows, labels;
    std::vector<std::vector<uint8_t>> types;
    std::vector<SampleView> views;
    for (int64_t r = 0; r < ids.size(0); ++r) {
      const auto length = lengths[r].item<int64_t>();
      rows.emplace_back(), labels.emplace_back(), types.emplace_back();
      for (int64_t t = 0; t < length; ++t) {
        rows.back().push_back(ids[r][t].item<int32_t>());
        types.back().push_back(reference_.contains("token_type_ids") ? reference_.at("token_type_ids")[r][t].item<uint8_t>() : 0);
        if (task.kind == TaskKind::token_classification) labels.back().push_back(reference_.at("targets")[r][t].item<int32_t>());
      }
      if (task.kind == TaskKind::sequence_classification) labels.back() = {headless ? 0 : reference_.at("targets")[r].item<int32_t>()};
      if (task.kind == TaskKind::regression) labels.back() = {std::bit_cast<int32_t>(reference_.at("targets")[r].item<float>())};
    }
    for (size_t r = 0; r < rows.size(); ++r) views.push_back({rows[r], {}, labels[r], types[r]});
    return make_batch(views, task, 7);
  }

  /// The reference's logits where the batch has targets.
  Tensor at_targets(const std::string& name) const {
    const Tensor logits = reference_.at(name);
    return logits.dim() == 2 ? logits : logits.flatten(0, 1).index_select(0, reference_.at("targets").flatten().ne(-100).nonzero().squeeze(1));
  }

  std::unique_ptr<ModelFiles> files_;
  TensorMap reference_;
  std::shared_ptr<Transformer> model_;
};

TEST_P(ClassifierGolden, HiddenStatesEqualTransformers) {
  at::NoGradGuard no_grad;
  const Tensor ours = model_->hidden(to_batch(batch(), test_device())), lengths = reference_.at("lengths");
  for (int64_t r = 0; r < lengths.size(0); ++r) {
    const auto length = lengths[r].item<int64_t>();
    EXPECT_LT(difference(ours[r].slice(0, 0, length), reference_.at("hidden")[r].slice(0, 0, length)), 1e-5) << r;
  }
}

TEST_P(ClassifierGolden, LogitsEqualTransformers) {
  if (model_->task().kind == TaskKind::causal_lm) GTEST_SKIP() << "no head";
  const double off = difference(outputs_at_targets(*model_, "", batch()), at_targets("logits"));
  RecordProperty("difference", fmt::format("{:.2g}", off));
  EXPECT_LT(off, 1e-5);
}

TEST_P(ClassifierGolden, LoraGradientsEqualPeft) {
  if (model_->task().kind == TaskKind::causal_lm) GTEST_SKIP() << "no head";
  load_adapter(*model_, "default", golden(GetParam()) / "adapter");
  EXPECT_LT(difference(outputs_at_targets(*model_, "default", batch()), at_targets("adapter_logits")), 1e-5);
  for (const bool recompute : {false, true}) {
    model_->set_recompute(recompute);
    for (auto& [name, tensor] : parameters(*model_, "default")) Tensor(tensor).mutable_grad().reset();
    EXPECT_NEAR(backward(*model_, "default", {batch()}, {}).item<double>(), reference_.at("adapter_loss").item<double>(), 1e-5 * std::max(1.0, reference_.at("adapter_loss").item<double>()));
    for (const auto& [name, tensor] : parameters(*model_, "default")) {
      if (name.find(".lora_") == std::string::npos) continue;   // the head, which graft trains too; the reference's was frozen
      const Tensor expected = reference_.at("grad.base_model.model." + name);
      EXPECT_LT(difference(tensor.grad(), expected), 1e-5 * std::max(1.0, expected.abs().max().item<double>())) << name << (recompute ? " recomputed" : "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ClassifierGolden,
                         ::testing::Values("bert_base", "bert_classifier", "bert_tokens", "roberta_classifier", "roberta_regression", "llama_classifier"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace graft::testing
