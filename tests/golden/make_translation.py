#!/usr/bin/env python3
"""Writes translation.json: pairs of made-up and odd sentences, and what sacrebleu and rouge-score say of them.
Made with sacrebleu 2.6.0, rouge-score 0.1.2 (nltk 3.9)."""
import json
import pathlib
import random
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF

random.seed(7)
WORDS = """the a dog cat runs running ran happily relational conditional rational valency hesitancy digitizer conformably
radically differently vileness analogously vietnamization predication operator feudalism decisiveness hopefulness
callousness formality sensitivity sensibility triplicate formative formalize electricity electrical hopeful goodness revival
allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologous
communism activate angularities effective bowdlerize probate rate cease controlling roll skies dying news innings canning
howe proceed exceeding succeed spied died flies tries ties caresses ponies agreed feed plastered bled motoring sing
conflated troubled sized hopping tanned falling hissing fizzed failing filing happy sky enjoy enjoyment biology apologies
geological fully hopefully yyyy syzygy oyyed eye say boy's Straße ÄRGER über naïve café ΟΔΟΣ ΣΑΣ Σ. İstanbul IĞDIR ŒUVRE
K12 Ångström 東京 は 大きい 都市です。 안녕하세요 세계 мир Привет हिन्दी नमस्ते مرحبا ﬁne x² ½ Ⅷ ٣٤ 3,5 3.5 1,000,000.50 1990s 10-12 $5.00 €7
50% #tag @you http://a.b/c?d=e e.g. U.S.A. Mr. "quoted" 'single' “curly” ‘odd’ «guillemets» — – - -- ... … , . ; : ! ? ( ) [ ] { } /
\\ | ~ ` ^ * + = < > &amp; &lt; &gt; &quot; &apos; &amp;lt; <skipped> <b>bold</b> a,b,c ,, .. ,.,. 5. .5 5, ,5 a.5 5.a -5 5- 5-a
don't it's l'eau rock'n'roll well-known state-of-the-art mother-in-law 🙂 👩‍👩‍👧 ™ © ° № § ₤ ∑ ≠ ☃ ¿qué? ¡no! 。，、！？ 「箱」 （a） ：
I II iii x""".split()
JOINTS = [" "] * 40 + ["  ", "\t", "\n", "-\n", "\u00a0", "\u3000", "\u2009", "", "", " , ", ", ", ". ", "\u200b"]


def sentence(n):
    out = ""
    for i in range(n):
        out += (random.choice(JOINTS) if i else "") + random.choice(WORDS)
    return out


def changed(text):
    words = text.split(" ")
    for _ in range(random.randint(0, 4)):
        if not words:
            break
        at, what = random.randrange(len(words)), random.random()
        if what < .3:
            words[at] = random.choice(WORDS)
        elif what < .5:
            del words[at]
        elif what < .7:
            words.insert(at, random.choice(WORDS))
        elif what < .8:
            words[at] = words[at].upper()
        elif what < .9:
            words[at] = words[at].capitalize()
        else:
            words = words[at:] + words[:at]
    return " ".join(words)


pairs = [["", ""], ["", "a reference"], ["a hypothesis", ""], ["one", "one"], ["one", "two"], ["  spaces  ", "spaces"],
         ["The cat sat on the mat.", "The cat sat on the mat."], ["the the the the", "the cat is on the mat"],
         ["a b c d e f g h", "a b c d"], ["a b c", "a b c d e f g h"], ["word-\nwrap", "wordwrap"], ["\n", "\n"],
         ["x\u0085y\u001cz", "x y z"], ["police killed the gunman.\nthe end", "police kill the gunman.\n\nend of it"],
         ["a" * 500, "a" * 499], ["yyyyy yyyyed yying", "yyyy"], ["ies sses s ss eed ied ing ed", "i ss s ee"]]
for i in range(240):
    ref = sentence(random.choice([1, 2, 3, 5, 8, 13, 21]))
    pairs.append([changed(ref), ref])
for i in range(40):
    pairs.append([sentence(random.randint(1, 9)), sentence(random.randint(1, 9))])

TOKENIZERS = ["13a", "intl", "char", "none"]


def bleu(hyps, refs, tok, lower):
    b = BLEU(tokenize=tok, lowercase=lower, force=True).corpus_score(hyps, [refs])
    return [b.score, b.bp, b.sys_len, b.ref_len] + b.counts + b.totals


def rouge(hyp, ref, stemmed):
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    s = rouge_scorer.RougeScorer(names, use_stemmer=stemmed).score(ref, hyp)
    return [x for name in names for x in (s[name].precision, s[name].recall, s[name].fmeasure)]


def scores(hyps, refs):
    return {"bleu": [bleu(hyps, refs, t, l) for t in TOKENIZERS for l in (False, True)],
            "chrf": [CHRF(word_order=w, lowercase=l).corpus_score(hyps, [refs]).score for w in (0, 2) for l in (False, True)]}


out = []
for hyp, ref in pairs:
    out.append({"hypothesis": hyp, "reference": ref, **scores([hyp], [ref]), "rouge": [rouge(hyp, ref, False), rouge(hyp, ref, True)]})
hyps, refs = [p[0] for p in pairs], [p[1] for p in pairs]
words = [w for line in open(__file__, encoding="utf-8") for w in line.lower().split() if w.isascii() and w.isalpha() and len(w) > 3]
from nltk.stem import porter
stems = {w: porter.PorterStemmer().stem(w) for w in sorted(set(words) | {a + b for a in ("relat", "hop", "fizz", "syzyg", "control", "adopt", "y", "bio", "vil") for b in (
    "ational", "tional", "enci", "anci", "izer", "bli", "alli", "entli", "eli", "ousli", "ization", "ation", "ator", "alism",
    "iveness", "fulness", "ousness", "aliti", "iviti", "biliti", "fulli", "logi", "icate", "ative", "alize", "iciti", "ical",
    "ful", "ness", "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate",
    "iti", "ous", "ive", "ize", "ed", "eed", "ied", "ies", "ing", "y", "e", "ll", "lls", "s", "sses")}) if len(w) > 3}
pathlib.Path(__file__).with_name("translation.json").write_text(
    "{\"made_by\": \"make_translation.py\",\n\"stems\": " + json.dumps(stems) + ",\n\"corpus\": " + json.dumps(scores(hyps, refs)) +
    ",\n\"pairs\": [\n" + ",\n".join(json.dumps(x, ensure_ascii=True) for x in out) + "\n]}\n")
