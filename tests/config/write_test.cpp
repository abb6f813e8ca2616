// What is written reads back equal; what differs is found; help and schema say what reading accepts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "graft/config/foreign.h"
#include "graft/config/help.h"
#include "support.h"

namespace graft::sample {
namespace {

Job full_job() {
  Job job;
  job.model.path = "org/name@main";
  job.quantization = Quantization{"fp4", true};
  job.adapter.target_modules = std::vector<std::string>{"q_proj", "a b", "-x", "1e5"};
  job.adapter.rank_pattern = {{"layers.0: x", 4}, {"", 1}};
  job.adapters["one"].rank = 3;
  job.adapters["two"].target_modules = ".*q\\.";
  job.data.train = {{"data/*.jsonl", "alpaca", 10, {{"prompt", "q"}}}, {"null", "auto", {}, {}}};
  job.data.val_size = 0.1 + 0.2;
  job.train.max_grad_norm.reset();
  job.train.seed = std::numeric_limits<uint64_t>::max();
  return job;
}

TEST(ToYaml, reads_back_equal) {
  for (const bool comments : {false, true})
    for (const Job& job : {Job{}, full_job()}) EXPECT_EQ(job_of(to_yaml(job, comments)), job) << to_yaml(job, comments);
}

TEST(ToYaml, of_a_config_as_it_was_given) {
  const auto text = to_yaml(parse_config("a: {b: 1e-4, c: [x, '1e3', \"true\", false]}\nd: null\nf: {}\n", "x", {"a.e=*.jsonl", "g.h=0.5"}));
  EXPECT_EQ(text, "a:\n  b: 1e-4\n  c: [x, \"1e3\", \"true\", false]\n  e: \"*.jsonl\"\nd: null\nf: {}\ng:\n  h: 0.5\n");
  EXPECT_EQ(to_yaml(parse_config(text, "x")), text);
}

TEST(ToYaml, is_plain_to_read) {
  Job job;
  job.data.train = {{"a.jsonl", "auto", 5, {}}};
  job.adapter.target_modules = std::vector<std::string>{"q_proj", "v_proj"};
  EXPECT_EQ(
      to_yaml(job),
      "model:\n  path: \"\"\n  chat_template: auto\n"
      "quantization: null\n"
      "adapter:\n  method: lora\n  rank: 8\n  alpha: 16\n  rank_pattern: {}\n  target_modules: [q_proj, v_proj]\n"
      "adapters: {}\n"
      "data:\n  train:\n    - path: a.jsonl\n      format: auto\n      limit: 5\n      columns: {}\n"
      "  val_size: 0\n  packing: false\n  max_length: 2048\n"
      "train:\n  epochs: 3\n  max_steps: null\n  learning_rate: 0.0002\n  betas: [0.9, 0.999]\n  max_grad_norm: 1\n  seed: 42\n"
      "output_dir: runs/job\n");
}

TEST(ToYaml, comments_say_help_choices_bounds_and_changed_defaults) {
  Job job;
  job.train.learning_rate = 1e-3;
  const std::string text = to_yaml(job, true);
  EXPECT_TRUE(contains(text, "  rank: 8                                   # width of the update; at least 1\n"));
  EXPECT_TRUE(contains(text, "# at its highest; more than 0; default: 0.0002\n"));
  EXPECT_TRUE(contains(text, "# quantization:\n#   format: nf4"));
  EXPECT_TRUE(contains(text, "  # train:\n  #   - path: \"\""));
  EXPECT_TRUE(contains(text, "nf4 | fp4 | int8"));
}

TEST(ToYaml, any_double_and_any_text_survive) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    Job job;
    uint64_t bits = random();
    double value;
    static_assert(sizeof value == sizeof bits);
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isnan(value)) job.train.max_grad_norm = value;
    for (uint64_t length = random() % 12; length > 0; --length) {
      const std::vector<std::string> pieces = {"a",
                                               " ",
                                               "#",
                                               ":",
                                               "-",
                                               "\"",
                                               "'",
                                               "\\",
                                               "\n",
                                               "\t",
                                               "\x01",
                                               "é",
                                               "\xe2\x80\xa8",
                                               "\xef\xbb\xbf",
                                               "\xc2\x85",
                                               "{",
                                               "]",
                                               ",",
                                               "&",
                                               "*",
                                               "1",
                                               ".",
                                               "\x7f",
                                               "🌱",
                                               "%",
                                               "@",
                                               "`",
                                               "|",
                                               "?",
                                               "!",
                                               "~",
                                               "<<",
                                               "\r"};
      job.model.path += pieces[random() % pieces.size()];
    }
    job.data.train = {{job.model.path, "auto", {}, {{job.model.path, job.model.path}}}};
    job.adapter.target_modules = std::vector<std::string>{job.model.path, "x"};
    ASSERT_EQ(job_of(to_yaml(job)), job) << to_yaml(job);
  }
}

TEST(ToYaml, text_that_is_not_utf8_is_refused) {
  Job job;
  job.model.path = "\xff";
  EXPECT_TRUE(contains(thrown_by([&] { to_yaml(job); }), "not UTF-8"));
}

TEST(Differences, names_keys_and_both_values) {
  Job before = full_job(), after = full_job();
  EXPECT_TRUE(differences(before, after).empty());
  after.train.learning_rate = 1e-4;
  after.quantization->format = "nf4";
  after.data.train[0].limit = 11;
  after.data.train.push_back({"new.json", "auto", {}, {}});
  after.adapters.erase("two");
  after.adapter.target_modules = "all-linear";
  std::vector<std::string> lines;
  for (const auto& difference : differences(before, after)) lines.push_back(difference.text());
  EXPECT_EQ(
      lines,
      (std::vector<std::string>{
          "quantization.format: fp4 -> nf4", "adapter.target_modules: [q_proj, a b, \"-x\", \"1e5\"] -> all-linear",
          "adapters.two: {method: lora, rank: 8, alpha: 16, rank_pattern: {}, target_modules: \".*q\\\\.\"} -> (absent)",
          "data.train.0.limit: 10 -> 11", "data.train.2: (absent) -> {path: new.json, format: auto, limit: null, columns: {}}",
          "train.learning_rate: 0.0002 -> 0.0001"}));
}

TEST(Differences, optional_sections_and_method_fields) {
  Job before, after;
  after.quantization = Quantization{};
  after.adapter.method = "bottleneck";
  std::vector<std::string> keys;
  for (const auto& difference : differences(before, after)) keys.push_back(difference.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"quantization", "adapter.method", "adapter.rank", "adapter.alpha",
                                            "adapter.rank_pattern", "adapter.bottleneck"}));
}

TEST(Help, lists_every_key_with_type_default_and_help) {
  const std::string text = help_text(Job{});
  EXPECT_TRUE(matches(text, "adapter.rank +integer +8 +width of the update; at least 1\n"));
  EXPECT_TRUE(matches(text, "quantization.format +text +nf4 +of the frozen base; nf4 . fp4 . int8\n"));
  EXPECT_TRUE(matches(text, "data.train.0.path +text"));
  EXPECT_TRUE(matches(text, "train.max_steps +integer +none"));
  for (const auto& path : field_paths(shape_of(section_ref(Job{})))) {
    std::string shown = path;
    if (const size_t at = shown.find("*"); at != std::string::npos) shown.replace(at, 1, "0");
    if (const size_t at = shown.find("<name>"); at != std::string::npos) shown.replace(at, 6, "NAME");
    EXPECT_TRUE(contains(text, "\n" + shown + " "));
  }
}

TEST(Schema, describes_what_reading_accepts) {
  const Json schema = json_schema(Job{});
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["additionalProperties"], false);
  const Json& adapter = schema["properties"]["adapter"]["anyOf"][0];
  EXPECT_EQ(adapter["additionalProperties"], false);
  EXPECT_EQ(adapter["properties"]["rank"],
            Json::parse(R"({"description": "width of the update", "type": "integer", "minimum": 1.0, "default": 8})"));
  EXPECT_EQ(adapter["properties"]["alpha"]["exclusiveMinimum"], 0.0);
  EXPECT_EQ(adapter["properties"]["method"]["enum"], Json::parse(R"(["lora", "bottleneck"])"));
  EXPECT_EQ(schema["properties"]["data"]["anyOf"][0]["properties"]["train"]["items"]["anyOf"].size(), 2u);
  EXPECT_TRUE(schema["properties"].contains("include"));
}

TEST(Foreign, names_are_given_once_and_each_row_says_something) {
  std::vector<std::string_view> names;
  for (const ForeignKey& row : foreign_keys()) {
    EXPECT_FALSE(row.ours.empty() && row.note.empty()) << row.name;
    names.push_back(row.name);
  }
  EXPECT_GE(names.size(), 50u);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace graft::sample
