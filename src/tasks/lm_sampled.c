/* lm_sampled.c - training a large softmax on a part of the vocabulary (Jean et al. 2015, arXiv:1412.2007, section 3).
 *
 * A step's softmax runs over a set S: the targets of the batch, and draws from q until S has `samples` members (a fixed
 * size: products of ever new shapes would each be compiled anew; a multiple of it where the targets alone would fill
 * it). q_j is proportional to count_j^0.75 (Mikolov et al. 2013). Given S, the target is j with probability
 * proportional to p_j P(S | j), and since j is in S for sure when it is the target, P(S | j) is a constant over P(j in
 * S). So cross-entropy over S of the logits minus log P(j in S) has its optimum where the full one has (its value is
 * another). P(j in S) = 1 - (1 - u_j)^n (1 - q_j)^d after d draws, for n targets that are taken as draws from the
 * unigram u. Validation, evaluation and the model file know nothing of this.
 */
#include <math.h>
#include <string.h>
#include "autograd/tape_internal.h"
#include "tasks/lm.h"

struct rc__lm_sampling {
    size_t V, samples;
    double *sum;                    /* (V) running sum of q */
    float *log_miss_u, *log_miss_q; /* (V) log(1 - u), log(1 - q) */
};

void rc__lm_sampling_free(rc__lm_sampling *s) {
    if (!s) return;
    rc__free(s->sum, s->V * sizeof *s->sum);
    rc__free(s->log_miss_u, s->V * sizeof *s->log_miss_u);
    rc__free(s->log_miss_q, s->V * sizeof *s->log_miss_q);
    rc__free(s, sizeof *s);
}

rc_status rc_lm_sample_softmax(rc_lm *m, size_t samples, const int32_t *ids, size_t n, rc_error *e) {
    if (!samples) {
        rc__lm_sampling_free(m->sampling);
        m->sampling = NULL;
        return rc_param_set_sparse(m->head, false, e);
    }
    size_t V = m->vocab_size;
    rc__lm_sampling *s = rc__calloc(1, sizeof *s);
    if (s) {
        s->V = V;
        s->samples = samples;
        s->sum = rc__calloc(V, sizeof *s->sum);
        s->log_miss_u = rc__calloc(V, sizeof *s->log_miss_u);
        s->log_miss_q = rc__calloc(V, sizeof *s->log_miss_q);
    }
    if (!s || !s->sum || !s->log_miss_u || !s->log_miss_q) {
        rc__lm_sampling_free(s);
        return rc_fail(e, RC_ENOMEM, "sampled softmax: out of memory for %zu words", V);
    }
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= 0 && (size_t)ids[i] < V) s->sum[ids[i]] += 1;
    double all = 0, all_q = 0;
    for (size_t j = 0; j < V; j++) {
        if (s->sum[j] == 0) s->sum[j] = 0.5; /* a word that the text lacks can still be drawn */
        all += s->sum[j];
        all_q += pow(s->sum[j], 0.75);
    }
    double total = 0;
    for (size_t j = 0; j < V; j++) {
        double u = s->sum[j] / all, q = pow(s->sum[j], 0.75) / all_q;
        s->log_miss_u[j] = (float)log1p(-u);
        s->log_miss_q[j] = (float)log1p(-q);
        total += q;
        s->sum[j] = total;
    }
    rc_status status = rc_param_set_sparse(m->head, true, e); /* every use of it is now a gather */
    if (status != RC_OK) {
        rc__lm_sampling_free(s);
        return status;
    }
    rc__lm_sampling_free(m->sampling);
    m->sampling = s;
    return RC_OK;
}

static size_t draw(const rc__lm_sampling *s, rc_rng *rng) {
    double x = rc_rng_uniform(rng) * s->sum[s->V - 1];
    size_t lo = 0, hi = s->V - 1;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->sum[mid] > x)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

rc_var *rc__lm_sampled_loss(rc_tape *t, const rc_lm *m, rc_var *h, const int32_t *targets, size_t n, double *nll_sum,
                            size_t *count) {
    const rc__lm_sampling *s = m->sampling;
    size_t members = 0, scored = 0, draws = 0;
    int32_t *slot = rc__tape_alloc(t, s->V * sizeof *slot), *set = rc__tape_alloc(t, s->V * sizeof *set);
    int32_t *mapped = rc__tape_alloc(t, n * sizeof *mapped);
    rc_real *correction = rc__tape_alloc(t, s->V * sizeof *correction);
    if (!slot || !set || !mapped || !correction) return rc__dead(t);
    memset(slot, -1, s->V * sizeof *slot);
    for (size_t i = 0; i < n; i++) {
        mapped[i] = targets[i];
        if (targets[i] == -100) continue; /* not scored */
        if (targets[i] < 0 || (size_t)targets[i] >= s->V)
            return rc__op_fail(t, RC_EDATA, "sampled softmax", "target %zu is %d, expected 0 to %zu", i,
                               (int)targets[i], s->V - 1);
        if (slot[targets[i]] < 0) {
            slot[targets[i]] = (int32_t)members;
            set[members++] = targets[i];
        }
        mapped[i] = slot[targets[i]];
        scored++;
    }
    size_t size = s->samples;
    while (size < members + s->samples / 4) size += s->samples; /* many targets: still some that are none */
    rc_rng rng = rc__tape_rng(t);
    if (size > s->V / 2) { /* the rest would take long to draw: the whole vocabulary */
        for (size_t j = 0; j < s->V; j++)
            if (slot[j] < 0) {
                slot[j] = (int32_t)members;
                set[members++] = (int32_t)j;
            }
        memset(correction, 0, members * sizeof *correction);
    } else {
        for (; members < size; draws++) {
            size_t j = draw(s, &rng);
            if (slot[j] >= 0) continue;
            slot[j] = (int32_t)members;
            set[members++] = (int32_t)j;
        }
        for (size_t k = 0; k < members; k++) {
            double u = (double)s->log_miss_u[set[k]], q = (double)s->log_miss_q[set[k]];
            double miss = (double)scored * u + (double)draws * q; /* log(1 - P(set[k] in S)) */
            correction[k] = (rc_real)-log(-expm1(miss));
        }
    }
    size_t column[2] = {s->V, 1};
    rc_var *w = rc_embedding(t, set, 1, &members, rc_param_var(t, m->head));
    rc_var *bias = rc_embedding(t, set, 1, &members, rc_reshape(t, rc_param_var(t, m->bias), 2, column));
    bias = rc_add(t, rc_reshape(t, bias, 1, &members), rc_input(t, 1, &members, correction));
    return rc_linear_cross_entropy(t, h, w, bias, mapped, NULL, nll_sum, count);
}
