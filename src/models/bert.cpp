// BERT (Devlin et al. 2019), MiniLM (Wang et al. 2020) and sentence encoders made of them.
#include "graft/models/encoder_config.h"
#include "graft/models/family.h"

namespace graft {
namespace {

std::shared_ptr<Transformer> build(const Json& config, const Task& given, TensorSource& source) {
  ConfigReader reader(config);
  EncoderShape shape = bert_shape(reader);
  shape.path = "bert";
  const Task task = encoder_task(given);
  HeadShape head{"", "classifier", true, classifier_dropout(reader, shape), false};
  if (task.labels_texts() && task.pooling == Pooling::cls) head.dense = "bert.pooler.dense";
  reader.finish("bert");
  return std::make_shared<Encoder>(shape, task, head, source);
}

}  // namespace

const Family bert_family = {.name = "bert", .architecture = "BertModel", .build = build, .optional_prefix = "bert."};

}  // namespace graft
