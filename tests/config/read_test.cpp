// What a section takes from YAML, and what it says of what it does not take.
#include "support.h"

namespace graft::sample {
namespace {

TEST(ReadJob, fills_every_kind_of_field) {
  const Job job = job_of(R"(
model: {path: org/name@rev}
quantization: {format: fp4, double_quantization: true}
adapter:
  rank: 16
  alpha: 32
  target_modules: [q_proj, v_proj]
  rank_pattern: {"layers.0.q_proj": 4}
data:
  train:
    - {path: a.jsonl, limit: 5000, columns: {prompt: question}}
    - b.json
  val_size: .02
train: {epochs: 1, learning_rate: 1e-4, betas: [0.9, 0.95], max_grad_norm: null, seed: 18446744073709551615}
)");
  EXPECT_EQ(job.model.path, "org/name@rev");
  EXPECT_EQ(job.model.chat_template, "auto");
  EXPECT_EQ(job.quantization, (Quantization{"fp4", true}));
  EXPECT_EQ(job.adapter.rank, 16);
  EXPECT_EQ(std::get<1>(job.adapter.target_modules), (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(job.adapter.rank_pattern, (std::map<std::string, int>{{"layers.0.q_proj", 4}}));
  EXPECT_EQ(job.data.train,
            (std::vector<Source>{{"a.jsonl", "auto", 5000, {{"prompt", "question"}}}, {"b.json", "auto", {}, {}}}));
  EXPECT_EQ(job.data.val_size, 0.02);
  EXPECT_EQ(job.train.learning_rate, 1e-4);
  EXPECT_EQ(job.train.betas, (std::vector<double>{0.9, 0.95}));
  EXPECT_EQ(job.train.max_grad_norm, std::nullopt);
  EXPECT_EQ(job.train.seed, 18446744073709551615u);
}

TEST(ReadJob, empty_files_and_sections_are_the_defaults) {
  EXPECT_EQ(job_of(""), Job{});
  EXPECT_EQ(job_of("# nothing\n---\n"), Job{});
  EXPECT_EQ(job_of("train:\n  # learning_rate: 1\n"), Job{});
}

TEST(ReadJob, a_byte_order_mark_and_crlf_are_taken) { EXPECT_EQ(job_of("\xef\xbb\xbftrain:\r\n  seed: 7\r\n").train.seed, 7u); }

TEST(ReadJob, integers_may_be_written_as_exact_reals) {
  EXPECT_EQ(job_of("data: {max_length: 1e3}").data.max_length, 1000);
  EXPECT_EQ(job_of("data: {max_length: 3.0}").data.max_length, 3);
  EXPECT_EQ(job_of("data: {max_length: +5}").data.max_length, 5);
  EXPECT_EQ(fault_of("data: {max_length: 1.5}"), "job.yaml:1: data.max_length: expected an integer, got '1.5'");
  EXPECT_TRUE(
      contains(fault_of("adapter: {rank: 3e9}"), "'3e9' does not fit: this is an integer from -2147483648 to 2147483647"));
  EXPECT_TRUE(contains(fault_of("adapter: {rank: 99999999999999999999}"), "does not fit"));
  EXPECT_TRUE(contains(fault_of("train: {seed: -1}"), "an integer from 0 to 18446744073709551615"));
  EXPECT_TRUE(contains(fault_of("data: {max_length: 1e17}"), "expected an integer"));
}

TEST(ReadJob, what_other_tools_take_for_numbers_is_refused_with_a_hint) {
  EXPECT_TRUE(contains(fault_of("adapter: {rank: '8'}"), "expected an integer, got the text \"8\" (without quotes"));
  EXPECT_TRUE(contains(fault_of("data: {max_length: 2_048}"), "no separators"));
  EXPECT_TRUE(contains(fault_of("data: {max_length: 010}"), "octal"));
  EXPECT_TRUE(contains(fault_of("data: {val_size: 5%}"), "5% is 0.05"));
  for (const std::string word : {".nan", "nan", "inf", "0x10", "1e", "--1", "+-1", "1e999", "e5", "."})
    EXPECT_TRUE(contains(fault_of("data: {val_size: " + word + "}"), "job.yaml:1: data.val_size: ")) << word;
  EXPECT_EQ(job_of("train: {max_grad_norm: .inf}").train.max_grad_norm, std::numeric_limits<double>::infinity());
}

TEST(ReadJob, booleans_are_true_and_false_only) {
  EXPECT_TRUE(job_of("data: {packing: true}").data.packing);
  EXPECT_EQ(fault_of("data: {packing: yes}"), "job.yaml:1: data.packing: expected true or false, got 'yes' (write true)");
  EXPECT_EQ(fault_of("data: {packing: Off}"), "job.yaml:1: data.packing: expected true or false, got 'Off' (write false)");
  EXPECT_EQ(fault_of("data: {packing: 3}"), "job.yaml:1: data.packing: expected true or false, got '3'");
  EXPECT_TRUE(contains(fault_of("data: {packing: 'true'}"), "got the text \"true\" (write true)"));
}

TEST(ReadJob, text_is_taken_as_written) {
  EXPECT_EQ(job_of("model: {path: 007}").model.path, "007");
  EXPECT_EQ(job_of("model: {path: yes}").model.path, "yes");
  EXPECT_EQ(job_of("model: {path: 'null'}").model.path, "null");
  EXPECT_EQ(job_of("model:\n  path: |\n    a\n    b\n").model.path, "a\nb\n");
  EXPECT_EQ(fault_of("model: {path: null}"), "job.yaml:1: model.path: expected text, got nothing");
}

TEST(ReadJob, bounds_hold_also_for_items) {
  EXPECT_EQ(fault_of("adapter:\n  rank: 0"), "job.yaml:2: adapter.rank: must be at least 1, got 0");
  EXPECT_EQ(fault_of("train: {learning_rate: 0}"), "job.yaml:1: train.learning_rate: must be more than 0, got 0");
  EXPECT_EQ(fault_of("train: {betas: [0.9, 1.5]}"), "job.yaml:1: train.betas.1: must be at least 0 and at most 1, got 1.5");
  EXPECT_EQ(fault_of("train: {max_steps: 0}"), "job.yaml:1: train.max_steps: must be at least 1, got 0");
  EXPECT_EQ(fault_of("adapter: {rank_pattern: {q: 0}}"), "job.yaml:1: adapter.rank_pattern.q: must be at least 1, got 0");
}

TEST(ReadJob, choices_are_listed) {
  EXPECT_EQ(fault_of("quantization: {format: nf5}"),
            "job.yaml:1: quantization.format: expected one of nf4, fp4, int8; got 'nf5' (did you mean 'nf4'?)");
}

TEST(ReadJob, wrong_structures) {
  EXPECT_EQ(fault_of("train: 3"), "job.yaml:1: train: expected keys and values, got '3'");
  EXPECT_EQ(fault_of("data:\n  train: a.jsonl"), "job.yaml:2: data.train: expected a list, got 'a.jsonl' (write [...] round it)");
  EXPECT_EQ(fault_of("data:\n  train:\n"), "job.yaml:2: data.train: expected a list, got nothing (an empty list is [])");
  EXPECT_EQ(fault_of("data: {train: [[a]]}"), "job.yaml:1: data.train.0: expected keys and values, got a list");
  EXPECT_EQ(fault_of("adapters: [x]"), "job.yaml:1: adapters: expected names and values, got a list");
  EXPECT_EQ(fault_of("adapter: {target_modules: {a: b}}"),
            "job.yaml:1: adapter.target_modules: expected text or a list of text, got keys and values");
  EXPECT_EQ(fault_of("adapter: {target_modules: [[a]]}"), "job.yaml:1: adapter.target_modules.0: expected text, got a list");
}

TEST(ReadJob, a_field_may_decide_which_fields_follow) {
  const Job job = job_of("adapter: {bottleneck: 32, method: bottleneck}");
  EXPECT_EQ(job.adapter.bottleneck, 32);
  EXPECT_EQ(fault_of("adapter: {method: bottleneck, rank_patterns: {}}"),
            "job.yaml:1: adapter.rank_patterns: unknown key (did you mean 'rank_pattern' in adapters.<name>?)");
}

TEST(ReadJob, all_faults_come_at_once_with_their_lines) {
  const std::string text = thrown_by(
      [] { job_of("model: {path: x}\nadaptor: {rank: 4}\nrank: 4\ntrain:\n  learning_rat: 1\n  seed: x\nlora_r: 8\n"); });
  EXPECT_EQ(text,
            "job.yaml: 5 faults in this job:\n"
            "  job.yaml:6: train.seed: expected an integer, got 'x'\n"
            "  job.yaml:5: train.learning_rat: unknown key (did you mean 'learning_rate'?)\n"
            "  job.yaml:2: adaptor: unknown key (did you mean 'adapter'?)\n"
            "  job.yaml:3: rank: unknown key: 'rank' belongs to adapter or adapters.<name>\n"
            "  job.yaml:7: lora_r: unknown key: graft's name is adapter.rank");
}

TEST(ReadJob, misplaced_keys) {
  EXPECT_TRUE(contains(fault_of("train: {output_dir: x}"), "'output_dir' belongs to the top of the file"));
  EXPECT_TRUE(contains(fault_of("limit: 3"), "'limit' belongs to data.train.*"));
  EXPECT_TRUE(contains(fault_of("train.seed: 3"), "write 'seed' inside train"));
  EXPECT_TRUE(contains(fault_of("double_quantisation: true"), "did you mean 'double_quantization' in quantization?"));
  EXPECT_TRUE(contains(fault_of("model: {zzzzzzzzzz: 1}"), "known: path, chat_template"));
}

TEST(ReadJob, keys_of_other_trainers_get_our_name) {
  EXPECT_TRUE(contains(fault_of("base_model: x"), "graft's name is model.path"));
  EXPECT_TRUE(contains(fault_of("load_in_4bit: true"), "graft's name is quantization.format: nf4"));
  EXPECT_TRUE(
      contains(fault_of("train: {per_device_train_batch_size: 4}"), "graft's name would be train.micro_batch_size, which this"));
  EXPECT_EQ(fault_of("adapter: qlora"),
            "job.yaml:1: adapter: expected keys and values, got 'qlora' "
            "(graft's name is quantization.format: nf4, with adapter.method: lora)");
  EXPECT_TRUE(contains(fault_of("trust_remote_code: true"), "graft runs no code"));
}

TEST(ReadJob, a_flood_of_unknown_keys_is_cut_and_counted) {
  std::string yaml;
  for (int i = 0; i < 200; ++i) yaml += "unknown_" + std::to_string(i) + ": 1\n";
  const auto faults = faults_of(yaml);
  ASSERT_EQ(faults.size(), 51u);
  EXPECT_EQ(faults.back(), "job.yaml: and 150 more unknown keys");
}

TEST(ReadJob, what_is_wrong_leaves_the_default) {
  Job job;
  ErrorList errors;
  read_section(
      parse_config("adapter: {rank: 0, method: none, target_modules: [[x]]}\ntrain: {seed: 7, max_steps: 0}", "job.yaml"), job,
      errors);
  EXPECT_EQ(errors.errors().size(), 4u);
  EXPECT_EQ(job.adapter, Adapter{});
  EXPECT_EQ(job.train.max_steps, std::nullopt);
  EXPECT_EQ(job.train.seed, 7u);
}

}  // namespace
}  // namespace graft::sample
