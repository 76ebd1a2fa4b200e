#!/usr/bin/env python3
"""Tokenizers made by Hugging Face's `tokenizers` (0.23.3), and what they do with some texts, for test_tokenizer_golden.c.

    make_tokenizer.py                writes tests/golden/tokenizer/
    make_tokenizer.py --check DIR    DIR was written by RECUR_HF_OUT=DIR test_tokenizer_golden: the package must load each
                                     tokenizer.json of recur, and encode and decode each text to the same ids and text
"""
import json
import os
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer")
SEED = 20240501
TRAIN = """The river rose in the night, and by the morning the lower road was gone. We'll walk, she said; it isn't far.
He'd counted 17 bridges in 3 days, 1,024 steps in each: they're old, I've seen them, and you'd not believe it.
Der Fluß stieg über Nacht; am Morgen war die untere Straße verschwunden. Wir gehen zu Fuß, sagte sie, es ist nicht weit.
La rivière est montée pendant la nuit; au matin, la route d'en bas n'existait plus. C'était l'été.
Река поднялась ночью, и к утру нижней дороги не стало. Пойдём пешком, сказала она, это недалеко.
夜のうちに川が増水し、朝には下の道がなくなっていた。歩いて行こう、と彼女は言った。
Ο ποταμός φούσκωσε τη νύχτα. \t Tabs\tand  double   spaces, trailing ones too.  \n\n\n   Indented, after blank lines 🙂🙃👩‍👩‍👧.
aaaa aaaaa aaaaaaa ababababab banana bananas mississippi !!! ... ----- ===== <tag attr="x"> x_1 = y**2 + 3.14e-10;
"""
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def texts():
    rng = random.Random(SEED)
    out = [TRAIN, "", " ", "\n", "hello world", " leading", "trailing ", "it's 'tis don'T we'll've 'RE", "a\n\nb\n \n  c", "x" * 300,
           " " * 100 + "y", "ab" * 200, "\u00a0no\u2009break\u3000space\u2028sep\u0085nel\u180emvs\u200bzwsp", "e\u0301 é \u1e9e ﬁ Ǆ",
           "1234567890 ٣٤ ½ Ⅷ 一二", "<|endoftext|>", "a<|endoftext|>b<|endoftext|><|end|>", "foo[UNK]bar [PAD]", "\ufeffbom \ufffd \U0010ffff",
           "\x01\x02\x7f\x1c\x1d\x1e\x1f\x0b\x0c\r\n"]
    alphabet = list(TRAIN) + [chr(c) for c in range(1, 256)] + list("\u00a0\u1680\u2003\u2028\u202f\u205f\u3000\u200d\u0e01\u0e33अआ가힣𝒳𐍈'") + [" "] * 60 + ["\n"] * 20
    for _ in range(60):
        out.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 60))))
    words = TRAIN.split(" ") + ["unseen", "<unk>", "[UNK]"]
    for _ in range(20):
        out.append(" ".join(rng.choice(words) for _ in range(rng.randrange(1, 30))))
    return out


def byte_level(pre, specials, size, **options):
    t = Tokenizer(models.BPE(**options))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  special_tokens=specials)
    t.train_from_iterator([TRAIN], trainer)
    return t


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.train_from_iterator([TRAIN], trainers.WordLevelTrainer(vocab_size=150, show_progress=False, special_tokens=["[UNK]", "[PAD]"]))
    return t


def tokenizers():
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    yield "trained", byte_level(plain, [], 700)
    special = byte_level(plain, ["<|endoftext|>"], 500)
    special.add_special_tokens(["<|end|>"])
    special.add_tokens([AddedToken("banana", normalized=False)])
    yield "special", special
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "split", byte_level(split, [], 450)
    yield "ignore", byte_level(plain, [], 450, ignore_merges=True)
    yield "words", word_level()


def write():
    os.makedirs(HERE, exist_ok=True)
    with open(os.path.join(HERE, "train.txt"), "w", encoding="utf-8", newline="") as f:
        f.write(TRAIN)
    for name, t in tokenizers():
        t.save(os.path.join(HERE, name + ".json"), pretty=False)
        cases = []
        for text in texts():
            ids = t.encode(text).ids
            cases.append({"text": text, "ids": ids, "decoded": t.decode(ids, skip_special_tokens=False)})
        with open(os.path.join(HERE, name + ".cases.json"), "w", encoding="utf-8") as f:
            json.dump(cases, f, ensure_ascii=True, separators=(",", ":"))


def check(folder):
    bad = files = total = 0
    for file in sorted(os.listdir(folder)):
        if file.endswith(".cases.json") or not file.endswith(".json"):
            continue
        files += 1
        t = Tokenizer.from_file(os.path.join(folder, file))
        with open(os.path.join(folder, file.replace(".json", ".cases.json")), encoding="utf-8") as f:
            cases = json.load(f)
        for c in cases:
            total += 1
            ids = t.encode(c["text"]).ids
            decoded = t.decode(c["ids"], skip_special_tokens=False)
            if ids != c["ids"] or decoded != c["decoded"]:
                bad += 1
                if bad < 10:
                    print(f"{file}: {c['text']!r}\n  package {ids} {decoded!r}\n  recur   {c['ids']} {c['decoded']!r}")
    print(f"{files} tokenizers, {total} texts, {bad} differ")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    write()
