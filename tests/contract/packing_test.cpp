// Samples packed into rows: the loss and every gradient are those of samples one a row, in every decoder family.
#include "contract/cases.h"

namespace graft::testing {
namespace {

struct Samples {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<uint8_t>> learn;
  SampleView operator[](size_t i) const { return {ids[i], learn[i]}; }
};

Samples samples_of(const std::vector<int64_t>& lengths) {
  Samples samples;
  at::manual_seed(3);
  for (const int64_t length : lengths) {
    const Tensor ids = at::randint(97, {length}, at::kInt);
    samples.ids.emplace_back(ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + length);
    samples.learn.emplace_back(length, 1);
  }
  return samples;
}

struct PackedCase {
  std::string family, method;
};

std::vector<PackedCase> packed_cases() {
  std::vector<PackedCase> cases;
  for (const Family* family : families())
    for (const char* method : {"lora", "prompt_tuning", "p_tuning_v2"})
      if (!is_encoder(std::string(family->name))) cases.push_back({std::string(family->name), method});
  return cases;
}

std::vector<PackedCase> shared_cases() {
  std::vector<PackedCase> cases;
  for (const Family* family : families())
    for (const char* method : {"lora", "pfeiffer"})
      if (!is_encoder(std::string(family->name))) cases.push_back({std::string(family->name), method});
  return cases;
}

class Packing : public ::testing::TestWithParam<PackedCase> {};
INSTANTIATE_TEST_SUITE_P(Table, Packing, ::testing::ValuesIn(packed_cases()),
                         [](const auto& c) { return c.param.family + "_" + c.param.method; });

/// A model with an adapter whose values are no longer the first ones.
std::shared_ptr<Transformer> adapted(const std::string& family, const AdapterOptions& options) {
  const auto model = random_model(tiny_config(family), {test_device(), at::kFloat, {}}, 5);
  graft_adapter(*model, "a", options, 1);
  randomize(*model, "a");
  return model;
}

std::map<std::string, Tensor> step(Transformer& model, const HostBatch& batch, double& loss) {
  for (const auto& [name, tensor] : parameters(model, "a")) Tensor(tensor).mutable_grad() = Tensor();
  loss = backward(model, "a", {batch}, {.seed = 9, .step = 4}).item<double>();
  std::map<std::string, Tensor> gradients;
  for (const auto& [name, tensor] : parameters(model, "a"))
    if (tensor.grad().defined()) gradients[name] = tensor.grad().clone();
  return gradients;
}

void expect_same(Transformer& model, const HostBatch& one_by_one, const HostBatch& together) {
  double expected_loss = 0, loss = 0;
  const auto expected = step(model, one_by_one, expected_loss), got = step(model, together, loss);
  EXPECT_NEAR(loss, expected_loss, 1e-5);
  ASSERT_EQ(expected.size(), got.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_LT(difference(got.at(name), gradient), 1e-5 * std::max(1.0, gradient.abs().max().item<double>())) << name;
    EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  }
}

TEST_P(Packing, IsOneByOne) {
  AdapterOptions options;
  options.method = GetParam().method;
  options.select_options();
  if (auto* lora = std::get_if<LoraOptions>(&options.options)) lora->dropout = 0.3;  // its masks follow the sample, not the place
  std::visit(
      [](auto& o) {
        if constexpr (requires { o.num_virtual_tokens; }) o.num_virtual_tokens = 3;
      },
      options.options);
  const auto model = adapted(GetParam().family, options);
  const Samples samples = samples_of({9, 4, 12, 2, 7});
  const std::vector<SampleView> each = {samples[0], samples[1], samples[2], samples[3], samples[4]};
  const std::vector<std::vector<SampleView>> rows = {{samples[0], samples[1]}, {samples[2]}, {samples[3], samples[4]}};
  expect_same(*model, make_batch(each, {}, 20), make_packed_batch(rows, 20));
}

class SharedBeginning : public ::testing::TestWithParam<PackedCase> {};
INSTANTIATE_TEST_SUITE_P(Table, SharedBeginning, ::testing::ValuesIn(shared_cases()), [](const auto& c) { return c.param.family + "_" + c.param.method; });

/// Samples that begin with the same seven tokens, in one row and in two: those stand there once, and what is learnt through them is all that each sample would have
/// taught.
TEST_P(SharedBeginning, IsOneByOne) {
  AdapterOptions options;
  options.method = GetParam().method;
  options.select_options();
  const auto model = adapted(GetParam().family, options);
  constexpr int64_t shared = 7;
  Samples samples = samples_of({12, 9, 30, 11, 10});
  for (size_t i = 0; i < samples.ids.size(); ++i) std::copy_n(samples.ids[0].begin(), shared, samples.ids[i].begin()), std::fill_n(samples.learn[i].begin(), shared + 1, 0);
  const std::vector<SampleView> each = {samples[0], samples[1], samples[2], samples[3], samples[4]};
  const HostBatch one_by_one = make_batch(each, {}, 20);
  const std::vector<std::vector<SampleView>> row = {each}, rows = {{samples[0], samples[1]}, {samples[2], samples[3], samples[4]}};
  expect_same(*model, one_by_one, make_packed_batch(row, 20, shared));
  expect_same(*model, one_by_one, make_packed_batch(rows, 20, shared));
}

/// Of each token, padding too: the stretch of its row that is of one segment; a shared beginning's goes on to the row's end.
TEST(PackedRows, SayWhereEachTokensTextLies) {
  const Samples samples = samples_of({9, 4, 12, 5, 7});
  const std::vector<std::vector<SampleView>> rows = {{samples[0], samples[1]}, {samples[2]}, {samples[3], samples[4]}};
  for (const int64_t shared : {0, 3}) {
    const HostBatch host = make_packed_batch(rows, 20, shared);
    const std::vector<int32_t> bounds = text_places(host).bounds();
    const int64_t tokens = host.rows * host.columns;
    ASSERT_EQ(std::ssize(bounds), 2 * tokens);
    const auto same = [&](int64_t a, int64_t b) { return b >= 0 && b < tokens && a / host.columns == b / host.columns && host.segments[static_cast<size_t>(a)] == host.segments[static_cast<size_t>(b)]; };
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t begin = bounds[static_cast<size_t>(2 * t)], end = bounds[static_cast<size_t>(2 * t + 1)];
      ASSERT_TRUE(begin <= t && t < end) << t;
      EXPECT_FALSE(same(t, begin - 1) || same(t, end)) << t;
      if (t % host.columns < shared) EXPECT_EQ(end, (t / host.columns + 1) * host.columns) << t;
      for (int64_t other = begin; other < end && t % host.columns >= shared; ++other) EXPECT_TRUE(same(t, other)) << t << " " << other;
    }
  }
}

}  // namespace
}  // namespace graft::testing
