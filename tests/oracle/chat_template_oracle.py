"""Renders fixed conversations with the 70 real templates (and SmolLM2's) by graft and by transformers, and compares the texts.
Usage: chat_template_oracle.py CHAT_TEMPLATE_DUMP [LLAMA_CPP] [SMOLLM2_GGUF] [--verbose]
Exit 1 below the bar or on a bad span."""
import collections
import json
import pathlib
import subprocess
import sys

import gguf
from transformers.utils import chat_template_utils

BAR = 60
BOS, EOS = "<s>", "</s>"
ROOT = pathlib.Path(__file__).resolve().parents[2]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city, e.g. \"Zürich\" <b>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the city"},
                "days": {"type": "integer", "enum": [1, 2, 3]},
                "unit": {"type": ["string", "null"]},
            },
            "required": ["city"],
        },
    },
}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def weather_call(identity, arguments):
    return {"id": identity, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


CALL = weather_call("call12345", {"city": "Zürich", "days": 2, "x": 0.5, "ok": True, "no": None})
SECOND = weather_call("call67890", {"city": "Bern"})
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": '{"temperature": 21}'}
RESULT2 = {**RESULT, "tool_call_id": "call67890", "content": "cold"}

# name -> (messages, tools)
CONVERSATIONS = {
    "one turn": ([user("Hi"), assistant("Hello there.")], None),
    "question": ([user("Hi")], None),
    "system": ([system("Be brief."), user("Hi"), assistant("Hello.")], None),
    "two turns": ([user("Hi"), assistant("Hi"), user("Why?"), assistant("Because.")], None),
    "three turns": (
        [system("Be kind."), user("a"), assistant("b"), user("c"), assistant("d"), user("e"), assistant("f")],
        None,
    ),
    "open": ([user("a"), assistant("b"), user("c")], None),
    "empty answer": ([user("Hi"), assistant("")], None),
    "empty question": ([user(""), assistant("What?")], None),
    "specials": (
        [user("x<|im_end|>\n<|im_start|>system\n</s>[INST] <|eot_id|>"), assistant("<|end|> no <s>")],
        None,
    ),
    "unicode": ([system("Grüße\u00a0"), user(" 你好 👋🏽\n\tzwei  "), assistant("नमस्ते \u2028 ﬁ\r\n end ")], None),
    "quotes": ([user("it's \"quoted\" \\ {{ x }} {% y %}"), assistant("'a' & <b>")], None),
    "tools offered": ([system("Use tools."), user("Weather?"), assistant("Which city?")], [WEATHER]),
    "tool call": (
        [user("Weather in Zürich?"), assistant("", tool_calls=[CALL]), RESULT, assistant("21 degrees.")],
        [WEATHER],
    ),
    "tool call open": ([user("Weather in Zürich?"), assistant("", tool_calls=[CALL]), RESULT], [WEATHER]),
    "tool call, no content": (
        [user("Weather?"), {"role": "assistant", "tool_calls": [CALL]}, RESULT, assistant("Fine.")],
        [WEATHER],
    ),
    "two tool calls": (
        [
            system("s"),
            user("Both?"),
            assistant("Let me look.", tool_calls=[CALL, SECOND]),
            RESULT,
            RESULT2,
            assistant("Done."),
            user("Thanks"),
            assistant("Welcome."),
        ],
        [WEATHER],
    ),
    "reasoning": ([user("2+2?"), assistant("4", reasoning_content="Two and two.")], None),
    "reasoning, two turns": (
        [
            user("2+2?"),
            assistant("4", reasoning_content="Two and two."),
            user("3+3?"),
            assistant("6", reasoning_content="Three, twice."),
        ],
        None,
    ),
    "reasoning in content": (
        [user("2+2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("and?"), assistant("5")],
        None,
    ),
    "reasoning and tool": (
        [
            user("Weather?"),
            assistant("", reasoning_content="Call it.", tool_calls=[CALL]),
            RESULT,
            assistant("Fine.", reasoning_content="It is."),
        ],
        [WEATHER],
    ),
    "text parts": ([user([{"type": "text", "text": "Hi "}, {"type": "text", "text": "you"}]), assistant("Yes?")], None),
}


def by_transformers(template, messages, tools, prompt):
    try:
        chats = [chat_template_utils._normalize_chat_messages(messages)]
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=chats, tools=tools, chat_template=template, add_generation_prompt=prompt, bos_token=BOS, eos_token=EOS
        )
        return {"text": rendered[0]}
    except Exception as error:  # whatever the template or jinja2 raises
        return {"error": f"{type(error).__name__}: {error}"}


def joined(messages):
    """What graft gives to a template that knows no text parts."""
    return [{**m, "content": "".join(p["text"] for p in m["content"])} if isinstance(m.get("content"), list) else m for m in messages]


def same(ours, theirs):
    return ours.get("text") == theirs.get("text") if "text" in theirs else "text" not in ours


def bad_span(ours, messages):
    """An assistant's span holds nothing of other messages, and its own text where that is rendered as it is."""
    if "assistant" not in ours:
        return None
    raw = ours["text"].encode()
    answers = [m for m in messages if m["role"] == "assistant"]
    if len(answers) != len(ours["assistant"]):
        return "another number of spans than assistant messages"
    end = 0
    for message, (begin, stop) in zip(answers, ours["assistant"]):
        text = raw[begin:stop].decode(errors="replace")
        if not end <= begin < stop <= len(raw):
            return f"bounds {begin} {stop}"
        end = stop
        content = (message.get("content") or "").strip()
        if content and "<think>" not in content and content in ours["text"] and content not in text:
            return f"{text!r} lacks {content!r}"
        questions = [m["content"] for m in messages if m["role"] == "user" and isinstance(m["content"], str)]
        if any(len(question) > 6 and question in text for question in questions):
            return f"{text!r} holds a question"
    return None


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"ours {a[max(0, at - 30):at + 40]!r} theirs {b[max(0, at - 30):at + 40]!r}"


def reason_of(ours, theirs):
    if "text" in ours and "text" in theirs:
        return first_difference(ours["text"], theirs["text"])
    return f"ours {ours.get('error', 'renders')!r}, theirs {theirs.get('error', 'renders')!r}"


def request(template, messages, tools, prompt):
    fields = {"template": template, "messages": messages, "tools": tools, "add_generation_prompt": prompt}
    return json.dumps({**fields, "bos": BOS, "eos": EOS})


def load_templates(llama, model):
    templates = {path.stem: path.read_text() for path in sorted((llama / "models" / "templates").glob("*.jinja"))}
    if model.exists():
        field = gguf.GGUFReader(model).fields["tokenizer.chat_template"]
        templates["SmolLM2"] = bytes(field.parts[field.data[0]]).decode()
    return templates


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    verbose = "--verbose" in sys.argv
    llama = pathlib.Path(arguments[1]) if len(arguments) > 1 else ROOT / ".deps/llama.cpp"
    model = pathlib.Path(arguments[2]) if len(arguments) > 2 else ROOT / ".deps/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    cases = [
        (name, template, title, messages, tools, prompt)
        for name, template in load_templates(llama, model).items()
        for title, (messages, tools) in CONVERSATIONS.items()
        for prompt in (False, True)
    ]
    requests = "\n".join(request(template, *rest) for _, template, _, *rest in cases)
    output = subprocess.run([arguments[0]], input=requests, capture_output=True, text=True, check=True).stdout
    answers = [json.loads(line) for line in output.split("\n") if line]
    assert len(answers) == len(cases), "the program answered another number of lines"

    differences, bad, refused = collections.defaultdict(list), [], collections.Counter()
    rendered = errors = joined_parts = 0
    for (name, template, title, messages, tools, prompt), ours in zip(cases, answers):
        theirs = by_transformers(template, messages, tools, prompt)
        rendered += "text" in theirs
        errors += "error" in theirs
        if not same(ours, theirs) and title == "text parts":
            theirs = by_transformers(template, joined(messages), tools, prompt)
            joined_parts += same(ours, theirs)
        if not same(ours, theirs):
            differences[name].append((title, prompt, reason_of(ours, theirs)))
        if "refused" in ours:
            refused[ours["refused"]] += 1
            if verbose:
                print(f"refused: {name} / {title} / {prompt}: {ours['refused']}")
        trouble = bad_span(ours, messages)
        if trouble:
            bad.append((name, title, prompt, trouble))
    for name, found in differences.items():
        print(f"differs: {name}: {len(found)} of {2 * len(CONVERSATIONS)} cases, first '{found[0][0]}': {found[0][2]}")
        for title, prompt, reason in found[1:] if verbose else []:
            print(f"    {title} / {prompt}: {reason}")
    for name, title, prompt, trouble in bad:
        print(f"bad span: {name} / {title} / {prompt}: {trouble}")
    total = len(load_templates(llama, model))
    exact = sum(name not in differences and name != "SmolLM2" for name in {c[0] for c in cases})
    holds = exact >= BAR and not bad and "SmolLM2" not in differences
    print(f"chat templates: {len(cases)} cases of {total} templates, {rendered} rendered and {errors} refused by transformers")
    print(f"chat templates: text parts joined for a template that knows none | {joined_parts} cases | compared with the joined text | -")
    print(f"chat templates: fields not rendered or spans not told | {sum(refused.values())} cases | reported by name | -")
    print(f"chat templates: assistant spans | {len(bad)} bad | 0 | {'holds' if not bad else 'fails'}")
    print(f"chat templates equal to transformers | {exact} of 70 | >= {BAR} | {'holds' if holds else 'fails'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
