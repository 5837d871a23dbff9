/* LSTM, GRU and RNN: the steps of a recurrent layer, in both directions if need be. Semantics, gate order and activations are ONNX's.
 *
 * The products with the input, W x + biases, do not depend on earlier steps: one large product of matrices makes them for all steps
 * beforehand. Left for each step are the products with the previous h, and the gates.
 *
 * Hidden units come in blocks of U = DLC_LANES, the weights of their gates in panels of a few vectors: i o and f c of an LSTM, z r h of a GRU,
 * z r and h of one that resets first. A panel is read once for as many rows of the batch as a tile has, and the cells of a block
 * are computed while its tiles are in the nearest cache. H is padded to Hp, a multiple of U, with units whose weights are 0. With G gates
 * in ONNX's order (LSTM: i o f c, GRU: z r h, RNN: one), w [D][G*H][I] and r [D][G*H][H] for D directions, in NumPy's terms:
 *
 *     blocked(a) = pad(a.reshape(D, G, H, K), H -> Hp).reshape(D, G, Hp/U, U, K).transpose(0, 2, 1, 3, 4)        # [D][Hp/U][G][U][K]
 *     x = input @ blocked(w).reshape(D*G*Hp, I).T + blocked(biases)                                             # [T][N][D][Hp/U][G][U]
 *     r = blocked(r)[:, :, gates of a panel].transpose(0, 1, 4, 2, 3), panel after panel              # [D][Hp/U][panel][H][gate][U]
 *
 * The unit blocks of a step are shared out among the threads, who wait for one another between steps: h is read by all of them. Where
 * there are as many directions as threads, or a step is too short to share, each direction stays with one thread and nobody waits.
 * Who computes a block has no influence on its bits.
 */
#ifndef DLC_RECURRENT_H
#define DLC_RECURRENT_H

#include "dlc_contract.h"
#include "dlc_math.h"

/* -- activations --------------------------------------------------------------------------------------------------------- */
enum dlc_activation_kind {
    DLC_SIGMOID,
    DLC_TANH,
    DLC_RELU,
    DLC_AFFINE,
    DLC_LEAKYRELU,
    DLC_THRESHOLDEDRELU,
    DLC_SCALEDTANH,
    DLC_HARDSIGMOID,
    DLC_ELU,
    DLC_SOFTSIGN,
    DLC_SOFTPLUS
};

typedef struct dlc_activation {
    int kind;
    float alpha, beta; /* of those kinds that have them in ONNX */
} dlc_activation;

#define DLC_EACH_LANE(v, x, value)                                                                                         \
    _Pragma("omp simd")                                                                                                    \
    for (int lane = 0; lane < DLC_LANES; ++lane) {                                                                         \
        const float x = (v)[lane];                                                                                         \
        (v)[lane] = value;                                                                                                 \
    }

DLC_NOINLINE void dlc_activate_rare(dlc_activation f, float *v)
{
    const float alpha = f.alpha, beta = f.beta;
    switch (f.kind) {
    case DLC_RELU: DLC_EACH_LANE(v, x, dlc_maximum_f32(x, 0.0f)) break;
    case DLC_AFFINE: DLC_EACH_LANE(v, x, alpha * x + beta) break;
    case DLC_LEAKYRELU: DLC_EACH_LANE(v, x, x < 0.0f ? alpha * x : x) break;
    case DLC_THRESHOLDEDRELU: DLC_EACH_LANE(v, x, x > alpha ? x : 0.0f) break;
    case DLC_SCALEDTANH: DLC_EACH_LANE(v, x, alpha * dlc_tanh_f32(beta * x)) break;
    case DLC_HARDSIGMOID: DLC_EACH_LANE(v, x, dlc_maximum_f32(dlc_minimum_f32(alpha * x + beta, 1.0f), 0.0f)) break;
    case DLC_ELU: DLC_EACH_LANE(v, x, x < 0.0f ? alpha * dlc_expm1_f32(x) : x) break;
    case DLC_SOFTSIGN: DLC_EACH_LANE(v, x, x / (1.0f + dlc_abs_f32(x))) break;
    case DLC_SOFTPLUS: DLC_EACH_LANE(v, x, dlc_maximum_f32(x, 0.0f) + dlc_log1p_f32(dlc_exp_negative(dlc_abs_f32(x)))) break;
    }
}

/* The activation of a vector in memory, its argument limited to -clip ... clip (0: not limited). */
DLC_INLINE void dlc_activate(dlc_activation f, float clip, float *v)
{
    if (clip > 0.0f)
        DLC_EACH_LANE(v, x, dlc_maximum_f32(dlc_minimum_f32(x, clip), -clip))
    if (f.kind == DLC_SIGMOID)
        DLC_EACH_LANE(v, x, dlc_logistic_f32(x))
    else if (f.kind == DLC_TANH)
        DLC_EACH_LANE(v, x, dlc_tanh_f32(x))
    else
        dlc_activate_rare(f, v);
}

/* -- the layer ----------------------------------------------------------------------------------------------------------- */
/* Strides are in elements. Pointers that may be null are marked (0). */
typedef struct dlc_recurrence {
    int64_t T, N, H, D;               /* steps, rows of the batch, hidden units, directions */
    int reverse[2];                   /* of each direction: whether it runs from the last step to the first */
    dlc_activation activation[2][3];  /* of each direction, in ONNX's order: LSTM f g h, GRU f g, RNN f */
    float clip;                       /* 0: none */
    int linear_before_reset;          /* GRU */
    int input_forget;                 /* LSTM: the forget gate is 1 - the input gate */
    const float *x;                   /* [T][N][D*G*Hp], blocked */
    int64_t x_step, x_row;
    const float *r;                   /* [D][Hp/U][G*H*U], in panels */
    const float *recurrent_bias;      /* (0) [D][G*Hp], blocked; GRU with linear_before_reset: of the candidate, inside the reset */
    const float *peepholes;           /* (0) [D][3*H], i o f, as ONNX has them */
    const float *initial_h, *initial_c; /* (0) [D][N][H] */
    const int32_t *lengths;           /* (0) [N]: from there on, a row's state stays and its y is 0 */
    float *y;                         /* (0) y[t*y_step + d*y_direction + n*y_row + unit] */
    int64_t y_step, y_direction, y_row;
    float *last_h, *last_c;           /* (0) [D][N][H] */
    float *state;                     /* dlc_recurrence_state() bytes, aligned to a cache line, shared by the team */
} dlc_recurrence;

enum dlc_cell { DLC_RNN, DLC_LSTM, DLC_GRU, DLC_GRU_RESET_FIRST /* linear_before_reset = 0 */ };

DLC_INLINE int64_t dlc_recurrence_padded(int64_t H) { return (H + DLC_LANES - 1) / DLC_LANES * DLC_LANES; }

/* Bytes of state: h before and after a step; c, or r*h and z. */
DLC_INLINE int64_t dlc_recurrence_state(int64_t N, int64_t H, int64_t D)
{
    return (int64_t)sizeof(float) * 4 * D * N * dlc_recurrence_padded(H);
}

/* The state of unit block `block` of row n: h after an even (0) or odd (1) number of steps, and two more vectors: c, or r*h (0) and z (1). */
DLC_INLINE float *dlc_recurrence_h(const dlc_recurrence *l, int odd, int64_t d, int64_t n, int64_t block)
{
    return l->state + ((odd * l->D + d) * l->N + n) * dlc_recurrence_padded(l->H) + block * DLC_LANES;
}
DLC_INLINE float *dlc_recurrence_other(const dlc_recurrence *l, int which, int64_t d, int64_t n, int64_t block)
{
    return dlc_recurrence_h(l, 2 + which, d, n, block);
}

/* -- cells: gates of one row of one unit block, [gate][U] of each panel, which they may overwrite, to new_h [U] ------------ */
/* The LSTM of ONNX's defaults. Its five activations are one loop, so that none of them waits for another. */
DLC_INLINE void dlc_lstm_cell_plain(const float *x, const float *gates, const float *second, float *c, float *new_h)
{
    enum { U = DLC_LANES };
#pragma omp simd
    for (int u = 0; u < U; ++u) {
        const float i = dlc_logistic_f32(gates[u] + x[u]), f = dlc_logistic_f32(second[u] + x[2 * U + u]);
        const float g = dlc_tanh_f32(second[U + u] + x[3 * U + u]), o = dlc_logistic_f32(gates[U + u] + x[U + u]);
        const float next = f * c[u] + i * g;
        c[u] = next;
        new_h[u] = o * dlc_tanh_f32(next);
    }
}

/* Any other one. */
DLC_NOINLINE void dlc_lstm_cell_rare(const dlc_recurrence *l, int64_t d, int64_t block, const float *x, float *gates, float *second, float *c,
                                     float *new_h)
{
    enum { U = DLC_LANES };
    float *const i = gates, *const o = gates + U, *const f = second, *const g = second + U;
    const dlc_activation *const activation = l->activation[d];
#pragma omp simd
    for (int u = 0; u < 2 * U; ++u) {
        gates[u] += x[u];
        second[u] += x[2 * U + u];
    }
    float peephole[3][U] = {{0}};
    if (l->peepholes) {
        for (int gate = 0; gate < 3; ++gate)
            for (int64_t u = 0; u < dlc_min(U, l->H - block * U); ++u)
                peephole[gate][u] = l->peepholes[(d * 3 + gate) * l->H + block * U + u];
        for (int u = 0; u < U; ++u) {
            i[u] += peephole[0][u] * c[u];
            f[u] += peephole[2][u] * c[u];
        }
    }
    dlc_activate(activation[0], l->clip, i);
    dlc_activate(activation[1], l->clip, g);
    if (!l->input_forget)
        dlc_activate(activation[0], l->clip, f);
    else
        for (int u = 0; u < U; ++u)
            f[u] = 1.0f - i[u];
#pragma omp simd
    for (int u = 0; u < U; ++u) {
        c[u] = f[u] * c[u] + i[u] * g[u];
        new_h[u] = c[u];
    }
    if (l->peepholes)
        for (int u = 0; u < U; ++u)
            o[u] += peephole[1][u] * c[u];
    dlc_activate(activation[0], l->clip, o);
    dlc_activate(activation[2], 0.0f, new_h);
#pragma omp simd
    for (int u = 0; u < U; ++u)
        new_h[u] *= o[u];
}

DLC_INLINE void dlc_lstm_cell(const dlc_recurrence *l, int64_t d, int64_t block, const float *x, float *gates, float *second, float *c,
                              float *new_h)
{
    const dlc_activation *const a = l->activation[d];
    if (a[0].kind == DLC_SIGMOID && a[1].kind == DLC_TANH && a[2].kind == DLC_TANH && !l->peepholes && !l->input_forget && l->clip == 0.0f)
        dlc_lstm_cell_plain(x, gates, second, c, new_h);
    else
        dlc_lstm_cell_rare(l, d, block, x, gates, second, c, new_h);
}

DLC_INLINE void dlc_gru_cell(const dlc_recurrence *l, int64_t d, int64_t block, const float *x, float *gates, const float *h, float *new_h)
{
    enum { U = DLC_LANES };
    float *const z = gates, *const r = gates + U, *const candidate = gates + 2 * U;
    const float *const bias = l->recurrent_bias ? l->recurrent_bias + (d * dlc_recurrence_padded(l->H) + block * U) * 3 + 2 * U : NULL;
#pragma omp simd
    for (int u = 0; u < 2 * U; ++u)
        gates[u] += x[u];
    dlc_activate(l->activation[d][0], l->clip, z);
    dlc_activate(l->activation[d][0], l->clip, r);
#pragma omp simd
    for (int u = 0; u < U; ++u)
        candidate[u] = x[2 * U + u] + r[u] * (candidate[u] + (bias ? bias[u] : 0.0f));
    dlc_activate(l->activation[d][1], l->clip, candidate);
#pragma omp simd
    for (int u = 0; u < U; ++u)
        new_h[u] = (1.0f - z[u]) * candidate[u] + z[u] * h[u];
}

/* The two halves of a GRU that resets first: z and r*h, and, once the r*h of all units are there, the candidate. */
DLC_INLINE void dlc_gru_reset(const dlc_recurrence *l, int64_t d, const float *x, float *gates, const float *h, float *reset_h, float *z)
{
    enum { U = DLC_LANES };
#pragma omp simd
    for (int u = 0; u < 2 * U; ++u)
        gates[u] += x[u];
    dlc_activate(l->activation[d][0], l->clip, gates);
    dlc_activate(l->activation[d][0], l->clip, gates + U);
#pragma omp simd
    for (int u = 0; u < U; ++u) {
        z[u] = gates[u];
        reset_h[u] = gates[U + u] * h[u];
    }
}

DLC_INLINE void dlc_gru_candidate(const dlc_recurrence *l, int64_t d, const float *x, float *candidate, const float *h, const float *z,
                                  float *new_h)
{
    enum { U = DLC_LANES };
#pragma omp simd
    for (int u = 0; u < U; ++u)
        candidate[u] += x[2 * U + u];
    dlc_activate(l->activation[d][1], l->clip, candidate);
#pragma omp simd
    for (int u = 0; u < U; ++u)
        new_h[u] = (1.0f - z[u]) * candidate[u] + z[u] * h[u];
}

DLC_INLINE void dlc_rnn_cell(const dlc_recurrence *l, int64_t d, const float *x, const float *gate, float *new_h)
{
#pragma omp simd
    for (int u = 0; u < DLC_LANES; ++u)
        new_h[u] = gate[u] + x[u];
    dlc_activate(l->activation[d][0], l->clip, new_h);
}

/* -- steps --------------------------------------------------------------------------------------------------------------- */
DLC_INLINE int dlc_cell_gates(const int cell) { return cell == DLC_RNN ? 1 : cell == DLC_LSTM ? 4 : 3; }

/* One row of one unit block after its products: `tile` from one panel, `second` from the next. `odd`: whether this step has an odd number. */
DLC_NOINLINE void dlc_recurrence_row(const dlc_recurrence *l, int cell, int phase, int64_t t, int odd, int64_t d, int64_t block, int64_t n,
                                     float *tile, float *second)
{
    const int64_t gates = dlc_cell_gates(cell), Hp = dlc_recurrence_padded(l->H);
    const float *const x = l->x + t * l->x_step + n * l->x_row + (d * Hp + block * DLC_LANES) * gates;
    const float *const h = dlc_recurrence_h(l, odd, d, n, block);
    float *const new_h = dlc_recurrence_h(l, !odd, d, n, block);
    float *const other = dlc_recurrence_other(l, 0, d, n, block), *const z = dlc_recurrence_other(l, 1, d, n, block);
    const int ended = l->lengths && t >= l->lengths[n];
    if (cell == DLC_GRU_RESET_FIRST && phase == 0) {
        dlc_gru_reset(l, d, x, tile, h, other, z);
        return;
    }
    if (ended)
        dlc_store(new_h, dlc_load(h));
    else if (cell == DLC_LSTM)
        dlc_lstm_cell(l, d, block, x, tile, second, other, new_h);
    else if (cell == DLC_GRU)
        dlc_gru_cell(l, d, block, x, tile, h, new_h);
    else if (cell == DLC_GRU_RESET_FIRST)
        dlc_gru_candidate(l, d, x, tile, h, z, new_h);
    else
        dlc_rnn_cell(l, d, x, tile, new_h);
    if (l->y) {
        float *const y = l->y + t * l->y_step + d * l->y_direction + n * l->y_row + block * DLC_LANES;
        dlc_store_partial(y, ended ? (dlc_vf){0} : dlc_load(new_h), l->H - block * DLC_LANES);
    }
}

/* Vectors of a panel of weights; the last one of a cell may have fewer. */
DLC_INLINE int dlc_cell_panel(const int cell) { return cell == DLC_RNN ? 1 : cell == DLC_GRU ? 3 : 2; }

enum { DLC_RECURRENCE_ROWS = 14 }; /* of the batch that a tile has at most */

/* Some rows of one unit block in one phase of a step: the products, panel after panel, then the cells. */
DLC_INLINE void dlc_recurrence_tile(const dlc_recurrence *l, const int cell, const int phase, int64_t t, int odd, int64_t d, int64_t block,
                                    int64_t n, int64_t rows)
{
    const int gates = dlc_cell_gates(cell), panel = dlc_cell_panel(cell);
    const int first = phase ? panel : 0, last = cell == DLC_GRU_RESET_FIRST && !phase ? panel : gates;
    const int64_t Hp = dlc_recurrence_padded(l->H);
    const float *const left = phase ? dlc_recurrence_other(l, 0, d, n, 0) : dlc_recurrence_h(l, odd, d, n, 0);
    float tiles[2][DLC_RECURRENCE_ROWS * 3 * DLC_LANES] DLC_ALIGNED;
    int width = 0;
    for (int gate = first; gate < last; gate += panel) {
        const float *const weights = l->r + ((d * Hp + block * DLC_LANES) * gates + gate * DLC_LANES) * l->H;
        float *const tile = tiles[gate != first];
        width = last - gate < panel ? last - gate : panel;
        if (width == 1)
            dlc_tile_any_rows_1(rows, 0, left, Hp, 1, 0, 1, 0, l->H, 1, weights, 0, tile);
        else if (width == 2)
            dlc_tile_any_rows_2(rows, 0, left, Hp, 1, 0, 1, 0, l->H, 1, weights, 0, tile);
        else
            dlc_tile_any_rows_3(rows, 0, left, Hp, 1, 0, 1, 0, l->H, 1, weights, 0, tile);
    }
    for (int64_t i = 0; i < rows; ++i)
        dlc_recurrence_row(l, cell, phase, t, odd, d, block, n + i, tiles[0] + i * width * DLC_LANES, tiles[1] + i * width * DLC_LANES);
}

/* All rows of one unit block in one phase of a step, in as few tiles as there can be, equal ones. */
DLC_INLINE void dlc_recurrence_block(const dlc_recurrence *l, const int cell, const int phase, int64_t t, int odd, int64_t d, int64_t block)
{
    const int64_t most = dlc_min(DLC_RECURRENCE_ROWS, (DLC_SUMS - 2) / dlc_cell_panel(cell)), tiles = (l->N + most - 1) / most;
    const int64_t rows = tiles ? (l->N + tiles - 1) / tiles : 0;
    for (int64_t n = 0; n < l->N; n += rows)
        dlc_recurrence_tile(l, cell, phase, t, odd, d, block, n, dlc_min(rows, l->N - n));
}

/* One phase of a step for the unit blocks begin ... end-1, counted through the directions; `team`, unless null, waits after it. */
DLC_INLINE void dlc_recurrence_phase(const dlc_recurrence *l, const int cell, const int phase, int64_t step, int64_t begin, int64_t end,
                                     dlc_team *team)
{
    const int64_t blocks = dlc_recurrence_padded(l->H) / DLC_LANES;
    for (int64_t i = begin; i < end; ++i) {
        /* there and back: where weights do not fit the second-level cache, those read last are still in it */
        const int64_t item = step & 1 ? end - 1 - (i - begin) : i;
        const int64_t d = item / blocks, t = l->reverse[d] ? l->T - 1 - step : step;
        dlc_recurrence_block(l, cell, phase, t, (int)(step & 1), d, item % blocks);
    }
    if (team)
        dlc_barrier(team);
}

/* The same for all steps, from the initial state to the last. */
DLC_INLINE void dlc_recurrence_blocks(const dlc_recurrence *l, const int cell, int64_t begin, int64_t end, dlc_team *team)
{
    const int64_t blocks = dlc_recurrence_padded(l->H) / DLC_LANES;
    for (int64_t item = begin; item < end; ++item) {
        const int64_t d = item / blocks, block = item % blocks, units = dlc_min(DLC_LANES, l->H - block * DLC_LANES);
        for (int64_t n = 0; n < l->N; ++n) {
            const int64_t from = (d * l->N + n) * l->H + block * DLC_LANES;
            dlc_store(dlc_recurrence_h(l, 0, d, n, block), l->initial_h ? dlc_load_partial(l->initial_h + from, units) : (dlc_vf){0});
            dlc_store(dlc_recurrence_other(l, 0, d, n, block), l->initial_c ? dlc_load_partial(l->initial_c + from, units) : (dlc_vf){0});
        }
    }
    if (team)
        dlc_barrier(team);
    for (int64_t step = 0; step < l->T; ++step) {
        dlc_recurrence_phase(l, cell, 0, step, begin, end, team);
        if (cell == DLC_GRU_RESET_FIRST)
            dlc_recurrence_phase(l, cell, 1, step, begin, end, team);
    }
    for (int64_t item = begin; item < end; ++item) {
        const int64_t d = item / blocks, block = item % blocks, units = dlc_min(DLC_LANES, l->H - block * DLC_LANES);
        for (int64_t n = 0; n < l->N; ++n) {
            const int64_t to = (d * l->N + n) * l->H + block * DLC_LANES;
            if (l->last_h)
                dlc_store_partial(l->last_h + to, dlc_load(dlc_recurrence_h(l, (int)(l->T & 1), d, n, block)), units);
            if (l->last_c)
                dlc_store_partial(l->last_c + to, dlc_load(dlc_recurrence_other(l, 0, d, n, block)), units);
        }
    }
}

#define DLC_RECURRENCE_SHARED (1 << 16) /* multiply-adds of a step that are worth waiting for one another */

/* The whole layer, by the whole team. */
DLC_INLINE void dlc_recurrence_f32(dlc_team *team, const dlc_recurrence *l, const int cell)
{
    const int64_t blocks = dlc_recurrence_padded(l->H) / DLC_LANES;
    const int64_t step = l->N * l->H * blocks * DLC_LANES * dlc_cell_gates(cell);
    const int shared = l->D % team->count != 0 && step >= DLC_RECURRENCE_SHARED;
    const dlc_range part = dlc_split(team, shared ? l->D * blocks : l->D);
    const int64_t scale = shared ? 1 : blocks, end = part.end * scale;
    int64_t from = part.begin * scale;
    do { /* at least once: who has no blocks waits with the others all the same */
        /* Whole directions go one after the other, so that the weights of each stay in the second-level cache. */
        const int64_t to = shared ? end : dlc_min(end, from + blocks);
        dlc_recurrence_blocks(l, cell, from, to, shared ? team : NULL);
        from = to;
    } while (from < end);
}

DLC_NOINLINE void dlc_rnn_f32(dlc_team *team, const dlc_recurrence *l) { dlc_recurrence_f32(team, l, DLC_RNN); }
DLC_NOINLINE void dlc_lstm_f32(dlc_team *team, const dlc_recurrence *l) { dlc_recurrence_f32(team, l, DLC_LSTM); }
DLC_NOINLINE void dlc_gru_reset_after(dlc_team *team, const dlc_recurrence *l) { dlc_recurrence_f32(team, l, DLC_GRU); }
DLC_NOINLINE void dlc_gru_reset_first(dlc_team *team, const dlc_recurrence *l) { dlc_recurrence_f32(team, l, DLC_GRU_RESET_FIRST); }

/* Inlined, so that only the variant that the layer needs is compiled. */
DLC_INLINE void dlc_gru_f32(dlc_team *team, const dlc_recurrence *l)
{
    if (l->linear_before_reset)
        dlc_gru_reset_after(team, l);
    else
        dlc_gru_reset_first(team, l);
}

#undef DLC_EACH_LANE

#endif
