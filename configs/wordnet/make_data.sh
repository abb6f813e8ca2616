#!/bin/sh
# Makes the quick start's data: which of six kinds of thing does a WordNet gloss describe? Writes OUT/train.jsonl and
# OUT/heldout.jsonl (100 a class), as `messages`. Needs Debian's wordnet-base and awk; the same bytes on every machine.
#   usage: make_data.sh OUT [TRAIN_PER_CLASS]      environment: WORDNET=/path/to/data.noun, SEED=1
set -eu
export LC_ALL=C

out=${1:?usage: make_data.sh OUT [TRAIN_PER_CLASS]}
train_per_class=${2:-600}
held_out_per_class=100
source=${WORDNET:-/usr/share/wordnet/data.noun}
[ -r "$source" ] || { echo "make_data.sh: $source is not there: apt-get install wordnet-base, or set WORDNET=FILE" >&2; exit 1; }
mkdir -p "$out"
work=$(mktemp -d "$out/.make_data.XXXXXX")
trap 'rm -rf "$work"' EXIT

# class <tab> gloss. A noun's lexicographer file (second field) is its class; the gloss is what follows " | ", up to the first
# ";" (other senses and quoted examples follow). Fewer than five words say too little; license lines start with two blanks.
awk '
  BEGIN { split("05 animal 08 body 13 food 15 place 18 person 20 plant", w, " "); for (i = 1; i < 12; i += 2) kind[w[i]] = w[i + 1] }
  /^  / || !($2 in kind) { next }
  {
    class = kind[$2]
    gloss = substr($0, index($0, " | ") + 3)
    sub(/[;:] *".*/, "", gloss); sub(/;.*/, "", gloss); sub(/[ \t]+$/, "", gloss); sub(/^[ \t]+/, "", gloss)
    gloss = tolower(gloss)
    if (split(gloss, words, /[ \t]+/) >= 5) print class "\t" gloss
  }' "$source" > "$work/glosses"

# One line a gloss text; a text that stands under two classes is left out. Each line gets a hash of seed and text as its first
# field: sorted by it, the order is random and yet the same everywhere (awk has no random generator of fixed sequence).
awk -F'\t' -v seed="${SEED:-1}" '
  function hash(text,   h, i) {                       # < 2^31 before each product: exact in double precision
    h = 7919 * seed + 1
    for (i = 1; i <= length(text); ++i) h = (h * 131 + code[substr(text, i, 1)]) % 2147483647
    for (i = 0; i < 4; ++i) h = (h * 48271 + 11) % 2147483647
    return h
  }
  BEGIN { for (i = 1; i < 256; ++i) code[sprintf("%c", i)] = i }
  NR == FNR { if (($2 in seen) && seen[$2] != $1) mixed[$2] = 1; seen[$2] = $1; next }
  !($2 in mixed) && !($2 in done) { done[$2] = 1; printf "%010d\t%s\t%s\n", hash($2), $1, $2 }
' "$work/glosses" "$work/glosses" | sort > "$work/shuffled"

# The first 100 of each class are held out, the next TRAIN_PER_CLASS are learnt: balanced, and no gloss on both sides.
awk -F'\t' -v held="$held_out_per_class" -v train="$train_per_class" -v out="$out" '
  function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); return "\"" text "\"" }
  {
    n = ++count[$2]
    if (n > held + train) next
    question = "Which kind of thing does this describe: animal, body, food, person, place or plant? \"" $3 "\""
    line = "{\"messages\": [{\"role\": \"user\", \"content\": " quoted(question) "}, {\"role\": \"assistant\", \"content\": " quoted($2) "}]}"
    print line > (out (n <= held ? "/heldout.jsonl" : "/train.jsonl"))
  }
  END { for (c in count) if (count[c] < held + train) { printf "make_data.sh: only %d glosses of class %s\n", count[c], c; bad = 1 } exit bad }
' "$work/shuffled" >&2
echo "make_data.sh: $(wc -l < "$out/train.jsonl") glosses to learn, $(wc -l < "$out/heldout.jsonl") held out, in $out"
