// The encoder's own ways: dropout as a function, packed and mixed batches, its norms' seats, pooling by mean, and the prefix's place.
#include <torch/csrc/autograd/autograd.h>

#include "graft/core/error.h"
#include "graft/nn/encoder.h"
#include "support/models.h"

namespace graft::testing {
namespace {

std::shared_ptr<Transformer> encoder_with(double hidden_dropout, double attention_dropout, Pooling pooling = Pooling::automatic) {
  Json config = tiny_config("bert");
  config["hidden_dropout_prob"] = hidden_dropout, config["attention_probs_dropout_prob"] = attention_dropout;
  Task task = tiny_task("bert");
  task.pooling = pooling;
  return random_model(config, {.device = test_device(), .dtype = at::kFloat, .task = task}, 5);
}

std::shared_ptr<Transformer> encoder(double dropout, Pooling pooling = Pooling::automatic) { return encoder_with(dropout, dropout, pooling); }

Batch training(Batch batch, uint64_t seed = 42, int64_t step = 3) {
  batch.training = true, batch.seed = seed, batch.step = step;
  return batch;
}

/// Calls a function in its site's place.
class Through : public Adapter {
 public:
  explicit Through(std::function<Tensor(const Tensor&, const Frozen&, const Batch&)> f) : f_(std::move(f)) {}
  Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) override { return f_(x, base, batch); }
  int64_t virtual_tokens() const override { return 2; }

 private:
  std::function<Tensor(const Tensor&, const Frozen&, const Batch&)> f_;
};

TEST(Encoder, DropoutIsAFunctionOfSeedAndStep) {
  at::NoGradGuard no_grad;
  const auto model = encoder(0.3);
  const Batch batch = batch_of({9, 6}, 97);
  const Tensor once = model->hidden(training(batch));
  EXPECT_TRUE(at::equal(once, model->hidden(training(batch))));
  EXPECT_FALSE(at::equal(once, model->hidden(training(batch, 42, 4))));
  EXPECT_FALSE(at::equal(once, model->hidden(training(batch, 43))));
  EXPECT_FALSE(at::equal(once, model->hidden(batch)));
  EXPECT_TRUE(at::equal(model->hidden(batch), encoder(0)->hidden(training(batch))));
}

TEST(Encoder, HiddenStatesAndAttentionDropApart) {
  at::NoGradGuard no_grad;
  const Batch batch = training(batch_of({9, 6}, 97));
  const Tensor none = encoder(0)->hidden(batch), hidden = encoder_with(0.3, 0)->hidden(batch), attention = encoder_with(0, 0.3)->hidden(batch);
  EXPECT_GT(difference(hidden, none), 1e-2);
  EXPECT_GT(difference(attention, none), 1e-3);
  EXPECT_GT(difference(encoder(0.3)->hidden(batch), hidden), 1e-3);
}

TEST(Encoder, EachDropoutDropsItsShare) {
  Batch batch = training(batch_of({40, 40}, 97));
  const Tensor kept = ModelDropout("a", 0.25)(at::ones({2, 40, 64}, at::TensorOptions(test_device())), batch);
  EXPECT_NEAR(kept.ne(0).to(at::kDouble).mean().item<double>(), 0.75, 0.02);
  EXPECT_NEAR(kept.mean().item<double>(), 1, 0.03);
  const Tensor weights = ModelDropout("a", 0.25).of_attention(at::ones({2, 4, 40, 42}, at::TensorOptions(test_device())), batch);
  EXPECT_NEAR(weights.ne(0).to(at::kDouble).mean().item<double>(), 0.75, 0.02);
  EXPECT_FALSE(at::equal(weights[0][0], weights[0][1]));   // a head has a mask of its own
  EXPECT_FALSE(at::equal(weights[0][0], weights[1][0]));
  EXPECT_FALSE(at::equal(weights[0][0][0], weights[0][0][1]));
}

TEST(Encoder, RecomputeSeesTheSameDropoutToTheBit) {
  const auto model = encoder(0.3);
  const Batch batch = training(batch_of({9, 6}, 97));
  AdapterOptions options;
  graft_adapter(*model, "a", options, 1);
  randomize(*model, "a");
  std::vector<Tensor> gradients[2];
  for (const bool recompute : {false, true}) {
    model->set_recompute(recompute);
    for (const auto& p : parameters(*model, "a")) Tensor(p.tensor).mutable_grad().reset();
    Batch mine = batch;
    mine.adapter = "a";
    torch::autograd::backward({model->hidden(mine).square().sum()}, {});
    for (const auto& p : parameters(*model, "a"))
      if (p.tensor.grad().defined()) gradients[recompute].push_back(p.tensor.grad().clone());
  }
  ASSERT_EQ(gradients[0].size(), gradients[1].size());
  ASSERT_GT(gradients[0].size(), 0u);
  for (size_t i = 0; i < gradients[0].size(); ++i) EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
}

TEST(Encoder, APackedRowGivesWhatItsTextsGiveAlone) {
  at::NoGradGuard no_grad;
  const auto model = encoder(0.3);
  const Batch apart = training(batch_of({5, 4}, 97));
  Batch packed = apart;
  const auto row = [](const Tensor& x) { return at::cat({x[0].slice(0, 0, 5), x[1].slice(0, 0, 4)}).unsqueeze(0); };
  packed.ids = row(apart.ids), packed.positions = row(apart.positions), packed.segments = row(apart.segments);
  const Tensor alone = model->hidden(apart), together = model->hidden(packed);
  EXPECT_LT(difference(together[0].slice(0, 0, 5), alone[0]), 1e-5);
  EXPECT_LT(difference(together[0].slice(0, 5, 9), alone[1].slice(0, 0, 4)), 1e-5);
}

TEST(Encoder, APartOfAMixedBatchDropsByItsOwnSeedAndStep) {
  at::NoGradGuard no_grad;
  const auto model = encoder(0.3);
  const Batch first = training(batch_of({7}, 97, 1), 1, 10), second = training(batch_of({9, 6}, 97, 2), 2, 20);
  const Tensor whole = model->hidden(mixed({first, second}));
  EXPECT_LT(difference(whole[0].slice(0, 0, 7), model->hidden(first)[0]), 1e-5);
  EXPECT_LT(difference(whole[1], model->hidden(second)[0]), 1e-5);
  EXPECT_LT(difference(whole[2].slice(0, 0, 6), model->hidden(second)[1].slice(0, 0, 6)), 1e-5);
}

TEST(Encoder, ANormInsideAResidualSumRunsThroughItsSeat) {
  at::NoGradGuard no_grad;
  const auto model = encoder(0);
  Batch batch = batch_of({9, 6}, 97);
  const Tensor plain = model->hidden(batch);
  int calls = 0;
  model->find_site("bert.encoder.layer.1.output.LayerNorm")->seat("norm", std::make_shared<Through>([&](const Tensor& x, const Frozen& base, const Batch&) {
    ++calls;
    return base(x) * 2;
  }));
  batch.adapter = "norm";
  EXPECT_LT(difference(model->hidden(batch), plain * 2), 1e-5);
  EXPECT_EQ(calls, 1);
  // A sum's own adapter gets the norm with it, and may call it twice.
  model->find_site("bert.encoder.layer.1.output.adapters")->seat("norm", std::make_shared<Through>([&](const Tensor& x, const Frozen& base, const Batch&) {
    return base(x) + base(x);
  }));
  EXPECT_LT(difference(model->hidden(batch), plain * 4), 1e-5);
  EXPECT_EQ(calls, 3);
}

TEST(Encoder, APrefixStandsInFrontOfEveryTextsKeys) {
  at::NoGradGuard no_grad;
  const auto model = encoder(0);
  Batch batch = batch_of({9, 6}, 97);
  at::manual_seed(3);
  const Tensor values = at::randn({2, 2, 6, 8}, at::TensorOptions(test_device()));   // [prefix, 2, heads, head_dim]
  for (Site* site : model->sites())
    if (site->kind() == SiteKind::key_value)
      site->seat("prefix", std::make_shared<Through>([&](const Tensor& x, const Frozen&, const Batch&) { return values.unsqueeze(0).expand({x.size(0), 2, 2, 6, 8}); }));
  const Tensor without = model->hidden(batch);
  batch.adapter = "prefix";
  const Tensor with = model->hidden(batch);
  EXPECT_GT(difference(with[1].slice(0, 0, 6), without[1].slice(0, 0, 6)), 1e-2);
  // A text's states depend on the prefix and on itself alone.
  Batch single = batch;
  single.ids = batch.ids.slice(0, 1, 2).slice(1, 0, 6), single.positions = batch.positions.slice(0, 1, 2).slice(1, 0, 6), single.segments = batch.segments.slice(0, 1, 2).slice(1, 0, 6);
  EXPECT_LT(difference(model->hidden(single)[0], with[1].slice(0, 0, 6)), 1e-5);
}

TEST(Encoder, AttentionsTwoTextsAgree) {
  at::NoGradGuard no_grad;
  at::manual_seed(4);
  const auto random = [](int64_t keys) { return at::randn({2, keys, 6, 8}, at::TensorOptions(test_device())); };
  const Tensor q = random(9), k = random(11), v = random(11), segments = batch_of({9, 6}, 97).segments;
  const Tensor keys = at::cat({at::full({2, 2}, everyone, segments.options()), segments}, 1), allowed = visible_both_ways(segments, keys);
  const auto same = [](const Tensor& weights) { return weights; };
  EXPECT_LT(difference(attention(q, k, v, {false, allowed}), attention_text(q, k, v, {false, allowed}, {}, same)), 1e-5);
}

TEST(Encoder, PoolingByMeanIsOverTheRealTokens) {
  at::NoGradGuard no_grad;
  const Batch batch = batch_of({9, 6}, 97);
  const Tensor states = encoder(0)->hidden(batch);
  const Tensor means = encoder(0, Pooling::mean)->hidden(batch);
  EXPECT_LT(difference(means[0][0], states[0].mean(0)), 1e-5);
  EXPECT_LT(difference(means[1][0], states[1].slice(0, 0, 6).mean(0)), 1e-5);
  EXPECT_LT(difference(means[1][3], means[1][0]), 1e-6);
  Batch with_slot = batch;   // a virtual token's slot is none
  with_slot.ids = batch.ids.clone();
  with_slot.ids[0][0] = -1;
  const Tensor slot_states = encoder(0)->hidden(with_slot);
  EXPECT_LT(difference(encoder(0, Pooling::mean)->hidden(with_slot)[0][0], slot_states[0].slice(0, 1).mean(0)), 1e-5);
}

TEST(Encoder, ItKeepsNoCacheAndGeneratesNothing) {
  const auto model = encoder(0);
  EXPECT_THROW(model->new_cache(1, 8), Error);
  Cache cache;
  EXPECT_THROW(model->hidden(batch_of({3}, 97), &cache), Error);
}

}  // namespace
}  // namespace graft::testing
