/* Strings: compared, put together, cut, converted, and looked up. What is new lies in the pool of the thread that makes it; what is a part
 * of another string lies in that. */
#ifndef DLC_TEXT_H
#define DLC_TEXT_H

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dlc_base.h"
#include "dlc_model.h"
#include "dlc_pool.h"

/* -- made and compared --------------------------------------------------------------------------------------------------- */
/* The string of `size` bytes that `*memory` is room for; an empty one where there is no memory. */
DLC_INLINE dlc_string dlc_new_string(dlc_team *team, int64_t size, char **memory)
{
    *memory = dlc_pool_take(team->pool, size);
    return (dlc_string){*memory ? *memory : "", *memory ? size : 0};
}

DLC_INLINE void dlc_text_failed(dlc_team *team, const char *what)
{
    team->pool->failure = what;
    team->pool->status = DLC_ERROR_ARGUMENT;
}

/* String i is bytes offsets[i] to offsets[i + 1]. */
DLC_INLINE void dlc_make_strings(int64_t n, const int64_t *offsets, const uint8_t *bytes, dlc_string *result)
{
    for (int64_t i = 0; i < n; ++i)
        result[i] = (dlc_string){(const char *)bytes + offsets[i], offsets[i + 1] - offsets[i]};
}

/* < 0, 0 or > 0 as a comes before b, in the order of their bytes: UTF-8 keeps that of the code points. */
DLC_INLINE int dlc_compare_str(dlc_string a, dlc_string b)
{
    const int64_t common = dlc_min(a.size, b.size);
    const int order = common ? memcmp(a.data, b.data, (size_t)common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

DLC_INLINE int dlc_eq_str(dlc_string a, dlc_string b) { return a.size == b.size && (!a.size || !memcmp(a.data, b.data, (size_t)a.size)); }
DLC_INLINE int dlc_ne_str(dlc_string a, dlc_string b) { return !dlc_eq_str(a, b); }

DLC_NOINLINE dlc_string dlc_string_concat_str(dlc_team *team, dlc_string a, dlc_string b)
{
    if (!a.size || !b.size)
        return a.size ? a : b;
    char *memory;
    const dlc_string result = dlc_new_string(team, a.size + b.size, &memory);
    if (memory) {
        memcpy(memory, a.data, (size_t)a.size);
        memcpy(memory + a.size, b.data, (size_t)b.size);
    }
    return result;
}

/* -- numbers ------------------------------------------------------------------------------------------------------------- */
DLC_NOINLINE dlc_string dlc_copied(dlc_team *team, const char *text, int64_t size)
{
    char *memory;
    const dlc_string result = dlc_new_string(team, size, &memory);
    if (memory)
        memcpy(memory, text, (size_t)size);
    return result;
}

DLC_NOINLINE dlc_string dlc_text_of_digits(dlc_team *team, int negative, uint64_t magnitude)
{
    char text[24], *const end = text + sizeof text, *first = end;
    do
        *--first = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative)
        *--first = '-';
    return dlc_copied(team, first, end - first);
}

DLC_INLINE dlc_string dlc_cast_i64_str(dlc_team *team, int64_t x) { return dlc_text_of_digits(team, x < 0, x < 0 ? -(uint64_t)x : (uint64_t)x); }
DLC_INLINE dlc_string dlc_cast_u64_str(dlc_team *team, uint64_t x) { return dlc_text_of_digits(team, 0, x); }
DLC_INLINE dlc_string dlc_cast_bool_str(dlc_team *team, int x) { return (void)team, x ? (dlc_string){"True", 4} : (dlc_string){"False", 5}; }

/* The number that a text begins with, and where it ends. */
DLC_INLINE double dlc_parsed(const char *text, char **end)
{
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the program's own may write decimals with a comma */
    const locale_t before = c ? uselocale(c) : c;
    const double value = strtod(text, end);
    if (c) {
        uselocale(before);
        freelocale(c);
    }
    return value;
}

/* The fewest digits that read back as x (as a float where `single`), written as Python and NumPy do: 0.1, 1.0, 1e-05, 1.5e+20, nan, inf. */
DLC_NOINLINE dlc_string dlc_text_of_float(dlc_team *team, double x, int single)
{
    if (isnan(x))
        return (dlc_string){"nan", 3};
    if (isinf(x))
        return x > 0 ? (dlc_string){"inf", 3} : (dlc_string){"-inf", 4};
    char digits[40], text[48], *out = text;
    int exponent = 0, count = 0;
    for (int precision = 0; precision < 17; ++precision) {
        snprintf(digits, sizeof digits, "%.*e", precision, fabs(x));
        if (precision)
            digits[1] = '.'; /* whatever the locale has there */
        const double back = dlc_parsed(digits, NULL);
        if (single ? (float)back == (float)fabs(x) : back == fabs(x))
            break;
    }
    exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    for (const char *from = digits; *from != 'e'; ++from)
        if (*from != '.')
            digits[count++] = *from;
    if (signbit(x))
        *out++ = '-';
    if (exponent < -4 || exponent >= 16) {
        *out++ = digits[0];
        if (count > 1) {
            *out++ = '.';
            memcpy(out, digits + 1, (size_t)(count - 1));
            out += count - 1;
        }
        out += snprintf(out, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return dlc_copied(team, text, out - text);
    }
    if (exponent < 0) {
        memcpy(out, "0.0000", (size_t)(1 - exponent));
        out += 1 - exponent;
    }
    for (int i = 0; i < count || i < exponent + 1; ++i) {
        if (exponent >= 0 && i == exponent + 1)
            *out++ = '.';
        *out++ = i < count ? digits[i] : '0';
    }
    if (exponent >= 0 && count <= exponent + 1) {
        *out++ = '.';
        *out++ = '0';
    }
    return dlc_copied(team, text, out - text);
}

DLC_INLINE dlc_string dlc_cast_f32_str(dlc_team *team, float x) { return dlc_text_of_float(team, x, 1); }
DLC_INLINE dlc_string dlc_cast_f64_str(dlc_team *team, double x) { return dlc_text_of_float(team, x, 0); }

/* The string between white space. */
DLC_INLINE dlc_string dlc_trimmed(dlc_string x)
{
    while (x.size && (x.data[0] == ' ' || (x.data[0] >= '\t' && x.data[0] <= '\r')))
        ++x.data, --x.size;
    while (x.size && (x.data[x.size - 1] == ' ' || (x.data[x.size - 1] >= '\t' && x.data[x.size - 1] <= '\r')))
        --x.size;
    return x;
}

/* A decimal number, plain or with an exponent, or inf, infinity, nan in any case. */
DLC_NOINLINE double dlc_cast_str_f64(dlc_team *team, dlc_string x)
{
    char text[512], *end;
    x = dlc_trimmed(x);
    int64_t size = 0;
    for (; size < x.size && size < (int64_t)sizeof text - 1 && x.data[size] && !strchr("xX(pP", x.data[size]); ++size)
        text[size] = x.data[size];
    text[size] = 0;
    const double value = dlc_parsed(text, &end);
    if (!size || size < x.size || end != text + size) {
        dlc_text_failed(team, "a string that is cast to a number is none");
        return 0;
    }
    return value;
}

/* A decimal integer. One of more than 64 bits is no number here. */
DLC_NOINLINE uint64_t dlc_digits_of(dlc_team *team, dlc_string x, int is_signed)
{
    x = dlc_trimmed(x);
    const int sign = x.size && (x.data[0] == '-' || x.data[0] == '+'), negative = sign && x.data[0] == '-';
    uint64_t value = 0;
    int64_t i = sign;
    for (; i < x.size && x.data[i] >= '0' && x.data[i] <= '9'; ++i)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(x.data[i] - '0'), &value))
            break;
    if (i < x.size || i == sign || (is_signed && value > (uint64_t)INT64_MAX + (uint64_t)negative)) {
        dlc_text_failed(team, "a string that is cast to an integer is none, or too large a one");
        return 0;
    }
    return negative ? -value : value;
}

DLC_INLINE int64_t dlc_cast_str_i64(dlc_team *team, dlc_string x) { return (int64_t)dlc_digits_of(team, x, 1); }
DLC_INLINE int dlc_cast_str_bool(dlc_team *team, dlc_string x)
{
    x = dlc_trimmed(x);
    char text[6] = {0};
    for (int64_t i = 0; i < x.size && i < 5; ++i)
        text[i] = (char)(x.data[i] >= 'A' && x.data[i] <= 'Z' ? x.data[i] - 'A' + 'a' : x.data[i]);
    if ((x.size == 4 && !strcmp(text, "true")) || (x.size == 5 && !strcmp(text, "false")))
        return x.size == 4;
    return dlc_digits_of(team, x, 1) != 0;
}
DLC_INLINE uint64_t dlc_cast_str_u64(dlc_team *team, dlc_string x) { return dlc_digits_of(team, x, 0); }

/* -- patterns ------------------------------------------------------------------------------------------------------------ */
/* Whether a deterministic automaton accepts the bytes: it begins in state 0, goes from state s to next[s * classes + class_of[byte]], and ends in a
 * state that `accepts`. */
DLC_INLINE int dlc_matches(dlc_string x, int64_t classes, const int32_t *next, const uint8_t *class_of, const uint8_t *accepts)
{
    int64_t state = 0;
    for (int64_t i = 0; i < x.size; ++i)
        state = next[state * classes + class_of[(uint8_t)x.data[i]]];
    return accepts[state];
}

/* -- pieces -------------------------------------------------------------------------------------------------------------- */
/* Where `wanted`, which is not empty, is in a string first; null where it is not. */
DLC_INLINE const char *dlc_find(dlc_string x, dlc_string wanted)
{
    const char *at = x.data, *const last = x.data + (x.size - wanted.size);
    while (x.size >= wanted.size && at <= last && (at = memchr(at, wanted.data[0], (size_t)(last - at) + 1))) {
        if (!memcmp(at, wanted.data, (size_t)wanted.size))
            return at;
        ++at;
    }
    return NULL;
}

/* Takes the next piece off `rest`, 0 where there is none: up to the delimiter, or, where that is empty, up to white space, of which there may be
 * any amount around pieces. `splits`: how often may still be cut; counted down. */
DLC_INLINE int dlc_next_piece(dlc_string *rest, dlc_string delimiter, int64_t *splits, dlc_string *piece)
{
    if (!rest->data)
        return 0;
    if (!delimiter.size) {
        while (rest->size && (rest->data[0] == ' ' || (rest->data[0] >= '\t' && rest->data[0] <= '\r')))
            ++rest->data, --rest->size;
        if (!rest->size)
            return 0;
    }
    int64_t end = 0, after = rest->size;
    if (*splits == 0) {
        end = rest->size;
        if (!delimiter.size)
            end = dlc_trimmed(*rest).size;
    } else if (delimiter.size) {
        const char *found = dlc_find(*rest, delimiter);
        end = found ? found - rest->data : rest->size;
        after = found ? end + delimiter.size : -1;
    } else {
        while (end < rest->size && !(rest->data[end] == ' ' || (rest->data[end] >= '\t' && rest->data[end] <= '\r')))
            ++end;
        after = end;
    }
    *piece = (dlc_string){rest->data, end};
    if (*splits == 0 || after < 0)
        rest->data = NULL;
    else
        *rest = (dlc_string){rest->data + after, rest->size - after};
    if (*splits > 0)
        --*splits;
    return 1;
}

DLC_NOINLINE int64_t dlc_count_pieces(dlc_string x, dlc_string delimiter, int64_t splits)
{
    int64_t count = 0;
    dlc_string piece;
    x.data = x.data ? x.data : "";
    if (delimiter.size && !x.size)
        return 0;
    while (dlc_next_piece(&x, delimiter, &splits, &piece))
        ++count;
    return count;
}

/* The pieces, and empty strings for the rest of the width. */
DLC_NOINLINE void dlc_split_string(dlc_string x, dlc_string delimiter, int64_t splits, int64_t width, dlc_string *result)
{
    int64_t i = 0;
    x.data = x.data ? x.data : "";
    if (!delimiter.size || x.size)
        while (i < width && dlc_next_piece(&x, delimiter, &splits, &result[i]))
            ++i;
    for (; i < width; ++i)
        result[i] = (dlc_string){"", 0};
}

/* -- upper and lower case ------------------------------------------------------------------------------------------------ */
/* The code point at `text`, of which there are `size` > 0 bytes, and the bytes it takes; a byte that is not UTF-8 stands for itself. */
DLC_INLINE int32_t dlc_code_point(const char *text, int64_t size, int *length)
{
    const uint8_t *const b = (const uint8_t *)text;
    const int needed = b[0] < 0x80 ? 1 : b[0] >= 0xC2 && b[0] < 0xE0 ? 2 : (b[0] & 0xF0) == 0xE0 ? 3 : b[0] >= 0xF0 && b[0] < 0xF5 ? 4 : 0;
    *length = 1;
    if (needed < 2 || needed > size)
        return needed == 1 ? b[0] : -1;
    int32_t code = b[0] & (0x7F >> needed);
    for (int i = 1; i < needed; ++i) {
        if ((b[i] & 0xC0) != 0x80)
            return -1;
        code = code << 6 | (b[i] & 0x3F);
    }
    *length = needed;
    return code;
}

/* Every code point that is among the n rising `codes` replaced by bytes offsets[i] to offsets[i + 1] of its place. */
DLC_NOINLINE dlc_string dlc_replace_characters(dlc_team *team, dlc_string x, int64_t n, const int32_t *codes, const int32_t *offsets,
                                               const uint8_t *bytes)
{
    char *memory = NULL;
    dlc_string result = {"", 0};
    for (int pass = 0; pass < 2; ++pass) { /* the first one measures */
        int64_t size = 0;
        for (int64_t at = 0; at < x.size;) {
            int length;
            const int32_t code = dlc_code_point(x.data + at, x.size - at, &length);
            int64_t low = 0, high = n;
            while (low < high) {
                const int64_t middle = (low + high) / 2;
                if (codes[middle] < code)
                    low = middle + 1;
                else
                    high = middle;
            }
            const int found = low < n && codes[low] == code;
            const char *from = found ? (const char *)bytes + offsets[low] : x.data + at;
            const int64_t count = found ? offsets[low + 1] - offsets[low] : length;
            if (memory)
                memcpy(memory + size, from, (size_t)count);
            size += count;
            at += length;
        }
        if (memory || !size)
            break;
        result = dlc_new_string(team, size, &memory);
        if (!memory)
            break;
    }
    return result;
}

/* -- one element ---------------------------------------------------------------------------------------------------------- */
DLC_INLINE void dlc_match_at(const dlc_string *x, int64_t classes, const int32_t *next, const uint8_t *class_of, const uint8_t *accepts,
                             uint8_t *result)
{
    *result = (uint8_t)dlc_matches(*x, classes, next, class_of, accepts);
}

DLC_INLINE void dlc_count_at(const dlc_string *x, const dlc_string *delimiter, int64_t splits, int64_t *result)
{
    *result = dlc_count_pieces(*x, *delimiter, splits);
}

DLC_INLINE void dlc_split_at(const dlc_string *x, const dlc_string *delimiter, int64_t splits, int64_t width, dlc_string *result)
{
    dlc_split_string(*x, *delimiter, splits, width, result);
}

DLC_INLINE void dlc_replace_at(dlc_team *team, const dlc_string *x, int64_t n, const int32_t *codes, const int32_t *offsets,
                               const uint8_t *bytes, dlc_string *result)
{
    *result = dlc_replace_characters(team, *x, n, codes, offsets, bytes);
}

/* dlc_lookup_T: the index of the key that *x equals among n rising ones, of which a NaN is the last; -1 where there is none. */
#define DLC_LOOKUP(T, suffix, LESS, EQUAL)                                                  \
    DLC_INLINE void dlc_lookup_##suffix(const T *x, int64_t n, const T *keys, int64_t *result) \
    {                                                                                       \
        const T wanted = *x;                                                                \
        int64_t low = 0, high = n;                                                          \
        while (low < high) {                                                                \
            const int64_t middle = (low + high) / 2;                                        \
            if (LESS(keys[middle], wanted))                                                 \
                low = middle + 1;                                                           \
            else                                                                            \
                high = middle;                                                              \
        }                                                                                   \
        *result = low < n && EQUAL(keys[low], wanted) ? low : -1;                           \
    }
#define DLC_LESS(a, b) ((a) < (b))
#define DLC_SAME(a, b) ((a) == (b))
#define DLC_LESS_FLOAT(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))
#define DLC_SAME_FLOAT(a, b) ((a) == (b) || ((a) != (a) && (b) != (b)))
#define DLC_LESS_STRING(a, b) (dlc_compare_str(a, b) < 0)

DLC_LOOKUP(dlc_string, str, DLC_LESS_STRING, dlc_eq_str)
DLC_LOOKUP(float, f32, DLC_LESS_FLOAT, DLC_SAME_FLOAT)
DLC_LOOKUP(double, f64, DLC_LESS_FLOAT, DLC_SAME_FLOAT)
DLC_LOOKUP(int64_t, i64, DLC_LESS, DLC_SAME)
DLC_LOOKUP(int32_t, i32, DLC_LESS, DLC_SAME)
DLC_LOOKUP(int16_t, i16, DLC_LESS, DLC_SAME)

/* -- n-grams ------------------------------------------------------------------------------------------------------------- */
typedef struct dlc_ngrams {
    int64_t rows, tokens, outputs;           /* of the ids; columns of the result */
    int64_t row_stride, token_stride;
    int64_t min_length, max_length, max_skip;
    const int64_t *ids;
    const int32_t *first, *token, *children, *columns; /* the tree: see dlcompile.ops.count_ngrams */
    float *counts;
} dlc_ngrams;

/* All threads, each some rows. */
DLC_NOINLINE void dlc_count_ngrams(const dlc_team *team, const dlc_ngrams *g)
{
    const dlc_range part = dlc_split(team, g->rows);
    for (int64_t row = part.begin; row < part.end; ++row) {
        float *const counts = g->counts + row * g->outputs;
        const int64_t *const ids = g->ids + row * g->row_stride;
        memset(counts, 0, (size_t)g->outputs * sizeof *counts);
        for (int64_t step = 1; step <= g->max_skip + 1 && (step == 1 || step < g->tokens); ++step)
            for (int64_t start = 0; start < g->tokens; ++start) {
                int64_t node = 0;
                for (int64_t n = 0, at = start; n < g->max_length && at < g->tokens; ++n, at += step) {
                    const int64_t id = ids[at * g->token_stride];
                    int64_t low = g->first[node], high = g->first[node + 1];
                    const int64_t end = high;
                    while (low < high) {
                        const int64_t middle = (low + high) / 2;
                        if (g->token[middle] < id)
                            low = middle + 1;
                        else
                            high = middle;
                    }
                    if (low == end || g->token[low] != id)
                        break;
                    node = g->children[low];
                    if (g->columns[node] >= 0 && n + 1 >= g->min_length && (n > 0 || step == 1))
                        counts[g->columns[node]] += 1.0f;
                }
            }
    }
}

#endif
