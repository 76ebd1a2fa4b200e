/* search_options.h - the entries of rc_search_options for tables of options; AT(field) is the field's offset there. */
#ifndef RC_SEARCH_OPTIONS_H
#define RC_SEARCH_OPTIONS_H

#define RC_SEARCH_OPTIONS(AT)                                                                                          \
    {"beam", 0, RC_OPT_INT, AT(beam), 0, 1000, NULL, "N", "Search", "hypotheses of each input; 1: greedy; 0: the model's"}, \
    {"nbest", 0, RC_OPT_INT, AT(nbest), 1, 1000, NULL, "N", "Search", "results of each input, at most the beam"},       \
    {"min-length", 0, RC_OPT_INT, AT(min_length), -1, 1e6, NULL, "N", "Search", "tokens at least; -1: the model's"},    \
    {"max-length", 0, RC_OPT_INT, AT(max_length), 0, 1e6, NULL, "N", "Search", "tokens at most; 0: the model's"},       \
    {"length-norm", 0, RC_OPT_CHOICE, AT(length_norm), 0, 0, "model none average wu", "KIND", "Search",                 \
     "by which hypotheses of different lengths are compared: sum / len^alpha, or that of Wu et al. 2016"},             \
    {"length-penalty", 0, RC_OPT_REAL, AT(length_penalty), -1, 10, NULL, "ALPHA", "Search", "its alpha; -1: the model's"}, \
    {"coverage-penalty", 0, RC_OPT_REAL, AT(coverage_penalty), -1, 1e6, NULL, "BETA", "Search",                         \
     "what leaving parts of the source out costs; -1: the model's"},                                                   \
    {"patience", 0, RC_OPT_REAL, AT(patience), -1, 1e6, NULL, "X", "Search",                                            \
     "done when X times the beam have ended, faster; 0: when nothing better can come; -1: the model's"},               \
    {"groups", 0, RC_OPT_INT, AT(groups), 1, 1000, NULL, "N", "Search", "diverse beams: so many groups that keep apart"}, \
    {"diversity", 0, RC_OPT_REAL, AT(diversity), 0, 1e6, NULL, "X", "Search", "how far they do"},                       \
    {"no-repeat", 0, RC_OPT_INT, AT(no_repeat), -1, 1000, NULL, "N", "Search",                                          \
     "no run of N tokens twice; 0: off, -1: the model's"},                                                             \
    {"sample", 0, RC_OPT_BOOL, AT(sample), 0, 0, NULL, NULL, "Search", "draw instead of a search"},                     \
    {"temperature", 't', RC_OPT_REAL, AT(temperature), 0, 1000, NULL, "X", "Search", "sample: less: what is likely"},   \
    {"top-k", 0, RC_OPT_INT, AT(top_k), 0, 1e9, NULL, "K", "Search", "sample: from the K most likely; 0: off"},         \
    {"top-p", 0, RC_OPT_REAL, AT(top_p), 1e-6, 1, NULL, "P", "Search",                                                  \
     "sample: from the most likely that add up to P; 1: off"},                                                         \
    {"min-p", 0, RC_OPT_REAL, AT(min_p), 0, 1, NULL, "P", "Search",                                                     \
     "sample: not what is less likely than P times the best; 0: off"},                                                 \
    {"repetition-penalty", 0, RC_OPT_REAL, AT(repetition_penalty), 0.01, 100, NULL, "X", "Search",                      \
     "sample: make recent tokens less likely; 1: off"},                                                                \
    {"repetition-window", 0, RC_OPT_INT, AT(repetition_window), 0, 1e6, NULL, "N", "Search",                            \
     "sample: how many tokens are recent"},                                                                            \
    {"seed", 0, RC_OPT_INT, AT(seed), 0, 9.2e18, NULL, "N", "Search", "sample: same seed, same texts"},                 \
    {"unk", 0, RC_OPT_BOOL, AT(unk), 0, 0, NULL, NULL, "Search", "<unk> may be written"},                               \
    {"prefix", 0, RC_OPT_STRING, AT(prefix), 0, 0, NULL, "TEXT", "Search", "every result begins with TEXT"},           \
    {"with", 0, RC_OPT_STRING, AT(with), 0, 0, NULL, "FILES", "Search",                                                 \
     "further models with the same vocabularies, commas between: an ensemble"},

#endif
