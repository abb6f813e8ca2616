// The contract of every method on every family and storage format: a new line in any of the tables runs all of this.
#include "contract/cases.h"
#include "graft/peft/dora.h"

namespace graft::testing {
namespace {

TEST_P(Contract, StartsAsTheBaseOrSaysWhyNot) {
  at::NoGradGuard no_grad;
  const auto m = model();
  graft_adapter(*m, "a", options(), setting());
  const double moved = difference(logits_of(*m, ""), logits_of(*m, "a"));
  if (make_method(options())->first_effect().empty())
    EXPECT_LT(moved, 1e-5);   // a product taken in another way rounds in another way
  else
    EXPECT_GT(moved, 0);
}

/// DoRA holds its norm: what a step of A or B does to it is taken out by moving the magnitude along.
void hold_norms(Transformer& model, const std::map<const Site*, Tensor>& gains) {
  for (const auto& [site, gain] : gains) {
    auto& dora = dynamic_cast<DoraAdapter&>(*site->adapter("a"));
    dora.magnitude().copy_(gain * dora.norm());
  }
}

TEST_P(Contract, GradientsEqualFiniteDifferencesInFloat64) {
  const auto m = grafted(at::kDouble);   // the adapter's fp32 parameters on a base that computes in float64
  const std::vector<HostBatch> batches{host_batch()};
  backward(*m, "a", batches, {});
  at::NoGradGuard no_grad;
  std::map<const Site*, Tensor> gains;
  for (const Site* site : m->sites())
    if (const auto* dora = dynamic_cast<DoraAdapter*>(site->adapter("a").get())) gains[site] = dora->magnitude().to(at::kDouble) / dora->norm();
  std::map<std::string, Tensor> gradients;
  for (const auto& [name, tensor] : parameters(*m, "a"))
    if (tensor.requires_grad()) gradients[name] = tensor.grad().clone();
  for (const auto& [name, tensor] : parameters(*m, "a")) {
    if (!tensor.requires_grad()) continue;
    const Tensor& gradient = gradients.at(name);
    const double norm = gradient.norm().item<double>();
    if (norm < 1e-12 && name.ends_with("key.bias")) continue;   // softmax does not see what all keys share
    ASSERT_GT(norm, 0) << name;
    const bool is_magnitude = name.ends_with("magnitude_vector");
    const Tensor before = tensor.clone();
    const auto loss_at = [&](double step) {
      Tensor(tensor).copy_(before.to(at::kDouble).add_(gradient, step / norm));
      if (!is_magnitude) hold_norms(*m, gains);
      at::AutoGradMode grad(true);
      clear_gradients(*m, "a");
      return backward(*m, "a", batches, {}).item<double>();
    };
    const auto slope = [&](double h) { return (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h); };   // to fourth order
    // A long step rounds least; where scores are sharp (a window's few keys), a short one is needed.
    const double size = tensor.norm().item<double>(), far = slope(1e-3 * size) / norm;
    EXPECT_NEAR(std::abs(far - 1) < 1e-3 ? far : slope(2e-4 * size) / norm, 1, 1e-3) << name;
    Tensor(tensor).copy_(before);
    hold_norms(*m, gains);
  }
}

TEST_P(Contract, RecomputeAndDropoutGiveTheSameGradientsToTheBit) {
  AdapterOptions with_dropout = options();
  if (GetParam().method != "pissa")
    std::visit([](auto& o) {
      if constexpr (requires { o.dropout; }) o.dropout = 0.5;
    }, with_dropout.options);
  const auto dropped = dropped_config(GetParam().family);
  const auto m = random_model(dropped ? *dropped : tiny_config(GetParam().family), {test_device(), at::kFloat, quantization(), tiny_task(GetParam().family)}, 5);
  graft_adapter(*m, "a", with_dropout, setting());
  randomize(*m, "a");
  std::vector<std::vector<Tensor>> gradients;
  for (const bool recompute : {false, true, false}) {
    m->set_recompute(recompute);
    clear_gradients(*m, "a");
    backward(*m, "a", {host_batch()}, {.seed = 42, .step = gradients.size() < 2 ? 3 : 4});
    gradients.emplace_back();
    for (const auto& p : parameters(*m, "a"))
      if (p.tensor.requires_grad()) gradients.back().push_back(p.tensor.grad().clone());
  }
  bool another_step_differs = false;
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
    another_step_differs = another_step_differs || !at::equal(gradients[0][i], gradients[2][i]);
  }
  EXPECT_EQ(another_step_differs, make_method(with_dropout)->dropout() > 0 || dropped.has_value());
}

TEST_P(Contract, AccumulationEqualsOneLargeBatch) {
  const auto m = grafted();
  const HostBatch both = host_batch();
  std::vector<HostBatch> rows;
  for (size_t r = 0; r < 2; ++r) {
    HostBatch row;
    row.rows = 1, row.columns = 9;
    const auto part = [&](const std::vector<int64_t>& v) { return std::vector<int64_t>(v.begin() + static_cast<int64_t>(9 * r), v.begin() + static_cast<int64_t>(9 * r + 9)); };
    row.ids = part(both.ids), row.positions = part(both.positions), row.segments = part(both.segments), row.targets = part(both.targets);
    row.target_count = std::count_if(row.targets.begin(), row.targets.end(), [](int64_t t) { return t != -100; });
    rows.push_back(row);
  }
  const double together = backward(*m, "a", {both}, {}).item<double>();
  std::map<std::string, Tensor> expected;
  for (const auto& p : parameters(*m, "a"))
    if (p.tensor.requires_grad()) expected[p.name] = p.tensor.grad().clone();
  clear_gradients(*m, "a");
  EXPECT_NEAR(backward(*m, "a", rows, {}).item<double>(), together, 2e-6);
  for (const auto& p : parameters(*m, "a"))
    if (p.tensor.requires_grad()) EXPECT_LT(difference(p.tensor.grad(), expected.at(p.name)), 1e-5 * std::max(1.0, expected.at(p.name).abs().max().item<double>())) << p.name;
}

TEST_P(Contract, CachedDecodingEqualsTheFullPass) {
  if (is_encoder(GetParam().family)) GTEST_SKIP() << "an encoder keeps no cache";
  at::NoGradGuard no_grad;
  const auto m = grafted();
  const Batch whole = batch_for(*m, "a");
  const Tensor full = logits(*m, whole);
  const VirtualTokens extra = m->virtual_tokens("a");
  const int64_t slots = extra.slots;
  Cache cache = m->new_cache(2, 9 + extra.count());
  std::vector<Tensor> parts;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, slots + 4}, {slots + 4, slots + 5}, {slots + 5, slots + 9}}) {
    Batch part = whole;
    part.ids = whole.ids.slice(1, begin, end), part.positions = whole.positions.slice(1, begin, end), part.segments = whole.segments.slice(1, begin, end);
    parts.push_back(m->predict(m->hidden(part, &cache), part));
  }
  const Tensor cached = at::cat(parts, 1);
  EXPECT_LT(difference(cached[0], full[0]), 1e-5 * std::max(1.0, full.abs().max().item<double>()));
  EXPECT_LT(difference(cached[1].slice(0, 0, slots + 6), full[1].slice(0, 0, slots + 6)), 1e-5 * std::max(1.0, full.abs().max().item<double>()));
  EXPECT_TRUE(at::isfinite(cached).all().item<bool>());
}

TEST_P(Contract, PaddingChangesNothing) {
  at::NoGradGuard no_grad;
  const auto m = grafted();
  HostBatch alone = host_batch();
  alone.rows = 1, alone.columns = 6;
  for (auto* list : {&alone.ids, &alone.positions, &alone.segments, &alone.targets}) *list = {list->begin() + 9, list->begin() + 15};
  const Tensor together = logits_of(*m, "a")[1].slice(0, 0, 6), single = logits_of(*m, "a", alone)[0];
  EXPECT_LT(difference(together, single), 1e-5 * std::max(1.0, single.abs().max().item<double>()));
}

TEST_P(Contract, SavedAndLoadedIsTheSame) {
  TemporaryFolder folder;
  const auto m = grafted();
  write_adapter(folder / "adapter", *m, "a", options(), "base");
  const AdapterOptions read = load_adapter(*m, "b", folder / "adapter");
  at::NoGradGuard no_grad;
  const Tensor a = logits_of(*m, "a"), b = logits_of(*m, "b");
  if (read.method == options().method)
    EXPECT_TRUE(at::equal(a, b));
  else   // written as what others know: a plain LoRA of twice the rank, projected vectors
    EXPECT_LT(difference(a, b), 1e-5 * std::max(1.0, a.abs().max().item<double>()));
}

TEST_P(Contract, MergeEqualsForward) {
  at::NoGradGuard no_grad;
  const auto m = grafted();
  if (!make_method(options())->merges()) return;
  for (const Site* site : m->sites()) {
    const auto adapter = site->adapter("a");
    if (!adapter) continue;
    const auto merged = adapter->merged(site->values());
    ASSERT_TRUE(merged.has_value()) << site->path();
    Batch batch = batch_of({3}, 97);
    batch.adapter = "a";
    const bool words = site->kind() == SiteKind::embedding;
    const int64_t width = site->kind() == SiteKind::linear ? site->weight()->in_features() : site->values().weight.size(-1);
    const Tensor x = words ? batch.ids % site->values().weight.size(0) : at::randn({1, 3, width}).to(test_device());
    const Tensor expected = site->apply(x, *merged);
    EXPECT_LT(difference(adapter->forward(x, Frozen{*site, {}, &batch}, batch), expected), 1e-4 * std::max(1.0, expected.abs().max().item<double>())) << site->path();
  }
}

TEST_P(Contract, ThreeStepsTrainAndLeaveTheBaseAlone) {
  const auto m = model();
  graft_adapter(*m, "a", options(), setting());
  std::map<std::string, Tensor> before, after;
  const auto keep = [&](std::map<std::string, Tensor>& into) {
    for (const auto& item : m->named_buffers()) into[item.key()] = item.value().clone();
    for (const Site* site : m->sites())
      if (site->weight()) into[site->path() + " (dense)"] = site->weight()->dense(at::kFloat).clone();
  };
  keep(before);
  std::vector<double> losses;
  for (int64_t step = 0; step < 4; ++step) {
    clear_gradients(*m, "a");
    losses.push_back(backward(*m, "a", {host_batch()}, {.step = step}).item<double>());
    at::NoGradGuard no_grad;
    double squares = 0;
    for (const auto& p : parameters(*m, "a"))
      if (p.tensor.requires_grad()) squares += p.tensor.grad().square().sum().item<double>();
    for (const auto& p : parameters(*m, "a"))
      if (p.tensor.requires_grad()) Tensor(p.tensor).sub_(p.tensor.grad() * (0.02 / std::sqrt(squares)));   // a short step downhill
  }
  EXPECT_LT(losses.back(), losses.front());
  keep(after);
  for (const auto& [name, tensor] : before) EXPECT_TRUE(at::equal(tensor, after.at(name))) << name;
}

INSTANTIATE_TEST_SUITE_P(Table, Contract, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.family + "_" + info.param.method + "_" + info.param.format; });

TEST(Loftq, RefusesADenseBase) {
  const auto m = random_model(tiny_config("llama"), {}, 5);
  AdapterOptions options;
  options.method = "loftq";
  options.select_options();
  GraftSetting setting;
  setting.original = [&](const std::string& tensor) { return m->find_site(module_of(tensor))->values().weight; };
  EXPECT_THROW(graft_adapter(*m, "a", options, setting), RequestError);
  EXPECT_TRUE(parameters(*m, "a").empty());   // nothing is left seated
}

}  // namespace
}  // namespace graft::testing
