#pragma once
// What config.json says in the families of encoders.
#include "graft/models/config_reader.h"
#include "graft/nn/encoder.h"

namespace graft {

/// What BERT's config.json says; families differ from here.
EncoderShape bert_shape(ConfigReader& reader);
/// The dropout in front of a classifier: classifier_dropout, or the hidden states'.
double classifier_dropout(ConfigReader& reader, const EncoderShape& shape);
/// An encoder's task, its pooling chosen: the first token's state.
Task encoder_task(const Task& task);

}  // namespace graft
