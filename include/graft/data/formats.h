#pragma once
// The layouts that a sample may have in a file: one table, one reader a row. A reader turns a record into a Sample, which no
// longer knows its layout. Errors name the field, not the place: the caller knows file and line.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graft/core/json.h"
#include "graft/data/task.h"
#include "graft/text/chat_template.h"

namespace graft {

/// A conversation, and what of it may be learnt.
struct ChatSample {
  Conversation conversation;   // as the template gets it: without `train`
  std::vector<uint8_t> train;  // one a message: 0 where the file says `train: false`
  size_t prompt_messages = 0;  // so many messages in front belong to the prompt (prompt_completion)
};

/// Plain text. `text`: a completion alone.
struct TextSample {
  std::optional<std::string> prompt;
  std::optional<std::string> completion;  // absent only where a prompt is all that was asked for
};

/// A text, or a pair, with one label: text, a number, true or false, as the file has it. Null where only the texts were asked for.
struct LabelledText {
  std::string text;
  std::optional<std::string> pair;
  Json label;
};

/// Words with a label each; none where only the words were asked for.
struct TaggedWords {
  std::vector<std::string> words;
  std::vector<Json> tags;
};

using Sample = std::variant<ChatSample, TextSample, LabelledText, TaggedWords>;

/// Whether a record must hold the answer too, or only the prompt (`generate --data`).
enum class Answer { needed, optional };

/// A record's fields under graft's names; `columns` maps them to the file's.
class Fields {
 public:
  Fields(const Json& record, const std::map<std::string, std::string>& columns, Answer answer = Answer::needed);
  const Json* find(std::string_view name) const;  // nullptr if absent; null is returned as it is
  const Json& at(std::string_view name) const;    // absent or null: an error
  std::string text(std::string_view name) const;
  std::string column(std::string_view name) const;  // the file's name for the field
  Answer answer() const { return answer_; }

 private:
  const Json& record_;
  const std::map<std::string, std::string>& columns_;
  Answer answer_;
};

struct DataFormat {
  std::string_view name;
  std::vector<std::string> prompt;  // fields that a record must have
  std::string answer;               // and the one that a prompt alone lacks; "": none
  std::vector<std::string> optional;
  Sample (*read)(const Fields& record);
  TaskKind task = TaskKind::causal_lm;  // that its samples are for (a classification's labels may be numbers to regress on)
};

std::span<const DataFormat* const> data_formats();

/// Whether a format's samples are what a task learns from; null: any task.
bool serves(const DataFormat& format, const TaskKind* task);

/// The one format (of those that serve the task) that all of `records` (a file's first) have; of two, the one that needs all the other's
/// fields and more. None or several: a RequestError that says how to name it.
const DataFormat& detect_format(std::span<const Json> records, const std::map<std::string, std::string>& columns, Answer answer,
                                const TaskKind* task = nullptr);

/// Refuses names in `columns` that are no field of the format (of any format, if null).
void check_columns(const DataFormat* format, const std::map<std::string, std::string>& columns);

/// Checked messages of `list`: train flags taken off, null fields dropped. `name` is the field's, for errors.
ChatSample read_messages(const Json& list, std::string_view name);

/// A message's text: its content, text parts joined; "" if it has none.
std::string message_text(const Json& message);

}  // namespace graft
