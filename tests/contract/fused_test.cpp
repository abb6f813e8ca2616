// The fused block against the plain path, for every family of decoders, every storage format, whatever stands at the seats, and recompute.
#include <gtest/gtest.h>

#include "cases.h"

namespace graft::testing {
namespace {

/// A step's gradients by name, and the hidden states as "hidden".
TensorMap step(Transformer& model, const HostBatch& host, bool fused, Recompute recompute = Recompute::none) {
  model.set_fused(fused), model.set_recompute(recompute);
  clear_gradients(model, "a");
  Batch batch = batch_for(model, "a", host);
  batch.training = true, batch.seed = 3, batch.step = 2;
  TensorMap all;
  {
    at::NoGradGuard no_grad;
    all["hidden"] = model.hidden(batch);
  }
  all["loss"] = at::scalar_tensor(backward(model, "a", {host}, {.seed = 3, .step = 2}).item<double>(), at::kDouble);
  for (const auto& [name, tensor] : parameters(model, "a"))
    if (tensor.grad().defined()) all[name] = tensor.grad().clone();
  return all;
}

double relative(const Tensor& value, const Tensor& reference) {
  const Tensor r = reference.cpu().to(at::kDouble);
  return ((value.cpu().to(at::kDouble) - r).norm() / (r.norm() + 1e-30)).item<double>();
}

void expect_near(const TensorMap& got, const TensorMap& expected, double bound) {
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [name, tensor] : expected) EXPECT_LT(relative(got.at(name), tensor), bound) << name;
}

class Fused : public Contract {
 protected:
  std::shared_ptr<Transformer> fusable() const {
    const auto m = grafted();
    m->set_fused(true);
    return m;
  }
};

TEST_P(Fused, EqualsThePlainPath) {
  const auto m = fusable();
  for (const auto recompute : {Recompute::none, Recompute::layer}) {
    const HostBatch host = host_batch();
    const TensorMap fused = step(*m, host, true, recompute);
    expect_near(fused, step(*m, host, false, recompute), 1e-5);
  }
}

TEST_P(Fused, RecomputeChangesNothing) {
  const auto m = fusable();
  const TensorMap kept = step(*m, host_batch(), true);
  for (const auto mode : {Recompute::gate_up, Recompute::layer, Recompute::offload}) {
    const TensorMap again = step(*m, host_batch(), true, mode);
    for (const auto& [name, tensor] : kept) EXPECT_TRUE(tensor.equal(again.at(name))) << name << " " << static_cast<int>(mode);
  }
}

TEST_P(Fused, GradientsOfTwoMicroBatchesAdd) {
  const auto m = fusable();
  m->set_fused(true);
  const auto grads = [&](const std::vector<HostBatch>& hosts) {
    clear_gradients(*m, "a");
    backward(*m, "a", hosts, {});
    TensorMap all;
    for (const auto& [name, tensor] : parameters(*m, "a"))
      if (tensor.grad().defined()) all[name] = tensor.grad().clone();
    return all;
  };
  const TensorMap both = grads({host_batch(1), host_batch(2)}), one = grads({host_batch(1)}), other = grads({host_batch(2)});
  for (const auto& [name, tensor] : both) EXPECT_LT(relative(tensor, (one.at(name) + other.at(name)) / 2), 1e-5) << name;
}

std::vector<Case> fused_cases() {
  std::vector<Case> chosen;
  for (const Case& c : cases())
    if (!is_encoder(c.family) && (c.method == "lora" || c.method == "dora" || c.method == "vera" || c.method == "ia3" || (c.format == "none" && (c.method == "prompt_tuning" || c.method == "prefix_tuning"))))
      chosen.push_back(c);
  return chosen;
}

INSTANTIATE_TEST_SUITE_P(All, Fused, ::testing::ValuesIn(fused_cases()),
                         [](const auto& info) { return info.param.family + "_" + info.param.method + "_" + info.param.format; });

std::shared_ptr<Transformer> model_of(const std::string& method, const Json& config, const std::vector<std::string>& targets, at::ScalarType dtype = at::kFloat,
                                      double dropout = 0, const std::string& format = "none") {
  const auto m = random_model(config, {test_device(), dtype, {.format = format}}, 5);
  AdapterOptions options;
  options.method = method;
  options.select_options();
  options.target_modules = targets.front() == "all-linear" ? NamesOrPattern(targets.front()) : NamesOrPattern(targets);
  std::visit([&](auto& own) {
    if constexpr (requires { own.dropout; }) own.dropout = dropout;
  }, options.options);
  graft_adapter(*m, "a", options, 1);
  randomize(*m, "a");
  m->set_fused(true);
  return m;
}

std::shared_ptr<Transformer> model_with(const std::string& method, const std::string& family, const std::vector<std::string>& targets, at::ScalarType dtype = at::kFloat,
                                        double dropout = 0) {
  return model_of(method, tiny_config(family), targets, dtype, dropout);
}

std::shared_ptr<Transformer> lora_model(const std::string& family, const std::vector<std::string>& targets, at::ScalarType dtype = at::kFloat, double dropout = 0) {
  return model_with("lora", family, targets, dtype, dropout);
}

TEST(FusedBlock, TakesDoraWithoutDropout) {
  for (const std::string family : {"llama", "qwen2", "qwen3", "gemma", "gemma2"}) {
    const auto m = model_with("dora", family, {"all-linear"});
    EXPECT_EQ(m->fused_layers("a"), 2) << family;
    for (const auto mode : {Recompute::none, Recompute::gate_up, Recompute::layer}) expect_near(step(*m, host_batch(), true, mode), step(*m, host_batch(), false), 1e-5);
  }
  EXPECT_EQ(model_with("dora", "llama", {"all-linear"}, at::kFloat, 0.1)->fused_layers("a"), 0);   // its base's product is divided in two
}

TEST(FusedBlock, TakesVeraAndIa3) {
  const auto equals_the_plain_path = [](const std::string& method, const std::string& family, const std::vector<std::string>& targets, double dropout) {
    const auto m = model_with(method, family, targets, at::kFloat, dropout);
    EXPECT_EQ(m->fused_layers("a"), 2) << method << " " << family;
    for (const auto mode : {Recompute::none, Recompute::gate_up, Recompute::layer}) expect_near(step(*m, host_batch(), true, mode), step(*m, host_batch(), false), 1e-5);
  };
  for (const std::string family : {"llama", "qwen2", "qwen3", "gemma2"}) {
    for (const double dropout : {0.0, 0.2}) equals_the_plain_path("vera", family, {"all-linear"}, dropout);
    equals_the_plain_path("ia3", family, {"k_proj", "v_proj", "down_proj"}, 0);
    equals_the_plain_path("ia3", family, {"all-linear"}, 0);
  }
}

/// Products in 8 bits: near, and what they are not applied to as it was.
TEST(FusedBlock, MultipliesInEightBits) {
  Json config = tiny_config("llama");   // in sizes that a GPU takes
  config.update({{"hidden_size", 32}, {"intermediate_size", 48}, {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 8}});
  for (const auto& [method, format] : {std::pair{"lora", "none"}, {"dora", "none"}, {"lora", "nf4"}}) {
    const auto m = model_of(method, config, {"all-linear"}, at::kFloat, 0, format);
    const TensorMap exact = step(*m, host_batch(), true);
    m->set_fused(true);
    EXPECT_EQ(m->set_fp8(true, /*outer_layers=*/false), 0);   // of two layers both are outer ones
    EXPECT_EQ(m->set_fp8(true, /*outer_layers=*/true), 2);
    const auto eight = [&](Recompute mode) {
      m->set_recompute(mode);
      clear_gradients(*m, "a");
      TensorMap all;
      all["loss"] = at::scalar_tensor(backward(*m, "a", {host_batch()}, {.seed = 3, .step = 2}).item<double>(), at::kDouble);
      for (const auto& [name, tensor] : parameters(*m, "a"))
        if (tensor.grad().defined()) all[name] = tensor.grad().clone();
      return all;
    };
    const TensorMap rounded = eight(Recompute::none), again = eight(Recompute::layer);
    double error = 0;
    for (const auto& [name, tensor] : rounded) {
      error = std::max(error, relative(tensor, exact.at(name)));
      EXPECT_TRUE(tensor.equal(again.at(name))) << name;
    }
    EXPECT_LT(error, 0.2) << method << " " << format;
    EXPECT_GT(error, 1e-3) << method << " " << format;   // it did round
    EXPECT_EQ(m->set_fp8(false, true), 0);
    for (const auto& [name, tensor] : eight(Recompute::none)) EXPECT_TRUE(tensor.equal(exact.at(name))) << name;
  }
  config["intermediate_size"] = 40;
  EXPECT_EQ(model_of("lora", config, {"all-linear"})->set_fp8(true, true), 0);   // no sixteens
}

TEST(FusedBlock, TakesSomeSeatsAndNotOthers) {
  for (const std::vector<std::string>& targets : {std::vector<std::string>{"q_proj", "v_proj"}, {"down_proj"}, {"k_proj", "o_proj", "up_proj"}}) {
    const auto m = lora_model("llama", targets);
    EXPECT_EQ(m->fused_layers("a"), 2);
    const TensorMap fused = step(*m, host_batch(), true);
    expect_near(fused, step(*m, host_batch(), false), 1e-5);
  }
}

TEST(FusedBlock, DropsWhatThePlainPathDrops) {
  const auto m = lora_model("llama", {"all-linear"}, at::kFloat, 0.4);
  EXPECT_EQ(m->fused_layers("a"), 2);
  const TensorMap fused = step(*m, host_batch(), true), again = step(*m, host_batch(), true, Recompute::layer);
  expect_near(fused, step(*m, host_batch(), false), 1e-5);
  for (const auto& [name, tensor] : fused) EXPECT_TRUE(tensor.equal(again.at(name))) << name;
  const TensorMap without = step(*lora_model("llama", {"all-linear"}), host_batch(), true);
  EXPECT_GT(relative(fused.at("hidden"), without.at("hidden")), 1e-3);
}

TEST(FusedBlock, FamiliesThatItTakes) {
  for (const std::string family : {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "smollm3"}) EXPECT_EQ(lora_model(family, {"q_proj"})->fused_layers("a"), 2) << family;
  EXPECT_EQ(lora_model("gpt2", {"c_attn"})->fused_layers("a"), 0);   // no gate
}

TEST(FusedBlock, WeightsThatMovedAreWhatTheyWere) {
  const auto plain = random_model(tiny_config("llama"), {test_device(), at::kFloat, {}}, 5), moved = lora_model("llama", {"q_proj"});
  step(*moved, host_batch(), true);
  for (const Site* site : plain->sites())
    if (const Tensor value = site->values().weight; value.defined()) EXPECT_TRUE(value.equal(moved->find_site(site->path())->values().weight)) << site->path();
}

/// Sixteen bits: the fused path's error against float64 is no larger than the plain path's (a tenth is chance, and of one size more), and recompute changes no bit.
TEST(FusedBlock, InSixteenBitsItIsNoWorse) {
  for (const auto& [method, family] : {std::pair<std::string, std::string>{"lora", "llama"}, {"lora", "qwen2"}, {"lora", "qwen3"}, {"dora", "llama"}, {"dora", "qwen2"}, {"lora", "gemma3_text"}}) {
    double fused_error = 0, plain_error = 0;
    for (const int64_t size : {40, 192, 256}) {   // of whole warps too: then the gate's passes serve the updates on a GPU
      Json config = tiny_config(family);
      config["intermediate_size"] = size;
      if (size == 256) config["head_dim"] = 64;   // then attention is graft's own on Hopper
      const auto exact = model_of(method, config, {"all-linear"}, at::kDouble), m = model_of(method, config, {"all-linear"}, at::kBFloat16);
      // The exact model has the rounded base.
      {
        at::NoGradGuard no_grad;
        auto rounded = m->named_buffers();
        for (auto& buffer : exact->named_buffers()) buffer.value().copy_(rounded[buffer.key()]);
      }
      const TensorMap reference = step(*exact, host_batch(), false), fused = step(*m, host_batch(), true), again = step(*m, host_batch(), true, Recompute::gate_up),
                      plain = step(*m, host_batch(), false);
      for (const auto& [name, tensor] : reference) {
        EXPECT_TRUE(fused.at(name).equal(again.at(name))) << name;
        if (name == "loss") continue;
        fused_error += relative(fused.at(name), tensor), plain_error += relative(plain.at(name), tensor);
      }
    }
    EXPECT_LT(fused_error, 1.1 * plain_error) << method << " " << family;
  }
}

}  // namespace
}  // namespace graft::testing
