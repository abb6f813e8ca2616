// From text to tree: includes, overrides, and files that mean harm.
#include <chrono>

#include "support.h"

namespace graft::sample {
namespace {

std::string refusal(const std::string& yaml) {
  return thrown_by([&] { parse_config(yaml, "job.yaml"); });
}

TEST(ParseConfig, duplicate_keys_name_both_lines_beside_other_faults) {
  const auto faults = faults_of("train:\n  seed: 1\n  seed: 2\noutput_dir: x\noutput_dir: y\ntrain: {sed: 1}\nmodel: 3\n");
  EXPECT_EQ(faults, (std::vector<std::string>{"job.yaml:3: key 'seed' is given twice, first on job.yaml:2",
                                              "job.yaml:5: key 'output_dir' is given twice, first on job.yaml:4",
                                              "job.yaml:6: key 'train' is given twice, first on job.yaml:1",
                                              "job.yaml:7: model: expected keys and values, got '3'"}));
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "seed: 1\n";
  EXPECT_TRUE(
      contains(refusal(many), "job.yaml:2: key 'seed' is given twice, first on job.yaml:1 (and 49 more keys given twice)"));
}

TEST(ParseConfig, syntax_errors_name_line_and_column) { EXPECT_TRUE(contains(refusal("a: 1\nb: [1, 2\nc: 3\n"), "job.yaml:3:")); }

TEST(ParseConfig, what_is_not_a_map_of_text_is_refused) {
  EXPECT_TRUE(contains(refusal("- a\n"), "job.yaml: expected keys and values, got a list"));
  EXPECT_TRUE(contains(refusal("a: 1\n---\nb: 2\n"), "a second document begins here"));
  EXPECT_TRUE(contains(refusal("? [a]\n: 1\n"), "expected a key, got a list"));
  EXPECT_TRUE(contains(refusal("a: !!python/object:os.system x\n"), "job.yaml:1: tags are not supported"));
  EXPECT_TRUE(contains(refusal("a: &x {b: 1}\nc: {<<: *x}\n"), "job.yaml:2: merge keys (<<) are not supported"));
  EXPECT_TRUE(contains(refusal("include: other.yaml\n"), "only a config that is a file can include others"));
}

TEST(ParseConfig, bytes_that_are_not_text_are_refused_with_their_line) {
  EXPECT_EQ(refusal(std::string("a: 1\nb: \0\n", 10)), "job.yaml:2: byte 0x00 is not UTF-8 text");
  for (const std::string bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x80\x80\x80", "\xe0\x80\x80"})
    EXPECT_TRUE(contains(refusal("a: " + bad), "is not UTF-8 text")) << bad;
  EXPECT_EQ(refusal("a: \xe2\x82\xac \xf0\x9f\x8c\xb1 \xc3\xa9"), "");
}

TEST(ParseConfig, escapes_become_whole_characters) {
  const std::string text = "prompt: \"\xc3\xa9\\Nb\\_c\\L\\x85\"\n";
  const ConfigNode prompt = parse_config(text, "job.yaml").root.children.at(0);
  EXPECT_EQ(prompt.text, "\xc3\xa9\xc2\x85""b\xc2\xa0""c\xe2\x80\xa8\xc2\x85");
}

TEST(ParseConfig, aliases_are_written_out_within_a_budget) {
  EXPECT_EQ(job_of("model: {path: &p here}\noutput_dir: *p\n").output_dir, "here");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += (j ? ", " : "") + last;
    bomb += "]\n";
  }
  EXPECT_TRUE(contains(refusal(bomb), "more than 100000 values (aliases written out)"));
  std::string wide = "a: &a " + std::string(500'000, 'x') + "\nb: [*a";
  for (int i = 0; i < 100; ++i) wide += ", *a";
  EXPECT_TRUE(contains(refusal(wide + "]\n"), "bytes of text (aliases written out)"));
  EXPECT_TRUE(contains(refusal("a: &a [*a]\n"), "an alias inside what it stands for"));
}

TEST(ParseConfig, depth_size_and_key_length_have_limits) {
  EXPECT_TRUE(contains(refusal("a: " + std::string(200, '[') + std::string(200, ']')), "nested deeper than 100 levels"));
  std::string chain = "a0: &a0 x\n";
  for (int i = 1; i < 30; ++i)
    chain += fmt::format("a{}: &a{} {}*a{}{}\n", i, i, std::string(10, '['), i - 1, std::string(10, ']'));
  EXPECT_TRUE(contains(refusal(chain), "nested deeper than 100 levels"));
  EXPECT_TRUE(contains(refusal("a: " + std::string(400'000, '[')), "job.yaml"));
  EXPECT_TRUE(contains(refusal(std::string((1 << 20) + 1, '#')), "more than the limit of 1048576"));
  EXPECT_TRUE(contains(refusal(std::string(1010, 'k') + ": 1"), "a key of 1010 bytes"));
  EXPECT_TRUE(contains(refusal("'" + std::string(900, '"') + "': 1"), "a key of 900 bytes (1800 as they are written)"));   // could not be read back
}

TEST(ParseConfig, a_megabyte_of_anything_ends_soon) {
  const std::vector<std::string> pieces = {"[",    "{",   "? ",  "- ", "a: ", "[a, ", "{a: ", "&a ",     "*a ",  "'",      "\"\\",
                                           "|\n ", "a\n", "!a ", ",",  "# ",  "\t",   "%a\n", "? a\n: ", "[]: ", "x: y\n "};
  for (const auto& piece : pieces) {
    std::string text;
    while (text.size() + piece.size() <= ConfigLimits::file_bytes) text += piece;
    const auto start = std::chrono::steady_clock::now();
    refusal(text);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 20) << "repeated: " << piece;
  }
}

TEST(Overrides, reach_keys_and_list_items) {
  const Job job = job_of("data: {train: [{path: a.jsonl, limit: 3}]}\nadapter: {rank: 4}\n",
                         {"train.learning_rate=1e-4", "data.train.0.path=x.jsonl", "data.train.1.path=*.jsonl",
                          "adapter.target_modules=[q_proj,v_proj]", "model.path=a: b", "quantization.format=int8",
                          "output_dir=\"12\"", "train.seed=1", "train.seed=2"});
  EXPECT_EQ(job.train.learning_rate, 1e-4);
  EXPECT_EQ(job.data.train, (std::vector<Source>{{"x.jsonl", "auto", 3, {}}, {"*.jsonl", "auto", {}, {}}}));
  EXPECT_EQ(std::get<1>(job.adapter.target_modules), (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(job.adapter.rank, 4);
  EXPECT_EQ(job.model.path, "a: b");
  EXPECT_EQ(job.quantization->format, "int8");
  EXPECT_EQ(job.output_dir, "12");
  EXPECT_EQ(job.train.seed, 2u);
}

TEST(Overrides, null_and_maps) {
  EXPECT_EQ(job_of("quantization: {format: fp4}", {"quantization=null"}).quantization, std::nullopt);
  EXPECT_EQ(job_of("adapter: {rank: 4}", {"adapter={alpha: 5}"}).adapter.rank, 4);
  EXPECT_EQ(job_of("", {"data.train.0.path=x"}).data.train.at(0).path, "x");
  EXPECT_EQ(faults_of("", {"model.path="})[0], "argument 'model.path=': model.path: expected text, got nothing");
}

TEST(Overrides, faults_name_the_argument) {
  const auto refused = [](const std::string& argument) {
    return thrown_by([&] { parse_config("data: {train: [a, b]}\noutput_dir: x\n", "job.yaml", {argument}); });
  };
  EXPECT_TRUE(contains(refused("train.seed"), "argument 'train.seed': expected key=value"));
  EXPECT_TRUE(contains(refused("=3"), "expected key=value"));
  EXPECT_TRUE(contains(refused("train..seed=3"), "'train..seed' is not a key"));
  EXPECT_TRUE(contains(refused("data.train.3.path=x"), "'3' is no place in a list of 2 (job.yaml:1); places are 0 to 2"));
  EXPECT_TRUE(contains(refused("data.train.first=x"), "'first' is no place"));
  EXPECT_TRUE(contains(refused("output_dir.deep=x"), "no 'deep' inside 'x' (job.yaml:2)"));
  EXPECT_TRUE(contains(refused("a=[1, 2"), "argument 'a=[1, 2': not valid YAML"));
  EXPECT_TRUE(contains(refused("include=x"), "include belongs in a file"));
  EXPECT_TRUE(contains(refused("a=\xff"), "not UTF-8"));
  EXPECT_TRUE(contains(refused("a." + std::string(1001, 'k') + "=1"), "a key of 1001 bytes"));
  EXPECT_EQ(faults_of("", {"train.sed=1"})[0], "argument 'train.sed=1': train.sed: unknown key (did you mean 'seed'?)");
}

TEST(ReadConfig, includes_are_merged_below_the_file) {
  const Folder folder;
  folder.write("shared/train.yaml", "train: {seed: 1, learning_rate: 1e-3}\ndata: {train: [a, b]}\n");
  folder.write("shared/base.yaml", "include: train.yaml\ntrain: {seed: 2}\nadapter: {rank: 4}\n");
  const auto file = folder.write("job.yaml", "include: [shared/base.yaml]\nadapter: {alpha: 3}\ndata: {train: [c]}\n");
  const Job job = read_job<Job>(read_config(file, {"train.epochs=9"}));
  EXPECT_EQ(job.train.seed, 2u);
  EXPECT_EQ(job.train.learning_rate, 1e-3);
  EXPECT_EQ(job.train.epochs, 9);
  EXPECT_EQ(job.adapter.rank, 4);
  EXPECT_EQ(job.adapter.alpha, 3);
  ASSERT_EQ(job.data.train.size(), 1u);
  EXPECT_EQ(job.data.train[0].path, "c");
}

TEST(ReadConfig, a_fault_in_an_included_file_names_that_file) {
  const Folder folder;
  folder.write("base.yaml", "\ntrain: {seed: x}\n");
  const auto file = folder.write("job.yaml", "include: base.yaml\n");
  const std::string text = thrown_by([&] { read_job<Job>(read_config(file)); });
  EXPECT_TRUE(contains(text, (folder.path() / "base.yaml").string() + ":2: train.seed: expected an integer"));
}

TEST(ReadConfig, cycles_missing_files_and_too_many_are_refused) {
  const Folder folder;
  folder.write("b.yaml", "include: a.yaml\n");
  const auto a = folder.write("a.yaml", "\ninclude: b.yaml\n");
  EXPECT_TRUE(
      contains(thrown_by([&] { read_config(a); }), "b.yaml:1: include: " + a.string() + " is included from within itself"));
  const auto lost = folder.write("lost.yaml", "include: none.yaml\n");
  EXPECT_TRUE(contains(thrown_by([&] { read_config(lost); }), "lost.yaml:1: include: " + (folder.path() / "none.yaml").string()));
  EXPECT_TRUE(contains(thrown_by([&] { read_config(folder.path() / "absent.yaml"); }), "absent.yaml: cannot be read"));
  EXPECT_TRUE(contains(thrown_by([&] { read_config(folder.path()); }), "cannot be read"));
  folder.write("leaf.yaml", "train: {seed: 1}\n");
  std::string many = "include: [leaf.yaml";
  for (int i = 0; i < 70; ++i) many += ", leaf.yaml";
  const auto wide = folder.write("wide.yaml", many + "]\n");
  EXPECT_TRUE(contains(thrown_by([&] { read_config(wide); }), "more than 64 files"));
  const auto wrong = folder.write("wrong.yaml", "include: {a: b}\n");
  EXPECT_TRUE(contains(thrown_by([&] { read_config(wrong); }), "expected a file or a list of files, got keys and values"));
}

}  // namespace
}  // namespace graft::sample
