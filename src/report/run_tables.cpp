// The parts of a run's page that are no curves.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graft/train/guard.h"
#include "run_parts.h"
#include "svg.h"

namespace graft {
namespace {

std::string text_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return "";
  return it->is_string() ? it->get<std::string>() : to_line(*it);
}
std::string cell(const Json& object, const char* key) { return svg::escape(text_of(object, key)); }

int64_t count_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<int64_t>() : 0;
}

std::string drops_of(const Json& source) {
  std::string text;
  const Json dropped = source.value("dropped", Json::object());
  for (const auto& [reason, count] : dropped.items())
    text += fmt::format("{}{} dropped ({})", text.empty() ? "" : ", ", to_line(count), svg::escape(reason));
  for (const auto& [key, what] : {std::pair{"truncated", "truncated"}, {"empty_answers", "empty answers"}})
    if (const int64_t count = count_of(source, key)) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  return text.empty() ? "none" : text;
}

std::string time_shown(const Json& session) {
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(count_of(session, "time"))));
}

std::string side(const char* title, const Json& sample) {
  return fmt::format("<div><h3>{}, step {}</h3><p>{}</p></div>\n", title, count_of(sample, "step"), answer_shown(sample));
}

std::string article(const RunHistory& run, const std::string& prompt) {
  std::vector<const Json*> answers;
  for (const Json& sample : run.samples)
    if (sample.value("prompt", std::string()) == prompt) answers.push_back(&sample);
  std::string out = "<article><p class=\"prompt\">" + svg::escape(prompt) + "</p><div class=\"sides\">" +
                    side(count_of(*answers.front(), "step") == 0 ? "before" : "first", *answers.front());
  if (answers.size() > 1) out += side(run.finished() ? "after" : "last so far", *answers.back());
  out += "</div>";
  if (answers.size() > 2) out += "<details><summary>on the way</summary>";
  for (size_t i = 1; i + 1 < answers.size(); ++i)
    out += fmt::format("<p>step {}: {}</p>", count_of(*answers[i], "step"), answer_shown(*answers[i]));
  return out + (answers.size() > 2 ? "</details>" : "") + "</article>\n";
}

}  // namespace

std::vector<std::string> prompts_of(const RunHistory& run) {
  std::vector<std::string> prompts;
  for (const Json& sample : run.samples)
    if (const std::string prompt = sample.value("prompt", std::string());
        std::find(prompts.begin(), prompts.end(), prompt) == prompts.end())
      prompts.push_back(prompt);
  return prompts;
}

std::string answer_shown(const Json& sample) {
  const std::string text = cell(sample, "answer");
  if (text.empty()) return "<span class=\"none\">(nothing)</span>";
  return text + (sample.value("ended", true) ? "" : " <span class=\"none\">… cut off</span>");
}

std::string sample_answers(const RunHistory& run) {
  std::string out;
  for (const std::string& prompt : prompts_of(run)) out += article(run, prompt);
  return out.empty() ? "" : "<div class=\"answers\">" + out + "</div>\n";
}

std::string data_table(const RunHistory& run) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [split, name] : {std::pair{"train", "train"}, {"held_out", "held out"}})
    if (run.data.contains(split))
      for (const Json& source : run.data.at(split)) {
        const Json length = source.value("length", Json::object());
        rows.push_back(
            {fmt::format("{}<br><span class=\"none\">{}, {}</span>", cell(source, "path"), name, cell(source, "format")),
             with_commas(count_of(source, "samples")), with_commas(count_of(source, "tokens")),
             with_commas(count_of(source, "targets")),
             fmt::format("{} / {} / {}", count_of(length, "p50"), count_of(length, "p90"), count_of(length, "max")),
             drops_of(source)});
      }
  return rows.empty() ? ""
                      : table({"source", "samples", "tokens", "learnt", "length p50 / p90 / max", "not as it was"}, rows, {5});
}

std::string spike_table(const RunHistory& run) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& spike : run.spikes) {
    if (rows.size() == 50) break;
    const auto number = [&](const char* key) {
      return spike.contains(key) && spike.at(key).is_number() ? number_shown(spike.at(key).get<double>())
                                                              : std::string("not finite");
    };
    const std::string origins = svg::escape(origins_text(spike.at("origins").get<std::vector<std::string>>(), 64));
    rows.push_back({fmt::format("{}", count_of(spike, "step")), number("loss"), number("gradient_norm"),
                    spike.value("skipped", false) ? "skipped" : number("gradient_z"), origins});
  }
  if (rows.empty()) return "";
  return "<p class=\"note\">Steps that were not finite, or whose gradient’s norm lies more than six standard deviations above "
         "the usual, with the samples they were taken on" +
         std::string(run.spikes.size() > rows.size() ? fmt::format("; the first 50 of {}", run.spikes.size()) : "") + ".</p>\n" +
         table({"step", "loss", "norm", "z", "samples"}, rows, {4});
}

std::string environment(const RunHistory& run) {
  std::vector<std::vector<std::string>> rows;
  std::string machine;
  for (const Json& session : run.sessions) {
    if (session.value("event", std::string()) != "start") continue;
    rows.push_back({time_shown(session), fmt::format("{}", count_of(session, "step")), cell(session, "device"),
                    cell(session, "dtype"), cell(session, "deterministic"), cell(session, "threads"), cell(session, "cpu_capability"),
                    cell(session, "graft")});
    machine = cell(session, "machine");
  }
  if (rows.empty()) return "";
  return table({"session began", "after step", "device", "dtype", "deterministic", "threads", "instructions", "graft"}, rows) + "<br><pre>" +
         machine + "</pre>\n";
}

std::string reproduction(const RunHistory& run) {
  std::string out = "<pre>graft finetune job.yaml output_dir=runs/again</pre>\n<p class=\"note\">with the job above as job.yaml";
  const auto start = std::find_if(run.sessions.begin(), run.sessions.end(),
                                  [](const Json& s) { return s.value("event", std::string()) == "start"; });
  if (start == run.sessions.end()) return out + ".</p>\n";
  return out + fmt::format(
                   ". The same numbers to the bit need the same base (fingerprint {}), data ({}), graft {}, device, thread count "
                   "and instruction set.</p>\n",
                   cell(*start, "base_fingerprint"), cell(*start, "data_hash"), cell(*start, "graft"));
}

}  // namespace graft
