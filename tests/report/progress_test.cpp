// The progress line on a real terminal (a pseudo-terminal), in a file, and on a pipe that no one reads.
#include "graft/report/progress.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>

#include "graft/core/json.h"
#include "support/models.h"

namespace graft::testing {
namespace {

StepReport step_report(int64_t step) {
  StepReport r;
  r.step = step, r.total_steps = 40, r.epoch = 0.5, r.loss = 1.25, r.gradient_norm = 0.5, r.learning_rate = 2e-4;
  r.tokens = 300, r.targets = 100, r.seconds = 0.1, r.memory = int64_t{3} << 30, r.skipped_total = step > 20 ? 2 : 0;
  return r;
}

/// What a terminal of so many columns gets.
std::string on_terminal(unsigned short columns, const std::vector<int64_t>& steps) {
  int master = -1, slave = -1;
  winsize size{24, columns, 0, 0};
  EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  std::FILE* out = fdopen(slave, "w");
  std::string text;
  {
    ProgressLine line(out);
    for (const int64_t step : steps) line.on_step(step_report(step));
    char buffer[8192];
    text.assign(buffer, static_cast<size_t>(std::max<ssize_t>(0, read(master, buffer, sizeof buffer))));
  }
  fclose(out), close(master);
  return text;
}

std::string in_file(const std::function<void(std::FILE*)>& write) {
  TemporaryFolder folder;
  std::FILE* out = std::fopen((folder / "out").c_str(), "w");
  write(out);
  std::fclose(out);
  return read_text(folder / "out");
}

TEST(Progress, FitsTheTerminalAndKeepsWhatMattersMost) {
  const std::string wide = on_terminal(200, {40});
  EXPECT_TRUE(wide.starts_with("\r\033[K")) << wide;
  for (const char* part : {"step 40/40", "[================] 100 %", "loss 1.2500", "left 0m00s", "skipped 2", "3000 tokens/s",
                           "rate 2.00e-04", "3.00 GiB"})
    EXPECT_NE(wide.find(part), std::string::npos) << part << " in " << wide;
  for (const unsigned short columns : {20, 40, 60, 80}) {
    const std::string line = on_terminal(columns, {40}).substr(4);
    EXPECT_LT(line.size(), columns) << line;
    EXPECT_NE(line.find("step 40/40"), std::string::npos);
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
}

TEST(Progress, PlainLinesElsewhere) {
  const std::string text = in_file([](std::FILE* out) {
    ProgressLine line(out, 0);
    line.on_step(step_report(10)), line.on_step(step_report(11));
    line.on_checkpoint(11, "runs/x/step-11");
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_EQ(text.find_first_of("\r\033["), std::string::npos) << text;
  EXPECT_TRUE(text.starts_with("step 10/40  loss 1.2500  left 0m03s")) << text;
}

TEST(Progress, JsonLinesAreOneObjectEach) {
  const std::string text = in_file([](std::FILE* out) {
    JsonLines lines(out);
    StepReport report = step_report(7);
    report.loss = NAN, report.skipped = true, report.samples = {"a\"b.jsonl:3"};
    lines.on_step(report), lines.on_eval({}), lines.on_checkpoint(7, "runs/x");
  });
  std::vector<Json> lines;
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
    lines.push_back(parse_json(text.substr(begin, text.find('\n', begin) - begin), "line"));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("event"), "step");
  EXPECT_EQ(lines[0].at("step"), 7);
  EXPECT_EQ(lines[0].at("total_steps"), 40);
  EXPECT_TRUE(lines[0].at("loss").is_null());
  EXPECT_EQ(lines[0].at("origins"), Json::array({"a\"b.jsonl:3"}));
  EXPECT_EQ(lines[1].at("event"), "eval");
  EXPECT_EQ(lines[2].at("folder"), "runs/x");
}

TEST(Progress, AReaderThatWentAwayIsNoFailure) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  std::FILE* out = fdopen(ends[1], "w");
  {
    ProgressLine line(out, 0);
    JsonLines lines(out);
    for (int64_t step = 1; step <= 40; ++step) line.on_step(step_report(step)), lines.on_step(step_report(step));
    line.on_eval({}), line.on_checkpoint(3, "x");
    show(out, std::string(100'000, 'x'));
  }  // an exception would have ended the test
  std::fclose(out);
}

}  // namespace
}  // namespace graft::testing
