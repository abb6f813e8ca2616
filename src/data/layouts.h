#pragma once
// The readers of the table in formats.cpp.
#include "graft/data/formats.h"

namespace graft {

Sample read_messages_record(const Fields& record);
Sample read_sharegpt_record(const Fields& record);
Sample read_alpaca_record(const Fields& record);
Sample read_prompt_completion_record(const Fields& record);
Sample read_text_record(const Fields& record);
Sample read_classification_record(const Fields& record);         // label_layouts.cpp
Sample read_token_classification_record(const Fields& record);

}  // namespace graft
