/* data_options.h - the entries of rc_data_options for tables of options; AT(field) is the field's offset there. */
#ifndef RC_DATA_OPTIONS_H
#define RC_DATA_OPTIONS_H

#define RC_DATA_OPTIONS(AT)                                                                                            \
    {"format", 0, RC_OPT_STRING, AT(format), 0, 0, NULL, "KIND", "Data",                                               \
     "csv, tsv, jsonl, lines and others (docs/data.md); found out when not given"},                                    \
    {"delimiter", 0, RC_OPT_STRING, AT(delimiter), 0, 0, NULL, "CHAR", "Data",                                         \
     "between columns: one character, tab or space; found out when not given"},                                        \
    {"header", 0, RC_OPT_STRING, AT(header), 0, 0, NULL, "yes|no", "Data",                                             \
     "whether the first line names the columns; found out when not given"},                                            \
    {"missing", 0, RC_OPT_STRING, AT(missing), 0, 0, NULL, "WORDS", "Data",                                            \
     "what stands for a missing value, beside empty, NA, N/A, NaN, null and ?"},                                       \
    {"text", 0, RC_OPT_STRING, AT(text), 0, 0, NULL, "COLUMN", "Data", "column of the text, by name or number"},       \
    {"label", 0, RC_OPT_STRING, AT(label), 0, 0, NULL, "COLUMN", "Data", "column of the label"},                       \
    {"label-separator", 0, RC_OPT_STRING, AT(label_separator), 0, 0, NULL, "TEXT", "Data",                             \
     "between several labels of one text: multi-label"},                                                               \
    {"column", 0, RC_OPT_STRING, AT(column), 0, 0, NULL, "COLUMN", "Data", "column of the tags"},                      \
    {"id", 0, RC_OPT_STRING, AT(id), 0, 0, NULL, "COLUMN", "Data", "column that tells series apart"},                  \
    {"time-column", 0, RC_OPT_STRING, AT(time), 0, 0, NULL, "COLUMN", "Data", "column of the time"},                   \
    {"target", 0, RC_OPT_STRING, AT(target), 0, 0, NULL, "COLUMNS", "Data", "column to predict"},                      \
    {"inputs", 0, RC_OPT_STRING, AT(inputs), 0, 0, NULL, "COLUMNS", "Data",                                            \
     "columns that are read; all numeric ones without another role when not given"},                                   \
    {"known-ahead", 0, RC_OPT_STRING, AT(known_ahead), 0, 0, NULL, "COLUMNS", "Data",                                  \
     "covariates whose future is known"},                                                                              \
    {"fixed", 0, RC_OPT_STRING, AT(fixed), 0, 0, NULL, "COLUMNS", "Data", "covariates of a whole series"},             \
    {"categorical", 0, RC_OPT_STRING, AT(categorical), 0, 0, NULL, "COLUMNS", "Data",                                  \
     "covariates that are names, not numbers"},                                                                        \
    {"skip-bad-rows", 0, RC_OPT_BOOL, AT(skip_bad_rows), 0, 0, NULL, NULL, "Data",                                     \
     "rows with another number of columns than the first are left out"},                                               \
    {"numeric", 0, RC_OPT_BOOL, AT(numeric), 0, 0, NULL, NULL, "Data", "the data are numbers, not text"},

#endif
