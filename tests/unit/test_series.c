/* Sets of series: layouts, roles of columns, gaps and missing values, joining, schemas as JSON, the calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/json.h"
#include "data/series.h"
#include "data_file.h"
#include "failing.h"

static rc__series *read_with(const char *text, const rc__series_options *o, const rc__schema *schema) {
    rc__series *s;
    rc_error e = {0};
    rc__series_options none = {0};
    if (rc__series_read(&s, data_put(text, ".csv"), o ? o : &none, schema, false, &e) != RC_OK) fail_msg("%s", e.text);
    data_drop();
    return s;
}

static void refused(const char *text, const rc__series_options *o, const char *word) {
    rc__series *s;
    rc_error e = {0};
    assert_int_not_equal(rc__series_read(&s, data_put(text, ".csv"), o, NULL, false, &e), RC_OK);
    assert_null(s);
    if (!strstr(e.text, word)) fail_msg("expected \"%s\" in \"%s\"", word, e.text);
    data_drop();
}

static void same(const double *x, size_t n, const double *want) {
    for (size_t i = 0; i < n; i++)
        if (x[i] != want[i] && !(isnan(x[i]) && isnan(want[i])))
            fail_msg("%zu: expected %g, found %g", i, want[i], x[i]);
}

static void wide(void **state) {
    (void)state;
    /* 03:00 is left out, NA is missing, 0 is a zero */
    rc__series *s = read_with("date,a,b\n2020-01-01 00:00,1,5\n2020-01-01 01:00,0,NA\n2020-01-01 02:00,3,\n"
                              "2020-01-01 04:00,4,8\n",
                              NULL, NULL);
    assert_int_equal(s->n_groups, 1);
    assert_int_equal(s->schema->n_targets, 2);
    assert_string_equal(s->schema->target[1], "b");
    assert_int_equal(s->group[0].n, 5);
    assert_int_equal(s->missing, 4);
    assert_int_equal(s->gaps, 1);
    same(rc__series_y(s, 0, 0), 5, (double[]){1, 0, 3, NAN, 4});
    same(rc__series_y(s, 0, 1), 5, (double[]){5, NAN, NAN, NAN, 8});
    char buf[64];
    assert_string_equal(rc__series_time(s, 0, 5, buf), "2020-01-01 05:00");
    rc__series_free(s);
    s = read_with("1,2\n3,4\n", NULL, NULL); /* neither names nor time */
    assert_int_equal(s->schema->n_targets, 2);
    assert_false(s->schema->has_time);
    assert_string_equal(rc__series_time(s, 0, 2, buf), "3");
    rc__series_free(s);
}

static void rows_of_series(void **state) {
    (void)state;
    rc__series *s = read_with("id,V1,V2,V3\nH1,1,2,3\nH2,7,,\nH3,4,NA,6\n", NULL, NULL);
    assert_int_equal(s->n_groups, 3);
    assert_int_equal(s->group[1].n, 1); /* padding is no missing value */
    same(rc__series_y(s, 2, 0), 3, (double[]){4, NAN, 6});
    assert_string_equal(s->group[2].id, "H3");
    rc__series_free(s);
}

static const char long_text[] = "shop,day,kind,promo,temp,y\n"
                                "a,2020-01-01,big,0,20,1\nb,2020-01-03,small,1,,10\na,2020-01-02,big,1,21,2\n"
                                "a,2020-01-03,big,0,22,3\na,2020-01-04,big,1,,\nb,2020-01-04,small,0,5,11\n"
                                "b,2020-01-05,small,1,,\n";
static const rc__series_options long_options = {
    .id = "shop", .target = "y", .known = "promo", .observed = "temp", .fixed = "kind"};

static void long_table(void **state) {
    (void)state;
    rc__series *s = read_with(long_text, &long_options, NULL);
    assert_int_equal(s->n_groups, 2);
    const rc__group *a = &s->group[0], *b = &s->group[1];
    assert_int_equal(a->n, 3);
    assert_int_equal(a->ahead, 1); /* a row without a target tells of the future */
    assert_int_equal(b->n, 2);
    same(rc__series_y(s, 1, 0), 2, (double[]){10, 11});
    assert_int_equal(s->schema->n_varying, 2);
    same(a->x, 8, (double[]){0, 20, 1, 21, 0, 22, 1, NAN});
    assert_int_equal(s->schema->n_fixed, 2); /* big, small */
    same(a->fixed, 2, (double[]){1, 0});
    same(b->fixed, 2, (double[]){0, 1});
    /* the same columns in another file: an unknown category is none of them */
    rc__series *t = read_with("y,temp,promo,kind,day,shop\n5,1,0,huge,2020-02-01,c\n", NULL, s->schema);
    same(t->group[0].fixed, 2, (double[]){0, 0});
    same(t->group[0].x, 2, (double[]){0, 1});
    rc__series_free(t);
    rc__series_free(s);
}

static void refuses(void **state) {
    (void)state;
    rc__series_options none = {0}, id = {.id = "id"}, fixed = {.id = "id", .target = "y", .fixed = "k"};
    refused("date,y\n2020-01-02,1\n2020-01-01,2\n2020-01-03,2\n", &none, "line 3");
    refused("date,y\n2020-01-01,1\n2020-01-01,2\n2020-01-02,2\n", &none, "line 3");
    refused("date,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,x\n", &none, "no column of numbers");
    refused("date,y\n2020-01-01,1\n2020-01-02,2\n9020-01-03,3\n", &none, "line 4");
    refused("id,y\na,1\n,2\n", &id, "line 3: no id");
    refused("id,k,y\na,1,1\na,2,2\n", &fixed, "line 3: \"k\" is fixed");
    refused("a,b\n1,2\n", &(rc__series_options){.target = "c"}, "\"c\"");
    refused("a,b\n1,2\n", &(rc__series_options){.target = "a", .known = "a"}, "two roles");
}

static void joins(void **state) {
    (void)state;
    rc__series *a = read_with(long_text, &long_options, NULL), *s;
    rc__series *b =
        read_with("shop,day,kind,promo,temp,y\na,2020-01-06,big,1,9,6\nc,2020-01-06,big,1,9,1\n", NULL, a->schema);
    assert_int_equal(rc__series_join(&s, a, b, false, NULL), RC_OK);
    assert_int_equal(s->n_groups, 2);
    same(rc__series_y(s, 0, 0), 6, (double[]){1, 2, 3, NAN, NAN, 6});
    assert_int_equal(s->group[0].first, 5);
    assert_true(s->group[0].x[3 * 2] == 1); /* what was known ahead stays known */
    assert_int_equal(s->group[1].first, 0);
    rc__series_free(s);
    assert_int_equal(rc__series_join(&s, a, b, true, NULL), RC_OK);
    assert_int_equal(s->n_groups, 3);
    assert_string_equal(s->group[0].id, "b");
    rc__series_free(s);
    rc__series_free(b);
    rc__series_free(a);
    a = read_with("Month,y\n1999-11,1\n1999-12,2\n", NULL, NULL); /* months have no equal length */
    b = read_with("Month,y\n2000-01,3\n2000-02,4\n", NULL, a->schema);
    assert_int_equal(rc__series_join(&s, a, b, false, NULL), RC_OK);
    same(rc__series_y(s, 0, 0), 4, (double[]){1, 2, 3, 4});
    assert_int_equal(s->group[0].first, 2);
    rc__series_free(s);
    rc__series_free(b);
    b = read_with("Month,y\n1999-12,7\n2000-01,3\n", NULL,
                  a->schema); /* tells of a step again: it wins, but is not new */
    assert_int_equal(rc__series_join(&s, a, b, false, NULL), RC_OK);
    same(rc__series_y(s, 0, 0), 3, (double[]){1, 7, 3});
    assert_int_equal(s->group[0].first, 2);
    rc__series_free(s);
    rc_error e;
    assert_int_equal(rc__series_join(&s, b, a, false, &e), RC_EDATA); /* before the history */
    rc__series_free(b);
    rc__series_free(a);
}

static void schema_as_json(void **state) {
    (void)state;
    rc__series *s = read_with(long_text, &long_options, NULL);
    json_t *j = rc__schema_json(s->schema), *again;
    rc__schema *t;
    assert_int_equal(rc__schema_read(&t, j, "here", NULL), RC_OK);
    again = rc__schema_json(t);
    assert_true(json_equal(j, again));
    rc__schema_free(t);
    json_decref(again);
    rc_error e;
    json_object_set_new(json_array_get(json_object_get(j, "covariates"), 0), "role", json_string("king"));
    assert_int_equal(rc__schema_read(&t, j, "here", &e), RC_EMODEL);
    assert_non_null(strstr(e.text, "king"));
    assert_null(t);
    json_decref(j);
    rc__series_free(s);
}

static void calendar(void **state) {
    (void)state;
    rc__series *s =
        read_with("date,y\n2020-01-06 00:00,1\n2020-01-06 06:00,2\n2020-01-06 12:00,2\n", NULL, NULL); /* a Monday */
    double x[RC_CALENDAR_MAX];
    assert_int_equal(rc__calendar_features(s->schema, s->group[0].start + 6 * 3600, x), 4); /* hour, day of the week */
    assert_true(fabs(x[0] - 1) < 1e-12 && fabs(x[1]) < 1e-12);
    assert_true(fabs(x[2] - sin(2 * acos(-1) / 28)) < 1e-12);
    rc__series_free(s);
}

/* Allocation number n fails, for every n: a status, nothing left behind. */
static void out_of_memory(void **state) {
    (void)state;
    failing f = {.left = -1};
    const char *path = data_put(long_text, ".csv");
    rc_set_allocator(failing_alloc, &f);
    size_t before = rc_memory_used();
    rc_status st = RC_ENOMEM;
    for (long n = 0; st != RC_OK && n < 2000; n++) {
        rc__series *s;
        f = (failing){.left = n};
        st = rc__series_read(&s, path, &long_options, NULL, false, NULL);
        if (st == RC_OK)
            rc__series_free(s);
        else
            assert_int_equal(st, RC_ENOMEM);
        assert_int_equal(rc_memory_used(), before);
    }
    rc_set_allocator(NULL, NULL);
    assert_int_equal(st, RC_OK);
    data_drop();
}

static void real_files(void **state) {
    (void)state;
    const char *path = data_real("m4-hourly/Hourly-train.csv.gz");
    if (!path) return;
    rc__series *s;
    rc__series_options none = {0};
    assert_int_equal(rc__series_read(&s, path, &none, NULL, false, NULL), RC_OK);
    assert_int_equal(s->n_groups, 414);
    assert_int_equal(s->missing, 0);
    rc__series_free(s);
    path = data_real("etth1/ETTh1.csv.gz");
    assert_int_equal(rc__series_read(&s, path, &none, NULL, false, NULL), RC_OK);
    assert_int_equal(s->group[0].n, 17420);
    assert_int_equal(s->schema->n_targets, 7);
    assert_int_equal(s->gaps, 0);
    rc__series_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide),     cmocka_unit_test(rows_of_series), cmocka_unit_test(long_table),
        cmocka_unit_test(refuses),  cmocka_unit_test(joins),          cmocka_unit_test(schema_as_json),
        cmocka_unit_test(calendar), cmocka_unit_test(out_of_memory),  cmocka_unit_test(real_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
