"""Texts to tokenize: natural text in many scripts, code, emoji, white space, special tokens inside text, random Unicode. Seeded."""
import random
import sysconfig
import unicodedata
from pathlib import Path

# Article 1 of the Universal Declaration of Human Rights.
SCRIPTS = {
    "latin": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act "
             "towards one another in a spirit of brotherhood. It's theirs, they're sure, and we'll KEEP 1,234.56 of it.",
    "german": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt; Straße, Füße.",
    "vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "cyrillic": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью.",
    "greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلًا وضميرًا ١٢٣٤",
    "hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "devanagari": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। १२३",
    "bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "tamil": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்; அவர்கள் மதிப்பிலும் உரிமைகளிலும் சமமானவர்கள்.",
    "thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "khmer": "មនុស្សទាំងអស់កើតមកមានសេរីភាពនិងភាពស្មើៗគ្នាក្នុងសេចក្តីថ្លៃថ្នូរនិងសិទ្ធិ",
    "chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。カタカナ、ﾊﾝｶｸ。",
    "korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "armenian": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ ու իրավունքներով։",
    "amharic": "የሰው ልጅ ሁሉ ሲወለድ ነፃና በክብርና በመብትም እኩልነት ያለው ነው።",
}
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "❤️", "1️⃣", "🦙", "🧑🏿‍🚀", "☺", "🫠", "✅"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\r", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\x0b", "\x0c", "\x85", "\u180e"]


def code_lines():
    """Source text of Python's own library, comments and odd literals with it."""
    lines = []
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:80]:
        lines += file.read_text(encoding="utf-8", errors="ignore").splitlines(keepends=True)
    return lines


def locale_lines():
    """glibc's locale sources hold day and month names of some hundred languages."""
    lines = []
    for file in sorted(Path("/usr/share/i18n/locales").glob("*_*")):
        lines += [line for line in file.read_text(encoding="utf-8", errors="ignore").splitlines() if not line.isascii()]
    return lines


def assigned_code_points():
    return [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def natural(rng, count):
    paragraphs, lines = list(SCRIPTS.values()), locale_lines()
    for i in range(count):
        text = rng.choice(lines) if lines and i % 4 == 0 else paragraphs[i % len(paragraphs)]
        if i >= len(paragraphs):
            begin = rng.randrange(len(text))
            text = text[begin:begin + rng.randrange(1, 120)] + rng.choice(["", " ", "\n"]) + rng.choice(paragraphs)[:rng.randrange(40)]
        yield text


def mixed(rng, count, pieces):
    for _ in range(count):
        yield "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 14)))


def make_texts(count, specials, seed=7):
    """About `count` texts, a sixth of each kind, and a few fixed ones."""
    rng = random.Random(seed)
    share = count // 6 + 1
    words = [word for text in SCRIPTS.values() for word in text.split()]
    code, unicode_all = code_lines(), assigned_code_points()
    yield from ["", " ", "\n", "a", "\u0301", "e\u0301\u0323", "\U0010ffff", "\ufffd", "\ufeff", "'s 'S 'ſ 'LL don't DON'T", "<0x0A>", "▁", " ▁a"]
    yield from natural(rng, share)
    for _ in range(share):
        at = rng.randrange(len(code) - 6)
        yield "".join(code[at:at + rng.randrange(1, 6)])
    yield from mixed(rng, share, EMOJI + [" ", "a", "\n", "!"])
    yield from mixed(rng, share, SPACES + ["a", "Б", "1", ".", "中"])
    yield from mixed(rng, share, [*specials, *specials, *words[:60], " ", "  ", "\n", "<", "|", ">", "<|", "x1"])
    for i in range(share):
        if i % 2:
            yield "".join(rng.choice(unicode_all) for _ in range(rng.randrange(1, 30)))
        else:
            start = rng.randrange(len(unicode_all) - 300)
            yield "".join(rng.choice(unicode_all[start:start + 300]) for _ in range(rng.randrange(1, 40)))


def megabyte(rng_seed=3):
    """One line of 1 MB of words and code."""
    rng = random.Random(rng_seed)
    words = [word for text in list(SCRIPTS.values())[:6] for word in text.split()] + "".join(code_lines()[:4000]).split()
    parts, size = [], 0
    while size < 1_000_000:
        parts.append(rng.choice(words))
        size += len(parts[-1].encode()) + 1
    return " ".join(parts).encode()[:1_000_000].decode(errors="ignore")
