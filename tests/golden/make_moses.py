#!/usr/bin/env python3
"""Writes moses.json: made-up and odd sentences as sacremoses 0.2.0 normalises, cuts and joins them. No Chinese, Japanese and
Korean: its tables of letters leave them out, Perl's do not."""
import json
import pathlib
import random
from sacremoses import MosesDetokenizer, MosesPunctNormalizer, MosesTokenizer

random.seed(5)
WORDS = {
    "en": """the dog 's don't it's he'll they've cats' Mr. Dr. No. Art. pp. e.g. i.e. U.S.A. etc. vs. St. J. k. v. 5 3.5 1,000 1,000,000
             '90s 1990's rock'n'roll 'quoted' "quoted" (aside) [x] {y} well-known state-of-the-art and/or a,b,c 50% $5 £3 AT&T
             x=y a+b http://a.b/c?d=e me@x.org #tag ... .. ..... wait...what end. End. . , ; : ! ? ?! — – - -- “curly” ‘single’
             isn’t rock’n’roll’s « x » … ´ ` `` '' 10 % 5 000 ) . ( Hello world""",
    "de": """der Hund z.B. d.h. usw. u.a. Dr. Nr. 5. 12. XIV. iv. 3,5 1.000 ca. bzw. geht's Straße über Ärger ÄRGER „Zitat“ ‚einfach‘
             »Wort« (so) Halb-tags Ost-West 50% 5 % €5 ... end. Ende. ende. 2016. a. b. Haus." sagt", er," x."< . , ; : ! ? – —
             "Ja". 1 000 nº 5 20 cm T-Shirt Kinder- und""",
    "fr": """l'eau d'un qu'il aujourd'hui c'est l'« M. MM. etc. p.ex. cf. « oui » ? ! ; : 5 % 3,5 1 000 œuvre été L'ÉTÉ chat. Chat. ... (a) -
             rendez-vous "non". s'il vous plaît ' x'y'z""",
    "xx": """abc it's l'x x'y 'z ' 5's No. 5 Mr. A. b. çédille ñandú мир мир. Мир. Привет! ΑΒΓ αβγ; "x", y. 3.5 ½ x² Ⅷ ® ☃ ₤5 a_b a|b <b> &amp; \\ ~""",
}
JOINTS = [" "] * 30 + ["  ", "\u00a0", "\u00a0", "", "", "\t", ", ", ". ", " ' ", " \" "]
cases = []
for lang in ("en", "de", "fr", "xx"):
    normalizer = MosesPunctNormalizer(lang, perl_parity=True)
    if lang == "xx":  # the script treats all but English and Czech like this; the port, some
        normalizer.substitutions[-1:-1] = MosesPunctNormalizer.DE_ES_FR_QUOTATION_FOLLOWED_BY_COMMA
    tokenizer, detokenizer = MosesTokenizer(lang), MosesDetokenizer(lang)
    words = WORDS[lang].split()
    texts = ["", " ", "a", ".", "...", "a.", "a...", "..a", "'", "'a'", "it's.'", "5,", ",5", "5,5", ", , ,", "a’b’c", "1\u00a02\u00a03"] + words
    for _ in range(150):
        text = ""
        for i in range(random.choice([2, 3, 5, 8, 13])):
            text += (random.choice(JOINTS) if i else "") + random.choice(words)
        texts.append(text)
    for text in texts:
        normal = normalizer.normalize(text)
        plain = tokenizer.tokenize(text, escape=False)
        tokens = tokenizer.tokenize(normal, escape=False)
        cases.append([lang, text, " ".join(plain), " ".join(tokens), detokenizer.detokenize(tokens, unescape=False)])
pathlib.Path(__file__).with_name("moses.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
