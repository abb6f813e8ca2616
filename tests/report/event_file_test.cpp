// Event files byte by byte; TensorBoard's own reader judges them in tests/oracle/tensorboard_events.py.
#include "graft/report/event_file.h"

#include <gtest/gtest.h>

#include <set>

#include "graft/core/json.h"
#include "graft/report/tensorboard.h"
#include "support/models.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;

TEST(EventFile, ChecksumsAreThoseOfRfc3720) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(EventFile, ARecordIsFramedAsTensorFlowDoes) {
  // From tensorboard.summary.writer.record_writer.RecordWriter(file).write(b"graft").
  EXPECT_EQ(framed_record("graft"), std::string("\x05\0\0\0\0\0\0\0\xea\xb2\x04>graftpY\x1d\xe4", 21));
}

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

TEST(EventFile, ALaterSessionsFileSortsBehind) {
  TemporaryFolder folder;
  std::string last;
  for (int session = 0; session < 4; ++session) {
    const EventFile events(folder.path(), 1);
    const auto names = files_in(folder.path());
    EXPECT_EQ(names.size(), static_cast<size_t>(session) + 1);
    EXPECT_GT(*names.rbegin(), last);
    last = *names.rbegin();
  }
}

TEST(EventFile, TextsAreEscapedAsMarkdownCode) {
  TemporaryFolder folder;
  Observer nobody;
  TensorBoardWriter writer(folder.path(), 0, "a: 1\n<script>: 2\n", 1, nobody);
  EXPECT_NE(read_text(folder.path() / *files_in(folder.path()).begin()).find("    a: 1\n    <script>: 2\n"), std::string::npos);
}

}  // namespace
}  // namespace graft::testing
