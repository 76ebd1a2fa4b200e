/* options.c - the table of training options, their defaults, presets, and config.json. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "recur/train.h"
#include "tasks/data_options.h"
#include "tasks/task.h"
#include "train/options.h"

/* Defaults for a newcomer's text of 0.1 to 10 MB: what reaches a good loss without being told anything. */
rc_train_options rc_train_options_default(void) {
    return (rc_train_options){
        .task = "lm",
        .min_count = 1,
        .encoder = "lstm",
        .pool = "last",
        .kernels = "3,4,5",
        .filters = 100,
        .chars = "none",
        .char_hidden = 50,
        .char_embedding = 25,
        .class_weights = "none",
        .normalize = "zscore",
        .crf = true,
        .scheme = "auto",
        .model = "auto",
        .season = "auto",
        .likelihood = "point",
        .quantiles = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
        .threshold = 0.01,
        .history = 8000,
        .recent = 10,
        .repeat = 50,
        .settle = 100,
        .range = 0.05,
        .clock = true,
        .linear = true,
        .source_lang = "",
        .target_lang = "",
        .max_source = 256,
        .max_target = 256,
        .separator = " | ",
        .attention = "general",
        .shared = true,
        .coverage_weight = 1,
        .beam = 1,
        .encoding = "position",
        .temporal = true,
        .noise = 0.1,
        .linear_start = 0.2,
        .tying = "adjacent",
        .ensemble = 3,
        .blocks = 20,
        .memory = 50,
        .valid_fraction = 0.1,
        .vocab = "char",
        .preset = "",
        .cell = "lstm",
        .layers = 2,
        .hidden = 256,
        .depth = 3,
        .skip = "none",
        .dropout = 0.1,
        .dropout_output = -1,
        .bias = true,
        .positions = "rotary",
        .norm = "layer",
        .activation = "gelu",
        .init = "default",
        .forget_bias = 1,
        .optimizer = "adamw",
        .alpha = 0.99,
        .beta1 = 0.9,
        .beta2 = 0.99, /* a shorter memory than 0.999: small text, high rates, quick budgets */
        .eps = 0,
        .weight_decay = 0.01,
        .clip = 1,
        .schedule = "cosine",
        .warmup = 100,
        .schedule_every = 0.25,
        .schedule_floor = -1,
        .schedule_peak = 0.3,
        .schedule_patience = 1,
        .average = "none",
        .average_decay = 0.999,
        .batch = 64,
        .seq_len = 64,
        .accumulate = 1,
        .precision = "fp32",
        .sample_length = 300,
        .sample_prompt = "",
        .keep = 3,
        .seed = 1,
    };
}

#define AT(field) offsetof(rc_train_options, field)
#define DATA(field) offsetof(rc_train_options, data.field)
#define CELLS                                                                                                        \
    "rnn rnn-relu lstm lstm-peephole lstm-projection lstm-layernorm lstm-coupled gru gru-v1 gru-d mgu rhn indrnn " \
    "mingru minlstm sru transformer"
#define BIG       9007199254740992.0 /* 2^53: whole numbers stay exact in a double */

static const rc_option table[] = {
    {"valid", 0, RC_OPT_PATH_IN, AT(valid), 0, 0, NULL, "FILE", "Data",
     "a file to validate on (default: a part of the training data)"},
    {"valid-target", 0, RC_OPT_PATH_IN, AT(valid_target), 0, 0, NULL, "FILE", "Data",
     "the targets of --valid, where they are a file of their own (or the word after it)"},
    {"valid-fraction", 0, RC_OPT_REAL, AT(valid_fraction), 0, 0.9, NULL, "X", "Data",
     "share of the training data kept for validation; lm: its end, else drawn at random; 0 = none"},
    {"vocab", 0, RC_OPT_STRING, AT(vocab), 0, 0, NULL, "KIND", "Data",
     "char, byte, word, word:N, bpe:N, or a tokenizer.json"},

    {"min-count", 0, RC_OPT_INT, AT(min_count), 1, 1e9, NULL, "N", "Data",
     "words seen less often in the training data are the unknown word"},
    {"max-len", 0, RC_OPT_INT, AT(max_len), 0, 1e6, NULL, "N", "Data", "longer sequences are cut to N steps; 0 = none"},
    {"lowercase", 0, RC_OPT_BOOL, AT(lowercase), 0, 0, NULL, NULL, "Data", "words are looked up in lower case"},
    RC_DATA_OPTIONS(DATA)
    {"moses", 0, RC_OPT_BOOL, AT(moses), 0, 0, NULL, NULL, "Data",
     "texts are cut into words and marks as Moses' tokenizer does, and put together again; for word vocabularies"},
    {"source-lang", 0, RC_OPT_STRING, AT(source_lang), 0, 0, NULL, "LANG", "Data",
     "moses: language of the sources: en, de, fr ..."},
    {"target-lang", 0, RC_OPT_STRING, AT(target_lang), 0, 0, NULL, "LANG", "Data", "moses: language of the targets"},
    {"max-source", 0, RC_OPT_INT, AT(max_source), 1, 1e6, NULL, "N", "Data", "longer sources are cut to N tokens"},
    {"max-target", 0, RC_OPT_INT, AT(max_target), 1, 1e6, NULL, "N", "Data",
     "longer targets are cut to N tokens; no answer is longer"},
    {"separator", 0, RC_OPT_STRING, AT(separator), 0, 0, NULL, "TEXT", "Data", "between the turns of a source"},

    {"preset", 0, RC_OPT_CHOICE, AT(preset), 0, 0, "quick good", "NAME", "Model",
     "quick: 3 minutes on 2 cores; good: 20 minutes. Options given beside it win"},
    {"cell", 0, RC_OPT_CHOICE, AT(cell), 0, 0,
     CELLS, "CELL", "Model", "kind of recurrent cell, or transformer: blocks of attention"},
    {"encoder", 0, RC_OPT_CHOICE, AT(encoder), 0, 0, CELLS " cnn bow", "KIND", "Model",
     "what reads the sequence: a recurrent cell, transformer (blocks of attention), cnn (1-D convolutions), bow (the mean of "
     "what the steps give: no order)"},
    {"bidirectional", 0, RC_OPT_BOOL, AT(bidirectional), 0, 0, NULL, NULL, "Model",
     "a second set of layers reads from the end; transformer: each step sees all others"},
    {"pool", 0, RC_OPT_STRING, AT(pool), 0, 0, NULL, "KIND", "Model",
     "from steps to one vector: last, mean, max, attention, or several joined: max+mean"},
    {"kernels", 0, RC_OPT_STRING, AT(kernels), 0, 0, NULL, "LIST", "Model", "cnn: widths of the convolutions"},
    {"filters", 0, RC_OPT_INT, AT(filters), 1, 65536, NULL, "N", "Model", "cnn: outputs of each width"},
    {"chars", 0, RC_OPT_CHOICE, AT(chars), 0, 0, "none cnn lstm gru", "KIND", "Model",
     "a second view of each word, by its characters: how they are read"},
    {"char-hidden", 0, RC_OPT_INT, AT(char_hidden), 1, 4096, NULL, "N", "Model", "its width (lstm, gru: in each direction)"},
    {"char-embedding", 0, RC_OPT_INT, AT(char_embedding), 1, 4096, NULL, "N", "Model", "width of the characters' embedding"},
    {"affixes", 0, RC_OPT_INT, AT(affixes), 0, 1024, NULL, "N", "Model",
     "beginnings, endings and shape of each word as inputs, N wide each; 0 = none"},
    {"vectors", 0, RC_OPT_PATH_IN, AT(vectors), 0, 0, NULL, "FILE", "Model",
     "word vectors to begin with: text of word2vec, GloVe or fastText"},
    {"freeze-vectors", 0, RC_OPT_BOOL, AT(freeze_vectors), 0, 0, NULL, NULL, "Model", "the vectors are not trained further"},
    {"class-weights", 0, RC_OPT_CHOICE, AT(class_weights), 0, 0, "none balanced", "KIND", "Model",
     "balanced: rare classes weigh as much as frequent ones in the loss"},
    {"normalize", 0, RC_OPT_CHOICE, AT(normalize), 0, 0, "zscore minmax series none", "KIND", "Model",
     "scaling of numbers: by mean and deviation of the training data, by its range, of each series by its own, not at all"},
    {"mask", 0, RC_OPT_BOOL, AT(mask), 0, 0, NULL, NULL, "Model",
     "numbers: which are missing, and since when, are inputs too (gru-d: always)"},
    {"target-cap", 0, RC_OPT_REAL, AT(target_cap), 0, 1e300, NULL, "X", "Model",
     "larger targets count as X while training; 0 = none"},
    {"window", 0, RC_OPT_INT, AT(window), 0, 1e6, NULL, "N", "Model",
     "the last N steps that are read of a series; 0 = all"},
    {"crf", 0, RC_OPT_BOOL, AT(crf), 0, 0, NULL, NULL, "Model", "tags are chosen together, by a conditional random field"},
    {"scheme", 0, RC_OPT_CHOICE, AT(scheme), 0, 0, "auto none bio iobes", "KIND", "Model",
     "how spans are written inside the model; predictions come out as the data have them"},
    {"joint-intent", 0, RC_OPT_BOOL, AT(joint_intent), 0, 0, NULL, NULL, "Model", "a class for the whole sentence too"},
    {"exchange", 0, RC_OPT_INT, AT(exchange), 0, 100, NULL, "N", "Regularization",
     "spans: N copies of each training sentence that has some, with others of their type in their place"},
    {"model", 0, RC_OPT_CHOICE, AT(model), 0, 0, "auto recurrent direct segment deepar es-rnn autoencoder memory query entity", "KIND", "Model",
     "kind of forecaster; detect: recurrent or autoencoder; answer: memory, query, entity or recurrent"},
    {"horizon", 0, RC_OPT_INT, AT(horizon), 0, 1e6, NULL, "N", "Model", "steps to forecast"},
    {"lookback", 0, RC_OPT_INT, AT(lookback), 0, 1e6, NULL, "N", "Model", "steps that are looked back on; 0 = by the horizon"},
    {"season", 0, RC_OPT_STRING, AT(season), 0, 0, NULL, "N", "Model", "steps of a season, or auto"},
    {"likelihood", 0, RC_OPT_CHOICE, AT(likelihood), 0, 0, "point quantile gaussian student-t negative-binomial", "KIND",
     "Model", "what is forecast: one number, quantiles, or a distribution"},
    {"quantiles", 0, RC_OPT_STRING, AT(quantiles), 0, 0, NULL, "LIST", "Model", "those that are forecast and reported"},
    {"segment", 0, RC_OPT_INT, AT(segment), 0, 1e6, NULL, "N", "Model", "steps of a segment; 0 = by the horizon"},
    {"linear", 0, RC_OPT_BOOL, AT(linear), 0, 0, NULL, NULL, "Model",
     "segment, direct: a linear part from the lookback to the forecast beside the network"},
    {"threshold", 0, RC_OPT_REAL, AT(threshold), 0, 1, NULL, "X", "Model", "share of the training data that may be alarms; 0 = a score of 5, one row in 100,000"},
    {"history", 0, RC_OPT_INT, AT(history), 1, 1e7, NULL, "N", "Model",
     "detect: rows whose errors' mean and deviation are the normal ones; chat: turns that are read for a reply"},
    {"recent", 0, RC_OPT_INT, AT(recent), 1, 1e5, NULL, "N", "Model",
     "detect: rows whose mean error is compared with them"},
    {"repeat", 0, RC_OPT_INT, AT(repeat), 0, 1e5, NULL, "N", "Model",
     "detect: an alarm is repeated within N rows only when its score rises"},
    {"settle", 0, RC_OPT_INT, AT(settle), 0, 1e6, NULL, "N", "Model", "detect: warm-up rows, which score 0"},
    {"range", 0, RC_OPT_REAL, AT(range), -1, 1e6, NULL, "X", "Model",
     "detect: a value beyond all before by X of their range is an alarm; -1 = no such rule"},
    {"clock", 0, RC_OPT_BOOL, AT(clock), 0, 0, NULL, NULL, "Model",
     "detect: the time of day and of the week are inputs where there are time stamps"},
    {"attention", 0, RC_OPT_CHOICE, AT(attention), 0, 0, "additive dot general concat multihead location none", "KIND",
     "Model", "how the decoder looks at the source; none: only the encoder's last state reaches it"},
    {"input-feeding", 0, RC_OPT_BOOL, AT(input_feeding), 0, 0, NULL, NULL, "Model",
     "what was attended to joins the next input; slower: no two steps at once"},
    {"coverage", 0, RC_OPT_BOOL, AT(coverage), 0, 0, NULL, NULL, "Model",
     "attention sees where it has looked, and looking there again costs"},
    {"coverage-weight", 0, RC_OPT_REAL, AT(coverage_weight), 0, 1e6, NULL, "X", "Model", "coverage: what it costs"},
    {"copy", 0, RC_OPT_BOOL, AT(copy), 0, 0, NULL, NULL, "Model", "tokens of the source may be copied (needs --shared)"},
    {"monotonic", 0, RC_OPT_BOOL, AT(monotonic), 0, 0, NULL, NULL, "Model",
     "attention moves forward alone, for sources that are still coming in"},
    {"shared", 0, RC_OPT_BOOL, AT(shared), 0, 0, NULL, NULL, "Model", "one vocabulary and embedding for both sides"},
    {"hops", 0, RC_OPT_INT, AT(hops), 0, 16, NULL, "N", "Model", "looks at the story; query: layers; 0 = memory 3, query 2"},
    {"encoding", 0, RC_OPT_CHOICE, AT(encoding), 0, 0, "bow position", "KIND", "Model",
     "sentences as bags of words, or with weights by the place of each word"},
    {"temporal", 0, RC_OPT_BOOL, AT(temporal), 0, 0, NULL, NULL, "Model",
     "memory: how long ago a sentence was told is an input"},
    {"tying", 0, RC_OPT_CHOICE, AT(tying), 0, 0, "adjacent layer", "KIND", "Model",
     "memory: neighbouring hops share a table, or all hops share theirs"},
    {"restarts", 0, RC_OPT_INT, AT(restarts), 0, 256, NULL, "N", "Model",
     "memory, query: networks trained side by side, each from its own start; 0 = memory 10, query 5"},
    {"ensemble", 0, RC_OPT_INT, AT(ensemble), 1, 256, NULL, "N", "Model",
     "how many of them answer together: those best on the validation data, without it on the training data"},
    {"blocks", 0, RC_OPT_INT, AT(blocks), 1, 1024, NULL, "N", "Model", "entity: blocks of memory"},
    {"memory", 0, RC_OPT_INT, AT(memory), 0, 100000, NULL, "N", "Model",
     "the last N sentences of a story are remembered; 0 = all"},
    {"noise", 0, RC_OPT_REAL, AT(noise), 0, 1, NULL, "X", "Regularization",
     "memory: share of empty memories put between the others while training"},
    {"linear-start", 0, RC_OPT_REAL, AT(linear_start), 0, 1, NULL, "X", "Optimization",
     "memory: share of the run in which the looks have no softmax"},
    {"layers", 0, RC_OPT_INT, AT(layers), 1, 64, NULL, "N", "Model", "recurrent layers, or blocks"},
    {"hidden", 0, RC_OPT_INT, AT(hidden), 1, 65536, NULL, "N", "Model", "width of each layer"},
    {"embedding", 0, RC_OPT_INT, AT(embedding), 0, 65536, NULL, "N", "Model", "width of the embedding; 0 = as hidden"},
    {"proj", 0, RC_OPT_INT, AT(proj), 0, 65536, NULL, "N", "Model", "lstm-projection: width of h; 0 = half of hidden"},
    {"depth", 0, RC_OPT_INT, AT(depth), 1, 8, NULL, "N", "Model", "rhn: micro-steps per time step"},
    {"tied", 0, RC_OPT_BOOL, AT(tied), 0, 0, NULL, NULL, "Model", "the softmax shares the embedding's matrix"},
    {"skip", 0, RC_OPT_CHOICE, AT(skip), 0, 0, "none residual highway", "KIND", "Model", "connections around layers"},
    {"bias", 0, RC_OPT_BOOL, AT(bias), 0, 0, NULL, NULL, "Model",
     "bias vectors in the recurrent layers"},
    {"learn-initial-state", 0, RC_OPT_BOOL, AT(learn_initial_state), 0, 0, NULL, NULL, "Model",
     "the initial state is a parameter"},
    {"heads", 0, RC_OPT_INT, AT(heads), 0, 65536, NULL, "N", "Model",
     "transformer: heads of attention; 0 = one for each 64 columns"},
    {"kv-heads", 0, RC_OPT_INT, AT(kv_heads), 0, 65536, NULL, "N", "Model",
     "transformer: heads of keys and values, which groups of heads share; 0 = as many"},
    {"ffn", 0, RC_OPT_INT, AT(ffn), 0, 1000000, NULL, "N", "Model",
     "transformer: width of the feed-forward networks; 0 = 4 hidden, with swiglu 8/3 of it"},
    {"context", 0, RC_OPT_INT, AT(context), 0, 65536, NULL, "N", "Model",
     "transformer: steps that a step sees, its own included; 0 = 256 (all of them when bidirectional)"},
    {"positions", 0, RC_OPT_CHOICE, AT(positions), 0, 0, "rotary alibi sinusoidal learned none", "KIND", "Model",
     "transformer: how it knows where a step is"},
    {"norm", 0, RC_OPT_CHOICE, AT(norm), 0, 0, "layer rms", "KIND", "Model", "transformer: LayerNorm or RMSNorm"},
    {"post-norm", 0, RC_OPT_BOOL, AT(post_norm), 0, 0, NULL, NULL, "Model",
     "transformer: norms after what each part adds, not before it"},
    {"activation", 0, RC_OPT_CHOICE, AT(activation), 0, 0, "gelu relu swiglu", "KIND", "Model",
     "transformer: of the feed-forward networks"},
    {"init", 0, RC_OPT_CHOICE, AT(init), 0, 0, "default torch xavier he orthogonal uniform identity", "KIND", "Model",
     "initial weights of the recurrent layers"},
    {"forget-bias", 0, RC_OPT_REAL, AT(forget_bias), -100, 100, NULL, "X", "Model",
     "added to the forget gate's bias at the start"},

    {"dropout", 0, RC_OPT_REAL, AT(dropout), 0, 0.99, NULL, "P", "Regularization",
     "between layers and before the last product (see dropout-output)"},
    {"attention-dropout", 0, RC_OPT_REAL, AT(attention_dropout), 0, 0.99, NULL, "P", "Regularization",
     "transformer: on the weights of attention"},
    {"dropout-input", 0, RC_OPT_REAL, AT(dropout_input), 0, 0.99, NULL, "P", "Regularization", "on the input of the first layer"},
    {"dropout-output", 0, RC_OPT_REAL, AT(dropout_output), -1, 0.99, NULL, "P", "Regularization",
     "before the last product; -1 = as dropout"},
    {"dropout-embedding", 0, RC_OPT_REAL, AT(dropout_embedding), 0, 0.99, NULL, "P", "Regularization",
     "whole rows of the embedding"},
    {"dropout-sequence", 0, RC_OPT_BOOL, AT(dropout_sequence), 0, 0, NULL, NULL, "Regularization",
     "one dropout mask per sequence instead of one per step"},
    {"recurrent-dropout", 0, RC_OPT_REAL, AT(recurrent_dropout), 0, 0.99, NULL, "P", "Regularization",
     "on h before the recurrent product, one mask per sequence"},
    {"zoneout", 0, RC_OPT_REAL, AT(zoneout), 0, 0.99, NULL, "P", "Regularization",
     "units of h that keep their last value"},
    {"zoneout-c", 0, RC_OPT_REAL, AT(zoneout_c), 0, 0.99, NULL, "P", "Regularization",
     "units of c that keep their last value"},
    {"weight-drop", 0, RC_OPT_REAL, AT(weight_drop), 0, 0.99, NULL, "P", "Regularization",
     "on the recurrent weights, one mask per segment"},
    {"label-smoothing", 0, RC_OPT_REAL, AT(label_smoothing), 0, 0.99, NULL, "P", "Regularization",
     "share of each target spread over all answers, while training"},
    {"word-dropout", 0, RC_OPT_REAL, AT(word_dropout), 0, 0.99, NULL, "P", "Regularization",
     "words that become the unknown word, while training"},
    {"scheduled-sampling", 0, RC_OPT_REAL, AT(scheduled_sampling), 0, 1, NULL, "P", "Regularization",
     "share of the target's tokens that are what the model says, rising from 0 to P over the run"},
    {"weight-decay", 0, RC_OPT_REAL, AT(weight_decay), 0, 100, NULL, "X", "Regularization",
     "not on biases, norms and embeddings"},

    {"optimizer", 0, RC_OPT_CHOICE, AT(optimizer), 0, 0, "sgd rmsprop adagrad adam adamw", "NAME", "Optimization",
     "update rule"},
    {"lr", 0, RC_OPT_REAL, AT(lr), 0, 1000, NULL, "X", "Optimization",
     "learning rate; 0 = the optimizer's (adam, adamw 0.002, rmsprop 0.001, adagrad 0.01, sgd 0.5)"},
    {"momentum", 0, RC_OPT_REAL, AT(momentum), 0, 0.9999, NULL, "X", "Optimization", "sgd, rmsprop"},
    {"nesterov", 0, RC_OPT_BOOL, AT(nesterov), 0, 0, NULL, NULL, "Optimization", "sgd: Nesterov's momentum"},
    {"alpha", 0, RC_OPT_REAL, AT(alpha), 0, 0.99999, NULL, "X", "Optimization",
     "rmsprop: memory of the gradient's square"},
    {"beta1", 0, RC_OPT_REAL, AT(beta1), 0, 0.99999, NULL, "X", "Optimization", "adam, adamw: memory of the gradient"},
    {"beta2", 0, RC_OPT_REAL, AT(beta2), 0, 0.9999999, NULL, "X", "Optimization", "adam, adamw: memory of its square"},
    {"eps", 0, RC_OPT_REAL, AT(eps), 0, 1, NULL, "X", "Optimization",
     "added to the denominator of the update; 0 = 1e-8 (adagrad 1e-10)"},
    {"clip", 0, RC_OPT_REAL, AT(clip), 0, 1e9, NULL, "X", "Optimization",
     "largest norm of the whole gradient; 0 = off"},
    {"clip-value", 0, RC_OPT_REAL, AT(clip_value), 0, 1e9, NULL, "X", "Optimization",
     "largest element of the gradient; 0 = off"},
    {"schedule", 0, RC_OPT_CHOICE, AT(schedule), 0, 0,
     "constant step exponential cosine one-cycle inverse-sqrt plateau", "KIND", "Optimization",
     "learning rate over the run"},
    {"warmup", 0, RC_OPT_INT, AT(warmup), 0, BIG, NULL, "N", "Optimization",
     "warm-up steps, at most a tenth of the run"},
    {"schedule-gamma", 0, RC_OPT_REAL, AT(schedule_gamma), 0, 1, NULL, "X", "Optimization",
     "step, plateau: factor of each drop; exponential: of the whole run; 0 = the schedule's (0.5, 0.25, 0.01)"},
    {"schedule-every", 0, RC_OPT_REAL, AT(schedule_every), 1e-6, 1, NULL, "X", "Optimization",
     "step: share of the run between drops"},
    {"schedule-floor", 0, RC_OPT_REAL, AT(schedule_floor), -1, 1, NULL, "X", "Optimization",
     "the factor on the rate never goes below this; -1 = the schedule's (cosine 0.02, others 0)"},
    {"schedule-peak", 0, RC_OPT_REAL, AT(schedule_peak), 0, 1, NULL, "X", "Optimization",
     "one-cycle: share of the run at which the rate is highest"},
    {"schedule-patience", 0, RC_OPT_INT, AT(schedule_patience), 0, 1e6, NULL, "N", "Optimization",
     "plateau: validations without improvement that are let pass before a drop"},
    {"average", 0, RC_OPT_CHOICE, AT(average), 0, 0, "none ema swa", "KIND", "Optimization",
     "average of the weights, used to validate, sample and save"},
    {"average-decay", 0, RC_OPT_REAL, AT(average_decay), 0, 0.9999999, NULL, "X", "Optimization",
     "ema: memory per step"},
    {"batch", 0, RC_OPT_INT, AT(batch), 1, 1000000, NULL, "N", "Optimization", "sequences side by side"},
    {"batch-tokens", 0, RC_OPT_INT, AT(batch_tokens), 0, 1e9, NULL, "N", "Optimization",
     "tokens of a batch: its longest text times how many there are; 0 = no such limit"},
    {"seq-len", 0, RC_OPT_INT, AT(seq_len), 1, 1000000, NULL, "N", "Optimization",
     "steps of back-propagation through time"},
    {"accumulate", 0, RC_OPT_INT, AT(accumulate), 1, 1000000, NULL, "N", "Optimization", "batches per update"},
    {"softmax-samples", 0, RC_OPT_INT, AT(softmax_samples), 0, 1e8, NULL, "N", "Optimization",
     "large vocabularies: train the softmax on N words, the batch's and drawn ones; 0 = on all"},
    {"precision", 0, RC_OPT_CHOICE, AT(precision), 0, 0, "fp32 bf16", "KIND", "Optimization",
     "of the products; sums, states, weights and their updates stay fp32"},
    {"full-bptt", 0, RC_OPT_BOOL, AT(full_bptt), 0, 0, NULL, NULL, "Optimization",
     "each line is one document, its gradient is not truncated"},
    {"no-carry", 0, RC_OPT_BOOL, AT(no_carry), 0, 0, NULL, NULL, "Optimization",
     "each segment starts from the initial state"},

    {"steps", 0, RC_OPT_INT, AT(steps), 0, BIG, NULL, "N", "Budget", "updates; 0 = no limit"},
    {"epochs", 0, RC_OPT_REAL, AT(epochs), 0, 1e9, NULL, "X", "Budget",
     "passes over the data; 0 = no limit (10 without any limit)"},
    {"time", 0, RC_OPT_TIME, AT(time), 0, 1e9, NULL, "TIME", "Budget",
     "wall-clock time of training: 90s, 3m, 2h; schedules end inside it"},
    {"patience", 0, RC_OPT_INT, AT(patience), 0, 1e6, NULL, "N", "Budget",
     "stop after N validations without improvement; 0 = off"},
    {"valid-every", 0, RC_OPT_INT, AT(valid_every), 0, BIG, NULL, "N", "Budget",
     "steps between validations; 0 = about 20 in a run"},
    {"beam", 0, RC_OPT_INT, AT(beam), 1, 1000, NULL, "N", "Budget", "width of the search in the last validation"},
    {"sample-every", 0, RC_OPT_INT, AT(sample_every), 0, BIG, NULL, "N", "Budget",
     "steps between samples; 0 = at each validation"},
    {"sample-length", 0, RC_OPT_INT, AT(sample_length), 0, 1e6, NULL, "N", "Budget",
     "tokens of a sample; 0 = no samples"},
    {"sample-prompt", 0, RC_OPT_STRING, AT(sample_prompt), 0, 0, NULL, "TEXT", "Budget",
     "samples go on from this text"},

    {"out", 'o', RC_OPT_PATH_OUT, AT(out), 0, 0, NULL, "FILE", "Run",
     "model file (default: model.safetensors in the run folder)"},
    {"run", 0, RC_OPT_STRING, AT(run), 0, 0, NULL, "DIR", "Run", "run folder (default: runs/DATE-TIME-NAME)"},
    {"resume", 0, RC_OPT_STRING, AT(resume), 0, 0, NULL, "DIR", "Run", "go on with this run, from its last checkpoint"},
    {"from", 0, RC_OPT_PATH_IN, AT(from), 0, 0, NULL, "MODEL", "Run",
     "begin with this model; its vocabulary and sizes are kept"},
    {"grow-vocab", 0, RC_OPT_BOOL, AT(grow_vocab), 0, 0, NULL, NULL, "Run",
     "fine-tuning: add the characters or words it lacks"},
    {"freeze", 0, RC_OPT_STRING, AT(freeze), 0, 0, NULL, "NAMES", "Run",
     "parameters kept as they are: patterns, comma separated"},
    {"lr-groups", 0, RC_OPT_STRING, AT(lr_groups), 0, 0, NULL, "LIST", "Run",
     "PATTERN=FACTOR,...: other learning rates for some parameters"},
    {"keep", 0, RC_OPT_INT, AT(keep), 1, 1e6, NULL, "N", "Run", "checkpoints kept beside the best model"},
    {"checkpoint-every", 0, RC_OPT_INT, AT(checkpoint_every), 0, BIG, NULL, "N", "Run",
     "steps between checkpoints; 0 = at each validation"},
    {"seed", 0, RC_OPT_INT, AT(seed), 0, BIG, NULL, "N", "Run", "same seed, same result, for any number of threads"},
    {"threads", 0, RC_OPT_INT, AT(threads), 0, 1024, NULL, "N", "Run", "0 = all cores"},
    {"quiet", 0, RC_OPT_BOOL, AT(quiet), 0, 0, NULL, NULL, "Run", "nothing but errors"},
    {"json", 0, RC_OPT_BOOL, AT(json), 0, 0, NULL, NULL, "Run", "one JSON object about the result on standard output"},
};
static const size_t table_len = sizeof table / sizeof *table;

const rc_option *rc_train_option_table(size_t *n) {
    *n = table_len;
    return table;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* Is name among the words of list? */
static bool in_list(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p && (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

/* An option that no task names as its own is for all. */
bool rc_train_option_is_for(const char *option, const char *task) {
    bool special = false;
    for (const rc__task_kind *const *k = rc__task_kinds; *k; k++) {
        if (!in_list((*k)->options, option)) continue;
        if (strcmp((*k)->name, task) == 0) return true;
        special = true;
    }
    return !special;
}

const char *rc_train_tasks(void) {
    static char names[256];
    size_t at = 0;
    if (!names[0]) /* the same bytes whoever comes first */
        for (const rc__task_kind *const *k = rc__task_kinds; *k && at < sizeof names; k++)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? " " : "", (*k)->name);
    return names;
}

rc_status rc_train_options_for(const char *task, rc_train_options *out, rc_error *e) {
    const rc__task_kind *kind = rc__task_find(task);
    if (!kind) return rc_fail(e, RC_EINVAL, "unknown task \"%s\"; tasks: %s", task, rc_train_tasks());
    *out = rc_train_options_default();
    out->task = kind->name;
    if (kind->defaults) kind->defaults(out);
    return RC_OK;
}

double rc_train_default_lr(const char *optimizer) {
    if (!strcmp(optimizer, "sgd")) return 0.5;
    if (!strcmp(optimizer, "rmsprop")) return 1e-3;
    if (!strcmp(optimizer, "adagrad")) return 1e-2;
    return 2e-3;
}

double rc__train_lr(const rc_train_options *o) {
    if (o->lr > 0) return o->lr;
    bool blocks = rc_train_option_is_for("cell", o->task) && !strcmp(o->cell, "transformer");
    return rc_train_default_lr(o->optimizer) * (blocks ? 0.5 : 1);
}

/* ---- presets ----------------------------------------------------------------------------------------------------- */

/* name=value, as on the command line; docs/results.md has what they reach. */
/* Small batches: on a text of 1 MB the number of updates counts for more than the speed of each (measured on tinyshakespeare,
 * 2.9 M tokens, 2 x 256: batch 64 1.607, tied 1.557, with batch 32 1.492, with batch 16 1.465 nats/char). */
static const char *const preset_quick[] = {
    "time=3m",         "cell=lstm",  "layers=2",    "hidden=256",          "tied=true", "dropout=0.2", "optimizer=adamw", "lr=0.004",
    "schedule=cosine", "warmup=100", "average=ema", "average-decay=0.998", "batch=16",  "seq-len=64",  NULL};
static const char *const preset_good[] = {
    "time=20m",        "cell=lstm",  "layers=2",    "hidden=512",          "tied=true", "dropout=0.45", "optimizer=adamw", "lr=0.003",
    "schedule=cosine", "warmup=200", "average=ema", "average-decay=0.999", "batch=32",  "seq-len=64",   NULL};
static const struct {
    const char *name;
    const char *const *values;
} presets[] = {{"quick", preset_quick}, {"good", preset_good}};

static bool named(const char *const *set, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(set[i], name)) return true;
    return false;
}

/* Values that must outlive the options are in the tables above: a value is the tail of its string. */
rc_status rc_train_apply_preset(rc_train_options *o, const char *const *set, size_t n, rc_error *e) {
    if (!o->preset || !*o->preset) return RC_OK;
    for (size_t p = 0; p < sizeof presets / sizeof *presets; p++) {
        if (strcmp(presets[p].name, o->preset) != 0) continue;
        /* A budget of the user's replaces the preset's: --preset good --steps 100 is 100 steps. */
        bool budget = named(set, n, "steps") || named(set, n, "epochs") || named(set, n, "time");
        for (const char *const *v = presets[p].values; *v; v++) {
            const char *equals = strchr(*v, '=');
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)(equals - *v), *v);
            if (named(set, n, name) || (budget && !strcmp(name, "time"))) continue;
            rc_status s = rc_option_set(rc_option_find(table, table_len, name), o, equals + 1, name, e);
            if (s != RC_OK) return s;
        }
        return RC_OK;
    }
    return rc_fail(e, RC_EINVAL, "preset: expected quick or good, found \"%s\"", o->preset);
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

struct rc_train_config {
    rc_train_options options;
    bool *has;
    const char **files;
    json_t *root; /* strings of the options live in here */
};

json_t *rc__train_option_json(const rc_option *o, const rc_train_options *options) {
    const char *at = (const char *)options + o->offset;
    switch (o->type) {
    case RC_OPT_BOOL: return json_boolean(*(const bool *)at);
    case RC_OPT_INT: return json_integer(*(const int64_t *)at);
    case RC_OPT_REAL:
    case RC_OPT_TIME: return json_real(*(const double *)at);
    default: {
        const char *s = *(const char *const *)at;
        return s ? json_string(s) : json_null();
    }
    }
}

json_t *rc__train_config_json(const rc_train_options *o) {
    json_t *root = json_object(), *files = json_array();
    bool ok = root && files;
    ok = ok && !json_object_set_new(root, "recur", json_string(RC_VERSION));
    ok = ok && !json_object_set_new(root, "task", json_string(o->task));
    for (size_t i = 0; ok && i < o->n_files; i++) ok = !json_array_append_new(files, json_string(o->files[i]));
    ok = ok && !json_object_set(root, "files", files);
    for (size_t i = 0; ok && i < table_len; i++)
        ok = !json_object_set_new(root, table[i].name, rc__train_option_json(&table[i], o));
    json_decref(files);
    if (ok) return root;
    json_decref(root);
    return NULL;
}

rc_status rc_train_config_write(const rc_train_options *o, const char *path, rc_error *e) {
    for (size_t i = 0; i < o->n_files; i++) {
        json_t *s = json_string(o->files[i]);
        if (!s) return rc_fail(e, RC_EINVAL, "%s: the name of file %zu is not UTF-8", path, i + 1);
        json_decref(s);
    }
    json_t *root = rc__train_config_json(o);
    if (!root) return rc_fail(e, RC_ENOMEM, "%s: out of memory, or an option is not UTF-8", path);
    rc_status s = rc__json_write(root, path, e);
    json_decref(root);
    return s;
}

/* One member into its field. Numbers go through rc_option_set so that limits hold here too. */
static rc_status take_value(rc_train_config *c, const rc_option *o, const json_t *v, const char *path, rc_error *e) {
    char where[600], text[64];
    snprintf(where, sizeof where, "%s: \"%s\"", path, o->name);
    char *at = (char *)&c->options + o->offset;
    bool is_string = o->type >= RC_OPT_STRING;
    if (is_string && json_is_null(v)) return *(const char **)at = NULL, RC_OK;
    if (is_string && json_is_string(v)) {
        const char *s = json_string_value(v);
        /* Paths are checked when they are used: a finished run's model or text may be gone. */
        if (o->type == RC_OPT_CHOICE && *s) return rc_option_set(o, &c->options, s, where, e);
        return *(const char **)at = s, RC_OK;
    }
    if (o->type == RC_OPT_BOOL && json_is_boolean(v)) return *(bool *)at = json_is_true(v), RC_OK;
    if (o->type == RC_OPT_INT && json_is_integer(v)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
        return rc_option_set(o, &c->options, text, where, e);
    }
    if ((o->type == RC_OPT_REAL || o->type == RC_OPT_TIME) && json_is_number(v)) {
        double x = json_number_value(v);
        if ((o->min != 0 || o->max != 0) && !(x >= o->min && x <= o->max))
            return rc_fail(e, RC_EINVAL, "%s: expected %g to %g, found %g", where, o->min, o->max, x);
        return *(double *)at = x + 0.0, RC_OK; /* -0.0, which no command line gives, becomes 0 */
    }
    if (json_is_string(v)) return rc_option_set(o, &c->options, json_string_value(v), where, e); /* "time": "3m" */
    return rc_fail(e, RC_EINVAL, "%s: expected %s, found another type", where,
                   is_string                ? "a string"
                   : o->type == RC_OPT_BOOL ? "true or false"
                                            : "a number");
}

static rc_status take_files(rc_train_config *c, const json_t *v, const char *path, rc_error *e) {
    size_t n = json_array_size(v);
    if (!json_is_array(v)) return rc_fail(e, RC_EINVAL, "%s: \"files\": expected an array of strings", path);
    c->files = rc__calloc(n + 1, sizeof *c->files);
    if (!c->files) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    c->options.files = c->files;
    c->options.n_files = n;
    for (size_t i = 0; i < n; i++) {
        c->files[i] = json_string_value(json_array_get(v, i));
        if (!c->files[i]) return rc_fail(e, RC_EINVAL, "%s: \"files\": entry %zu is no string", path, i + 1);
    }
    return RC_OK;
}

rc_status rc_train_config_read(rc_train_config **out, const char *path, rc_error *e) {
    *out = NULL;
    rc_train_config *c = rc__calloc(1, sizeof *c);
    if (!c) return rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    rc_status s = RC_OK;
    c->has = rc__calloc(table_len, sizeof *c->has);
    if (!c->has) s = rc_fail(e, RC_ENOMEM, "%s: out of memory", path);
    if (s == RC_OK) s = rc__json_read(path, 1 << 20, &c->root, e);
    if (s == RC_OK && !json_is_object(c->root))
        s = rc_fail(e, RC_EINVAL, "%s: expected a JSON object of options", path);
    const char *task = "lm";
    if (s == RC_OK && json_object_get(c->root, "task")) {
        task = json_string_value(json_object_get(c->root, "task"));
        if (!task || !rc__task_find(task))
            s = rc_fail(e, RC_EINVAL, "%s: \"task\": expected one of %s, found \"%.60s\"", path, rc_train_tasks(),
                        task ? task : "another type");
    }
    if (s == RC_OK) {
        const char *const *files = c->options.files;
        s = rc_train_options_for(task, &c->options, e);
        c->options.files = files;
    }
    const char *key;
    json_t *v;
    if (s == RC_OK) json_object_foreach(c->root, key, v) {
            if (!strcmp(key, "recur") || !strcmp(key, "task")) continue;
            const rc_option *o = rc_option_find(table, table_len, key);
            if (!strcmp(key, "files")) {
                s = take_files(c, v, path, e);
            } else if (!o) {
                const char *near = rc_option_suggest(table, table_len, key);
                s = rc_fail(e, RC_EINVAL, "%s: unknown option \"%s\"%s%s%s", path, key, near ? "; did you mean \"" : "",
                            near ? near : "", near ? "\"?" : "");
            } else {
                s = take_value(c, o, v, path, e);
                c->has[o - table] = true;
            }
            if (s != RC_OK) break;
        }
    if (s != RC_OK) return rc_train_config_free(c), s;
    *out = c;
    return RC_OK;
}

const rc_train_options *rc_train_config_options(const rc_train_config *c) { return &c->options; }

bool rc_train_config_has(const rc_train_config *c, const char *name) {
    const rc_option *o = rc_option_find(table, table_len, name);
    return o && c->has[o - table];
}

void rc_train_config_free(rc_train_config *c) {
    if (!c) return;
    if (c->files) rc__free(c->files, (c->options.n_files + 1) * sizeof *c->files);
    rc__free(c->has, table_len * sizeof *c->has);
    json_decref(c->root);
    rc__free(c, sizeof *c);
}

/* ---- resuming ---------------------------------------------------------------------------------------------------- */

/* What may change without making the rest of the run another one. */
static bool may_change(const char *name) {
    static const char *const free_to[] = {
        "steps",         "epochs", "time", "patience",         "valid-every", "sample-every", "sample-length",
        "sample-prompt", "out",    "keep", "checkpoint-every", "threads",     "quiet",        "json"};
    return named(free_to, sizeof free_to / sizeof *free_to, name);
}

static bool same_value(const rc_option *o, const rc_train_options *a, const rc_train_options *b) {
    const char *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;
    switch (o->type) {
    case RC_OPT_BOOL: return *(const bool *)x == *(const bool *)y;
    case RC_OPT_INT: return *(const int64_t *)x == *(const int64_t *)y;
    case RC_OPT_REAL:
    case RC_OPT_TIME: return *(const double *)x == *(const double *)y;
    default: {
        const char *s = *(const char *const *)x, *t = *(const char *const *)y;
        return s && t ? !strcmp(s, t) : (!s || !*s) && (!t || !*t);
    }
    }
}

static bool asked_for(const rc_option *o, const rc_train_options *given, const rc_train_options *plain) {
    return !same_value(o, given, plain) || (given->given && named(given->given, given->n_given, o->name));
}

rc_status rc__train_merge_resume(rc_train_options *config, const rc_train_options *given, rc_error *e) {
    rc_train_options plain;
    rc_status s = rc_train_options_for(config->task, &plain, e);
    if (s != RC_OK) return s;
    if (strcmp(given->task, config->task) != 0)
        return rc_fail(e, RC_EINVAL, "%s: is a run of task %s, not of %s", given->resume, config->task, given->task);
    for (size_t i = 0; i < table_len; i++) {
        const rc_option *o = &table[i];
        if (!strcmp(o->name, "resume") || !asked_for(o, given, &plain)) continue;
        if (!may_change(o->name)) {
            if (same_value(o, given, config) || !strcmp(o->name, "run")) continue;
            return rc_fail(e, RC_EINVAL,
                           "%s: --%s cannot change when a run goes on; leave it out, or start another run",
                           given->resume, o->name);
        }
        size_t size = o->type == RC_OPT_BOOL                             ? sizeof(bool)
                      : o->type == RC_OPT_INT                            ? sizeof(int64_t)
                      : o->type == RC_OPT_REAL || o->type == RC_OPT_TIME ? sizeof(double)
                                                                         : sizeof(char *);
        memcpy((char *)config + o->offset, (const char *)given + o->offset, size);
    }
    bool same_files = given->n_files == config->n_files;
    for (size_t i = 0; same_files && i < given->n_files; i++) same_files = !strcmp(given->files[i], config->files[i]);
    if (given->n_files > 0 && !same_files)
        return rc_fail(
            e, RC_EINVAL,
            "%s: the text cannot change when a run goes on; leave the files out, or start another run with --from",
            given->resume);
    config->resume = given->resume;
    config->run = given->resume;
    return RC_OK;
}
