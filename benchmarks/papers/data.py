"""The data of the three tables. A folder has heldout.jsonl and train.jsonl; the latter's two parts, sweep.jsonl and dev.jsonl, choose learning rates."""
import json
import random
import re
import subprocess
from pathlib import Path

VERB_FILES = ("body change cognition communication competition consumption contact creation emotion motion perception possession social "
              "stative weather").split()   # lexicographer files 29 to 43
VERBS_HELD_OUT, VERBS_TRAINED, VERBS_DEV = 1200, 4500, 700


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def write_split(folder, train, held_out, dev):
    write(folder / "train.jsonl", train)
    write(folder / "heldout.jsonl", held_out)
    shuffled = list(train)
    random.Random(1).shuffle(shuffled)
    write(folder / "sweep.jsonl", shuffled[:-dev])
    write(folder / "dev.jsonl", shuffled[-dev:])


def make_six_classes(out):
    """The quick start's samples, 667 to learn from and 100 held out of each class: as conversations, and as text and label."""
    chat = out / "six_classes_chat"
    subprocess.run(["sh", "configs/wordnet/make_data.sh", str(chat), "667"], check=True)
    train, held_out = ([json.loads(line) for line in (chat / f"{name}.jsonl").read_text().splitlines()] for name in ("train", "heldout"))

    def labelled(sample):
        question, answer = (message["content"] for message in sample["messages"])
        return {"text": re.search(r'"(.*)"$', question, re.S).group(1), "label": answer}
    dev = len(train) - 3400
    write_split(chat, train, held_out, dev)
    write_split(out / "six_classes", [labelled(s) for s in train], [labelled(s) for s in held_out], dev)


def verb_glosses(path):
    """(gloss, class) of each verb sense, read as configs/wordnet/make_data.sh reads nouns; of two words or more, since verbs' glosses are short. A
    gloss that stands under two classes is left out."""
    classes = {}
    for line in path.read_text().splitlines():
        if line.startswith("  "):   # the license
            continue
        gloss = re.sub(r'[;:] *".*|;.*', "", line[line.index(" | ") + 3:]).strip().lower()
        if len(gloss.split()) >= 2:
            classes.setdefault(gloss, set()).add(VERB_FILES[int(line.split()[1]) - 29])
    return sorted((gloss, names.pop()) for gloss, names in classes.items() if len(names) == 1)


def make_verbs(out, wordnet):
    """The classes as frequent as WordNet has them (verb.contact 16 %, verb.weather 0.5 %): balanced, the rarest would allow 60 of each."""
    samples = [{"text": gloss, "label": name} for gloss, name in verb_glosses(wordnet / "data.verb")]
    random.Random(1).shuffle(samples)
    held_out, train = samples[:VERBS_HELD_OUT], samples[VERBS_HELD_OUT:VERBS_HELD_OUT + VERBS_TRAINED]
    write_split(out / "verbs", train, held_out, VERBS_DEV)


def make(out, wordnet="/usr/share/wordnet"):
    make_six_classes(Path(out))
    make_verbs(Path(out), Path(wordnet))
