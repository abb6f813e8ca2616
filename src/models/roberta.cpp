// RoBERTa (Liu et al. 2019): BERT's blocks, positions that begin behind the padding's, and another head.
#include "graft/models/encoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& given, TensorSource& source) {
  ConfigReader reader(config);
  EncoderShape shape = bert_shape(reader);
  shape.path = "roberta";
  shape.first_position = reader.integer("pad_token_id", 1) + 1;
  require(shape.positions > shape.first_position, "config.json: {} positions leave none behind the padding's", shape.positions);
  const Task task = encoder_task(given);
  HeadShape head{"", "classifier", true, classifier_dropout(reader, shape), false};
  if (task.labels_texts()) head.dense = "classifier.dense", head.out = "classifier.out_proj", head.drops_first = true;
  reader.finish("roberta");
  return std::make_shared<Encoder>(shape, task, head, source);
}

}  // namespace

const Family roberta_family = {.name = "roberta", .architecture = "RobertaModel", .build = build, .optional_prefix = "roberta."};

}  // namespace graft
