// Checkpoints written beside the training: what is kept, what fails, how often.
#include <fstream>
#include <limits>

#include "graft/core/error.h"
#include "graft/train/checkpoint_writer.h"
#include "graft/train/interval.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

Checkpoint checkpoint_of(const Tensor& values, int64_t step) {
  Checkpoint checkpoint;
  checkpoint.state.step = step;
  checkpoint.adapter["a"] = values;
  checkpoint.facts = Json::object();
  return checkpoint;
}

TEST(CheckpointWriter, WritesWhatWasThereAtItsBeginning) {
  TemporaryFolder folder;
  CheckpointWriter writer(CheckpointFolder(folder / "checkpoints"), 3, {});
  const Tensor live = at::full({1 << 20}, 1.0);
  writer.begin(checkpoint_of(live, 7), "none");
  writer.await_copy();
  live.fill_(2);
  EXPECT_EQ(writer.take(/*wait=*/true), folder / "checkpoints" / "step-7");
  EXPECT_FALSE(writer.take(/*wait=*/true));  // said once
  EXPECT_TRUE(at::equal(CheckpointFolder(folder / "checkpoints").read(7).adapter.at("a"), at::ones({1 << 20})));
}

TEST(CheckpointWriter, AFailureIsNeverLost) {
  TemporaryFolder folder;
  std::string said;
  const Log log([&](LogLevel, const std::string& text) { said += text; });
  std::ofstream(folder / "a_file") << "where the checkpoints' folder should be";
  {
    CheckpointWriter writer(CheckpointFolder(folder / "a_file"), 3, log);
    writer.begin(checkpoint_of(at::ones({3}), 7), "none");
    EXPECT_THROW(writer.take(/*wait=*/true), NotWritten);
    EXPECT_EQ(said, "");
    writer.begin(checkpoint_of(at::ones({3}), 8), "none");
  }
  EXPECT_NE(said.find("step 8 could not be written"), std::string::npos) << said;
  CheckpointWriter writer(CheckpointFolder(folder / "checkpoints"), 3, log);
  writer.begin(checkpoint_of(at::full({3}, std::numeric_limits<double>::infinity()), 9), "step-8");
  EXPECT_THROW(writer.take(/*wait=*/true), Error);
  EXPECT_FALSE(fs::exists(folder / "checkpoints"));
}

TEST(CheckpointFolder, WhatAKillLeftIsClearedAway) {
  TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  fs::create_directory(folder / ".writing-step-3");
  checkpoints.write(checkpoint_of(at::ones({3}), 4), 3);
  EXPECT_FALSE(fs::exists(folder / ".writing-step-3"));
}

TEST(Interval, StepsOrTime) {
  const auto seconds = [](const char* text) { return read_interval("every", text).seconds; };
  EXPECT_EQ(read_interval("every", "200").steps, 200);
  EXPECT_EQ(read_interval("every", "200 steps").steps, 200);
  EXPECT_EQ(read_interval("every", "0").steps, 0);
  EXPECT_EQ(seconds("10 minutes"), 600);
  EXPECT_EQ(seconds("10m"), 600);
  EXPECT_EQ(seconds("1.5 h"), 5400);
  EXPECT_EQ(seconds("200"), 0);
  for (const char* text : {"", "minutes", "1.5", "-3", "10 parsecs", "1e3", "10 m x", "inf m", "nan"})
    EXPECT_THROW(read_interval("every", text), RequestError) << text;
}

}  // namespace
}  // namespace graft::testing
