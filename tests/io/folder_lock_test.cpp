// One process at a time in a folder.
#include "graft/io/folder_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>
#include <string>

#include "graft/core/error.h"
#include "temporary.h"

namespace graft {
namespace {

TEST(FolderLock, HoldsOffASecondAndNamesTheFirst) {
  const TemporaryFolder temporary;
  const std::filesystem::path folder = temporary.path() / "a" / "run";
  std::optional<FolderLock> first(std::in_place, folder);
  EXPECT_TRUE(first->held());
  try {
    const FolderLock second(folder);
    FAIL() << "locked twice";
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("process " + std::to_string(getpid()) + " is at work in it"), std::string::npos) << e.what();
  }
  first.reset();
  EXPECT_FALSE(std::filesystem::exists(folder));  // nothing else was in it
  const FolderLock again(folder);
}

TEST(FolderLock, LeavesWhatIsInTheFolder) {
  const TemporaryFolder temporary;
  std::ofstream(temporary.path() / "kept") << "x";
  { const FolderLock lock(temporary.path()); }
  EXPECT_TRUE(std::filesystem::exists(temporary.path() / "kept"));
  EXPECT_FALSE(std::filesystem::exists(temporary.path() / ".lock"));
}

TEST(FolderLock, EndsWithAKilledProcess) {
  const TemporaryFolder temporary;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(temporary.path());
    if (write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THROW(FolderLock{temporary.path()}, RequestError);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FolderLock(temporary.path()).held());
}

}  // namespace
}  // namespace graft
