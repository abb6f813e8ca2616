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

class Packing : public ::testing::TestWithParam<PackedCase> {};
INSTANTIATE_TEST_SUITE_P(Table, Packing, ::testing::ValuesIn(packed_cases()),
                         [](const auto& c) { return c.param.family + "_" + c.param.method; });

std::map<std::string, Tensor> step(Transformer& model, const HostBatch& batch, double& loss) {
  for (const auto& [name, tensor] : parameters(model, "a")) Tensor(tensor).mutable_grad() = Tensor();
  loss = backward(model, "a", {batch}, {.seed = 9, .step = 4}).item<double>();
  std::map<std::string, Tensor> gradients;
  for (const auto& [name, tensor] : parameters(model, "a"))
    if (tensor.grad().defined()) gradients[name] = tensor.grad().clone();
  return gradients;
}

TEST_P(Packing, IsOneByOne) {
  const auto model = random_model(tiny_config(GetParam().family), {test_device(), at::kFloat, {}}, 5);
  AdapterOptions options;
  options.method = GetParam().method;
  options.select_options();
  if (auto* lora = std::get_if<LoraOptions>(&options.options)) lora->dropout = 0.3;  // its masks follow the sample, not the place
  std::visit(
      [](auto& o) {
        if constexpr (requires { o.num_virtual_tokens; }) o.num_virtual_tokens = 3;
      },
      options.options);
  graft_adapter(*model, "a", options, 1);
  randomize(*model, "a");
  const Samples samples = samples_of({9, 4, 12, 2, 7});
  const std::vector<SampleView> each = {samples[0], samples[1], samples[2], samples[3], samples[4]};
  const std::vector<std::vector<SampleView>> rows = {{samples[0], samples[1]}, {samples[2]}, {samples[3], samples[4]}};
  double one_by_one = 0, packed = 0;
  const auto expected = step(*model, make_batch(each, {}, 20), one_by_one),
             got = step(*model, make_packed_batch(rows, 20), packed);
  EXPECT_NEAR(packed, one_by_one, 1e-5);
  ASSERT_EQ(expected.size(), got.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_LT(difference(got.at(name), gradient), 1e-5 * std::max(1.0, gradient.abs().max().item<double>())) << name;
    EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
  }
}

/// Of each token, padding too: the stretch of its row that is of one segment.
TEST(PackedRows, SayWhereEachTokensTextLies) {
  const Samples samples = samples_of({9, 4, 12, 2, 7});
  const std::vector<std::vector<SampleView>> rows = {{samples[0], samples[1]}, {samples[2]}, {samples[3], samples[4]}};
  const HostBatch host = make_packed_batch(rows, 20);
  const std::vector<int32_t> bounds = text_places(host).bounds();
  const int64_t tokens = host.rows * host.columns;
  ASSERT_EQ(std::ssize(bounds), 2 * tokens);
  const auto same = [&](int64_t a, int64_t b) { return b >= 0 && b < tokens && a / host.columns == b / host.columns && host.segments[static_cast<size_t>(a)] == host.segments[static_cast<size_t>(b)]; };
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t begin = bounds[static_cast<size_t>(2 * t)], end = bounds[static_cast<size_t>(2 * t + 1)];
    ASSERT_TRUE(begin <= t && t < end) << t;
    for (int64_t other = begin; other < end; ++other) EXPECT_TRUE(same(t, other)) << t << " " << other;
    EXPECT_FALSE(same(t, begin - 1) || same(t, end)) << t;
  }
}

}  // namespace
}  // namespace graft::testing
