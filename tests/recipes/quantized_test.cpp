// Quantised bases from end to end: folders, merging, quantisation-aware training.
#include <ATen/ATen.h>

#include "../recipes/dense_cache.h"
#include "../recipes/export.h"
#include "../recipes/quantize.h"
#include "graft/core/error.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"
#include "graft/peft/qat.h"
#include "graft/quant/quantized_weight.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {
namespace {

ModelOptions tiny() {
  ModelOptions model;
  model.path = golden("tiny_chat").string();
  return model;
}

QuantizationOptions options(std::string_view format, bool doubly = false) {
  QuantizationOptions options;
  options.format = format, options.double_quantization = doubly;
  return options;
}

Tensor logits_of(const ModelFiles& files, const QuantizationOptions& quantization, const Target* target = nullptr) {
  at::NoGradGuard no_grad;
  const auto model = load_model(files, {at::kCPU, at::kFloat, quantization});
  Batch batch = batch_of({12, 9}, 200);
  batch.ids = batch.ids.cpu(), batch.positions = batch.positions.cpu(), batch.segments = batch.segments.cpu();
  if (target) batch.adapter = seat_target(*model, *target, {});
  return logits(*model, batch);
}

std::vector<std::pair<std::string, bool>> formats_and_doubling() {
  std::vector<std::pair<std::string, bool>> all;
  for (const Format* format : formats()) {
    all.emplace_back(format->name, false);
    if (format->usual == Grouping::block) all.emplace_back(format->name, true);
  }
  return all;
}

void quantize_to(const std::filesystem::path& folder, const QuantizationOptions& how) {
  const Base base = open_base(tiny());
  quantize_model(*base.files, base, how, std::nullopt, at::kCPU, folder, {}, {});
}

TEST(QuantizedFolder, HoldsWhatLoadingQuantisesToTheBit) {
  const Base base = open_base(tiny());
  for (const auto& [format, doubly] : formats_and_doubling()) {
    TemporaryFolder folder;
    quantize_to(folder / "out", options(format, doubly));
    const auto files = open_model_files((folder / "out").string());
    EXPECT_TRUE(at::equal(logits_of(*files, {}), logits_of(*base.files, options(format, doubly)))) << format << doubly;
    EXPECT_TRUE(at::equal(logits_of(*files, options(format, doubly)), logits_of(*files, {}))) << format;   // naming the same format is fine
    EXPECT_EQ(files->shape("model.layers.0.mlp.up_proj.weight"), base.files->shape("model.layers.0.mlp.up_proj.weight"));
  }
}

TEST(QuantizedFolder, AnotherFormatThanItsOwnIsRefused) {
  TemporaryFolder folder;
  quantize_to(folder / "out", options("nf4"));
  const auto files = open_model_files((folder / "out").string());
  try {
    logits_of(*files, options("int8_absmax"));
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("is stored as nf4, blocks of 64; quantization asks for int8_absmax, by row"), std::string::npos) << e.what();
  }
}

/// What is said of a folder of this format after `damage` has changed its tensors.
std::string fault_after(const QuantizationOptions& how, const std::function<void(TensorMap&)>& damage) {
  TemporaryFolder folder;
  quantize_to(folder / "out", how);
  TensorMap tensors = load_tensors(folder / "out" / "model.safetensors");
  damage(tensors);
  save_tensors(folder / "out" / "model.safetensors", tensors);
  try {
    open_model_files((folder / "out").string());
    return "";
  } catch (const RequestError& e) {
    return e.what();
  }
}

Tensor bytes_of_text(const std::string& text) {
  Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

TEST(QuantizedFolder, NoPartIsTrusted) {
  const std::string w = "model.layers.0.mlp.up_proj.weight", state = w + ".quant_state.bitsandbytes__nf4";
  const auto says = [](const std::string& fault, const char* what) { return fault.find(what) != std::string::npos ? std::string() : "said: " + fault; };
  const auto nf4 = options("nf4", true);
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t.erase(w + ".absmax"); }), ".absmax is missing"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[w + ".absmax"] = t[w + ".absmax"].slice(0, 0, 1); }), "expected"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[w + ".absmax"] = t[w + ".absmax"].to(at::kFloat); }), "expected"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[w] = t[w].slice(0, 0, 7); }), "codes in bytes"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[w + ".quant_map"] = t[w + ".quant_map"] * 2; }), "code points"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[state] = bytes_of_text("{\"quant_type\": \"nf4\""); }), state.c_str()), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[state] = bytes_of_text(R"({"blocksize": 63, "shape": [40, 48]})"); }), "block_size 63"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[state] = bytes_of_text(R"({"blocksize": 64, "shape": [-40, 48]})"); }), "shape"), "");
  EXPECT_EQ(says(fault_after(nf4, [&](TensorMap& t) { t[state] = bytes_of_text(R"({"blocksize": "64", "shape": [40, 48]})"); }), "blocksize"), "");
  EXPECT_EQ(says(fault_after(options("int8_absmax"), [&](TensorMap& t) { t["model.layers.0.mlp.up_proj.SCB"] = at::ones({3}); }), "SCB"), "");
  EXPECT_EQ(says(fault_after(options("int4_affine"), [&](TensorMap& t) { t.erase(w + ".zero"); }), ".zero is missing"), "");
}

TEST(QuantizedFolder, OtherMethodsAreNamed) {
  TemporaryFolder folder;
  quantize_to(folder / "out", options("nf4"));
  Json config = read_json(folder / "out" / "config.json");
  config["quantization_config"] = {{"quant_method", "gptq"}};
  write_file(folder / "out" / "config.json", config.dump());
  try {
    open_model_files((folder / "out").string());
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("gptq"), std::string::npos);
  }
}

TEST(QuantizedFolder, AWeightThatIsNotFiniteLeavesNothing) {
  TemporaryFolder folder;
  std::filesystem::copy(golden("tiny_chat"), folder / "bad");
  TensorMap tensors = load_tensors(folder / "bad" / "model.safetensors");
  tensors["model.layers.1.mlp.down_proj.weight"][0][3] = NAN;
  save_tensors(folder / "bad" / "model.safetensors", tensors);
  ModelOptions model;
  model.path = (folder / "bad").string();
  const Base base = open_base(model);
  try {
    quantize_model(*base.files, base, options("nf4"), std::nullopt, at::kCPU, folder / "out", {}, {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("model.layers.1.mlp.down_proj.weight: 1 of"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

/// A LoRA with random values on the tiny model.
Target trained(const QuantizationOptions& quantization, double deviation = 0.05) {
  Target target{.model = tiny(), .quantization = quantization, .adapter = AdapterOptions{}, .dtype = at::kFloat, .values = {}, .what = "a run"};
  const Base base = open_base(target.model);
  const auto outline = outline_model(*base.files);
  graft_adapter(*outline, "default", *target.adapter, 1);
  randomize(*outline, "default", deviation);
  for (const auto& [name, tensor] : parameters(*outline, "default")) target.values[name] = tensor.detach().clone();
  return target;
}

TEST(Merge, OnAQuantisedBaseEqualsTheLiveModel) {
  for (const auto& [format, doubly] : formats_and_doubling()) {
    TemporaryFolder folder;
    const Target target = trained(options(format, doubly));
    MergeOptions merge;
    merge.dtype = "fp32";
    const MergeReport report = export_merged(target, folder / "out", merge, {});
    EXPECT_LT(report.largest_difference, 1e-4) << format;
    EXPECT_LT(report.kl, 1e-6) << format;
    const Base base = open_base(tiny());
    EXPECT_LT(difference(logits_of(*open_model_files((folder / "out").string()), {}), logits_of(*base.files, target.quantization, &target)), 1e-4) << format;
  }
}

TEST(Merge, IntoTheOriginalIsAnotherModelAndSaysSo) {
  TemporaryFolder folder;
  const Target target = trained(options("nf4"));
  MergeOptions merge;
  merge.dtype = "fp32", merge.into = MergeInto::original;
  std::string said;
  export_merged(target, folder / "out", merge, Log([&](LogLevel, const std::string& text) { said += text; }));
  EXPECT_NE(said.find("merged into the file's own weights"), std::string::npos);
  Target dense = target;
  dense.quantization = {};
  const Base base = open_base(tiny());
  EXPECT_LT(difference(logits_of(*open_model_files((folder / "out").string()), {}), logits_of(*base.files, {}, &dense)), 1e-4);
}

TEST(Merge, ASmallUpdateSurvivesTheDefaultExportAndTheRequantisedOneReportsItsLoss) {
  // an update of about 3 % of a block's largest magnitude
  const Target target = trained(options("nf4"), 0.03);
  const Base base = open_base(tiny());
  const Tensor live = logits_of(*base.files, target.quantization, &target), without = logits_of(*base.files, target.quantization);
  TemporaryFolder folder;
  MergeOptions merge;
  merge.dtype = "fp32";
  export_merged(target, folder / "dense", merge, {});
  EXPECT_LT(difference(logits_of(*open_model_files((folder / "dense").string()), {}), live), 0.01 * difference(live, without));
  merge.into = MergeInto::requantized;
  export_merged(target, folder / "nf4", merge, {});
  const Json report = read_json(folder / "nf4" / "merge_report.json");
  const double left = report["update_left"]["model.layers.0.mlp.up_proj"].get<double>();
  EXPECT_LT(left, 0.9);
  EXPECT_GT(left, -0.5);
  EXPECT_TRUE(open_model_files((folder / "nf4").string())->stored_scheme("model.layers.0.mlp.up_proj.weight").has_value());
}

TEST(Qat, TheExportedModelComputesWhatTrainingRounded) {
  for (const char* format : {"int4_affine", "int8_absmax", "int8_zero_point"}) {
    TemporaryFolder folder;
    QuantizationOptions quantization;
    quantization.qat.format = format;
    const Target target = trained(quantization);
    MergeOptions merge;
    merge.dtype = "fp32", merge.into = MergeInto::requantized;
    const MergeReport report = export_merged(target, folder / "out", merge, {});
    EXPECT_LT(report.largest_difference, 1e-5) << format;
    const Base base = open_base(tiny());
    const Tensor live = logits_of(*base.files, quantization, &target);
    EXPECT_LT(difference(logits_of(*open_model_files((folder / "out").string()), {}), live), 1e-5) << format;
    Target plain = target;
    plain.quantization = {};
    EXPECT_GT(difference(live, logits_of(*base.files, {}, &plain)), 1e-3) << format;   // rounding is really there
  }
}

TEST(Qat, GradientsAreLorasThroughTheRoundedWeight) {
  const Base base = open_base(tiny());
  const auto model = load_model(*base.files, {});
  graft_adapter(*model, "a", {}, 1);
  randomize(*model, "a", 0.05);
  Site* site = model->find_site("model.layers.0.mlp.up_proj");
  const LowRank update = *site->adapter("a")->low_rank();
  QuantizationOptions options;
  options.qat.format = "int4_affine", options.qat.start_step = 5;
  add_fake_quantization(*model, "a", options);
  const Tensor x = at::randn({2, 3, site->weight()->in_features()}).requires_grad_(true), g = at::randn({2, 3, site->weight()->out_features()});
  Batch batch;
  batch.adapter = "a", batch.training = true, batch.step = 5;
  const Tensor y = site->run(x, batch);
  y.backward(g);
  const Tensor sum = site->weight()->dense(at::kFloat) + update.scale * at::mm(update.b.detach(), update.a.detach());
  const Tensor rounded = dequantize(quantize(sum, *scheme_of(options.qat), "w"), at::kFloat);
  EXPECT_TRUE(at::allclose(y, at::linear(x, rounded), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(x.grad(), at::matmul(g, rounded), 1e-5, 1e-6));
  const Tensor weight_grad = at::mm(g.view({6, -1}).t(), x.detach().view({6, -1}));   // of the sum, the rounding taken as the identity
  EXPECT_TRUE(at::allclose(update.b.grad(), update.scale * at::mm(weight_grad, update.a.detach().t()), 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(update.a.grad(), update.scale * at::mm(update.b.detach().t(), weight_grad), 1e-4, 1e-5));
  batch.step = 4;   // before the start: no rounding
  EXPECT_TRUE(at::allclose(site->run(x, batch), at::linear(x, sum), 1e-4, 1e-5));
}

TEST(Qat, DropoutIsRefusedAtTheDoor) {
  Job job;
  job.model.path = golden("tiny_chat").string(), job.output_dir = "/tmp/x", job.data.train = {DataSource{.path = "x.jsonl"}};
  job.quantization.qat.format = "int4_affine";
  std::get<LoraOptions>(job.adapter.options).dropout = 0.1;
  try {
    check_job(job);
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("adapter.dropout"), std::string::npos);
  }
}

TEST(Report, EverySchemeIsMeasuredAndOrdered) {
  ReportOptions how;
  how.double_quantization = true, how.clips = {"none", "mse"};
  const ModelReport report = report_quantization(open_base(tiny()), how, {}, {});
  std::map<std::string, const SchemeReport*> by_name;
  for (const auto& scheme : report.schemes) by_name[describe(scheme.scheme)] = &scheme;
  EXPECT_EQ(by_name.size(), report.schemes.size());
  ASSERT_TRUE(by_name.contains("nf4, blocks of 64, double quantisation"));
  EXPECT_GT(by_name["int8_absmax, by row"]->total.signal_to_noise(), by_name["nf4, blocks of 64"]->total.signal_to_noise() + 10);
  EXPECT_EQ(by_name["int4_affine, blocks of 64"]->total.clipping_share(), 0);
  EXPECT_GT(by_name["int4_affine, blocks of 64, clipped by mse"]->total.clipping_share(), 0);
  EXPECT_GT(by_name["int4_affine, blocks of 64, clipped by mse"]->total.signal_to_noise(), by_name["int4_affine, blocks of 64"]->total.signal_to_noise());
  const std::string table = report_table(report);
  for (const auto& [name, scheme] : by_name) EXPECT_NE(table.find(name), std::string::npos);
}

TEST(Store, TheSecondLoadTakesTheStoredBase) {
  TemporaryFolder folder;
  setenv("GRAFT_CACHE", folder.path().c_str(), 1);
  const Base base = open_base(tiny());
  QuantizationOptions how = options("nf4", true);
  const auto first = stored_base(base, how, at::kCPU, {}, {});
  std::string said;
  const auto again = stored_base(base, how, at::kCPU, Log([&](LogLevel, const std::string& text) { said += text; }), {});
  unsetenv("GRAFT_CACHE");
  EXPECT_NE(said.find("comes from"), std::string::npos);
  EXPECT_TRUE(at::equal(logits_of(*again, how), logits_of(*base.files, how)));
}

TEST(Cache, KeepsWhatFitsAndChangesNothing) {
  at::NoGradGuard no_grad;
  const Base base = open_base(tiny());
  const auto model = load_model(*base.files, {at::kCPU, at::kFloat, options("nf4")});
  Batch batch = batch_of({12, 9}, 200);
  batch.ids = batch.ids.cpu(), batch.positions = batch.positions.cpu(), batch.segments = batch.segments.cpu();
  const Tensor before = logits(*model, batch);
  const Weight& first = *model->first_site(SiteKind::linear)->weight();
  EXPECT_EQ(keep_dense(*model, first.out_features() * first.in_features() * 4 - 1), 0);
  EXPECT_EQ(keep_dense(*model, first.out_features() * first.in_features() * 4), 1);
  EXPECT_GT(keep_dense(*model, 1 << 30), 10);
  EXPECT_TRUE(at::equal(logits(*model, batch), before));
}

}  // namespace
}  // namespace graft::testing
