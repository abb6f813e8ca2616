#include "graft/io/atomic_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "graft/io/file_hash.h"
#include "graft/io/mapped_file.h"
#include "temporary.h"

namespace graft {
namespace {

size_t entries_of(const TemporaryFolder& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

// Stands in for a full disk: no file of this process may grow beyond `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit before_{};
};

TEST(AtomicFile, AppearsWholeAtCommit) {
  TemporaryFolder folder;
  folder.put("f", "old");
  {
    AtomicFile out(folder / "f");
    out.write("new ");
    out.write(std::string_view("text"));
    out.write_at(4, std::as_bytes(std::span("TE", 2)));
    EXPECT_EQ(contents(folder / "f"), "old");
    out.commit();
    EXPECT_HAS(error_of([&] { out.commit(); }), "committed twice");
  }
  EXPECT_EQ(contents(folder / "f"), "new TExt");
  EXPECT_EQ(entries_of(folder), 1u);
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  TemporaryFolder folder;
  folder.put("f", "old");
  { AtomicFile(folder / "f").write("new"); }
  EXPECT_EQ(contents(folder / "f"), "old");
  EXPECT_EQ(entries_of(folder), 1u);
}

TEST(AtomicFile, FullDisk) {
  TemporaryFolder folder;
  folder.put("f", "old");
  const FileSizeLimit limit(1000);
  const std::string text = error_of([&] { write_file(folder / "f", std::string(5000, 'x')); });
  EXPECT_HAS(text, (folder / "f").string() + ": cannot be written: File too large");
  EXPECT_EQ(contents(folder / "f"), "old");
  EXPECT_EQ(entries_of(folder), 1u);
}

TEST(AtomicFile, FoldersThatCannotBeWritten) {
  TemporaryFolder folder;
  EXPECT_HAS(error_of([&] { write_file(folder / "no/such/f", "x"); }), "no/such/f: cannot be written: No such file or directory");
  folder.put("plain", "");
  EXPECT_HAS(error_of([&] { write_file(folder / "plain/f", "x"); }), "plain/f: cannot be written: Not a directory");
  std::filesystem::create_directory(folder / "f");
  EXPECT_HAS(error_of([&] { write_file(folder / "f", "x"); }), "f: cannot be written: Is a directory");
  // root may write in any folder of a disk, but not here
  EXPECT_HAS(error_of([&] { write_file("/proc/self/graft_test", "x"); }), "/proc/self/graft_test: cannot be written: ");
  EXPECT_HAS(error_of([&] { sync_folder(folder / "absent"); }), "absent: cannot be written");
}

TEST(AtomicFile, NameWithoutFolder) {
  TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file("plain.txt", "x");
  std::filesystem::current_path(before);
  EXPECT_EQ(contents(folder / "plain.txt"), "x");
}

TEST(MappedFile, BytesAndMoves) {
  TemporaryFolder folder;
  MappedFile file(folder.put("f", "abc"));
  ASSERT_EQ(file.bytes().size(), 3u);
  MappedFile other(std::move(file));
  EXPECT_EQ(static_cast<char>(other.bytes()[2]), 'c');
  EXPECT_TRUE(file.bytes().empty());
  other = MappedFile(folder.put("empty", ""));
  EXPECT_TRUE(other.bytes().empty());
  EXPECT_EQ(other.path(), folder / "empty");
  EXPECT_HAS(error_of([&] { MappedFile(folder / "absent"); }), "absent: cannot be read: No such file");
  EXPECT_HAS(error_of([&] { MappedFile{"/dev/null"}; }), "not a plain file");
}

TEST(FileHash, DependsOnEveryByteAndTheLength) {
  TemporaryFolder folder;
  // Lengths round the hash's step (32) and the reader's piece (1 MiB).
  for (const size_t size : {0ul, 1ul, 31ul, 32ul, 33ul, 100ul, (1ul << 20) - 1, 1ul << 20, (1ul << 20) + 40}) {
    std::string text(size, 'x');
    const std::string hash = file_hash(folder.put("f", text));
    EXPECT_EQ(hash.size(), 16u);
    EXPECT_EQ(hash, content_hash(std::as_bytes(std::span(text))));
    EXPECT_NE(hash, file_hash(folder.put("f", text + '\0')));
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      if (at >= size) continue;
      std::string other = text;
      other[at] = static_cast<char>(other[at] ^ 0x80);
      EXPECT_NE(hash, file_hash(folder.put("f", other))) << size << " " << at;
      if (at + 32 >= size) continue;
      other[at + 32] = static_cast<char>(other[at + 32] ^ 0x80);  // the same bit of the next step in the same lane
      EXPECT_NE(hash, file_hash(folder.put("f", other))) << size << " " << at;
    }
  }
  EXPECT_HAS(error_of([&] { file_hash(folder / "absent"); }), "absent");
  EXPECT_HAS(error_of([&] { file_hash(folder.path()); }), "not a file");
}

TEST(FileHash, IsTheSameInEveryRelease) { EXPECT_EQ(content_hash(std::as_bytes(std::span("graft", 5))), "182d0183475f17aa"); }

}  // namespace
}  // namespace graft
