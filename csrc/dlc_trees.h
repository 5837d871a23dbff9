/* Ensembles of decision trees. Rows (or trees, for few rows) go down side by side, a level at a time and without branches: leaves lead to themselves. */
#ifndef DLC_TREES_H
#define DLC_TREES_H

#include "dlc_base.h"

#define DLC_TREE_LANES 16
#define DLC_TREE_ROWS 256 /* that a tree is used for while it is in cache */

/* How a node compares; plus DLC_TREE_MISSING where NaN takes the branch of what compares true. */
enum { DLC_TREE_LEQ, DLC_TREE_LT, DLC_TREE_GTE, DLC_TREE_GT, DLC_TREE_EQ, DLC_TREE_NEQ, DLC_TREE_MISSING = 8 };
enum { DLC_TREE_SUM, DLC_TREE_MIN, DLC_TREE_MAX };

typedef struct dlc_trees {
    int64_t rows, row_stride, column_stride, trees, targets, aggregate;
    int64_t mixed; /* nodes compare as `modes` says; otherwise all by <= */
    const void *x;
    const int32_t *roots, *depths; /* of each tree */
    const int32_t *features, *yes, *no, *first; /* of each node; its weights are first[i] to first[i + 1] */
    const uint8_t *modes;
    const void *thresholds;
    const int32_t *ids; /* of each weight: its target */
    const void *weights;
    void *result; /* [rows, targets] */
} dlc_trees;

DLC_INLINE int dlc_tree_compares(double value, double threshold, int mode)
{
    if ((mode & DLC_TREE_MISSING) && value != value)
        return 1;
    switch (mode & ~DLC_TREE_MISSING) {
    case DLC_TREE_LEQ:
        return value <= threshold;
    case DLC_TREE_LT:
        return value < threshold;
    case DLC_TREE_GTE:
        return value >= threshold;
    case DLC_TREE_GT:
        return value > threshold;
    case DLC_TREE_EQ:
        return value == threshold;
    default:
        return value != threshold;
    }
}

/* dlc_trees_T: all threads, each some rows; scratch: 16 bytes for each of DLC_TREE_ROWS rows and target. Sums are in double, in the order of the
 * trees; a target that no leaf reached has 0. */
#define DLC_TREES(T, suffix)                                                                                              \
    DLC_INLINE void dlc_tree_walk_##suffix(const dlc_trees *e, const T *x, const int64_t *row, int32_t *node, int32_t depth) \
    {                                                                                                                     \
        const T *const thresholds = e->thresholds;                                                                        \
        const int32_t *const features = e->features, *const yes = e->yes, *const no = e->no;                              \
        const int64_t step = e->column_stride;                                                                            \
        if (e->mixed) {                                                                                                   \
            for (int32_t level = 0; level < depth; ++level)                                                               \
                for (int lane = 0; lane < DLC_TREE_LANES; ++lane) {                                                       \
                    const int32_t i = node[lane];                                                                         \
                    node[lane] = dlc_tree_compares(x[row[lane] + features[i] * step], thresholds[i], e->modes[i]) ? yes[i] : no[i]; \
                }                                                                                                         \
            return;                                                                                                       \
        }                                                                                                                 \
        for (int32_t level = 0; level < depth; ++level) {                                                                 \
            DLC_SIMD                                                                                                      \
            for (int lane = 0; lane < DLC_TREE_LANES; ++lane) {                                                           \
                const int32_t i = node[lane], left = yes[i], right = no[i];                                               \
                node[lane] = x[row[lane] + features[i] * step] <= thresholds[i] ? left : right;                           \
            }                                                                                                             \
        }                                                                                                                 \
    }                                                                                                                     \
    DLC_INLINE void dlc_tree_add_##suffix(const dlc_trees *e, int32_t leaf, double *sums, int64_t *seen)                  \
    {                                                                                                                     \
        const T *const weights = e->weights;                                                                              \
        for (int32_t k = e->first[leaf]; k < e->first[leaf + 1]; ++k) {                                                   \
            double *const sum = &sums[e->ids[k]];                                                                         \
            const double weight = weights[k];                                                                             \
            if (e->aggregate == DLC_TREE_SUM || !seen[e->ids[k]])                                                         \
                *sum += weight;                                                                                           \
            else if (e->aggregate == DLC_TREE_MIN ? weight < *sum : weight > *sum)                                        \
                *sum = weight;                                                                                            \
            seen[e->ids[k]] = 1;                                                                                          \
        }                                                                                                                 \
    }                                                                                                                     \
    DLC_NOINLINE void dlc_trees_##suffix(const dlc_team *team, const dlc_trees *e)                                        \
    {                                                                                                                     \
        const T *const x = e->x;                                                                                          \
        T *const result = e->result;                                                                                      \
        double *const sums = (double *)(void *)team->scratch;                                                             \
        int64_t *const seen = (int64_t *)(void *)(sums + DLC_TREE_ROWS * e->targets);                                     \
        const dlc_range part = dlc_split(team, e->rows);                                                                  \
        int64_t row[DLC_TREE_LANES];                                                                                      \
        int32_t node[DLC_TREE_LANES] DLC_ALIGNED;                                                                         \
        for (int64_t begin = part.begin; begin < part.end; begin += DLC_TREE_ROWS) {                                      \
            const int64_t count = dlc_min(DLC_TREE_ROWS, part.end - begin);                                               \
            memset(sums, 0, (size_t)(count * e->targets) * sizeof *sums);                                                 \
            memset(seen, 0, (size_t)(count * e->targets) * sizeof *seen);                                                 \
            if (count < DLC_TREE_LANES) {                                                                                 \
                for (int64_t r = 0; r < count; ++r)                                                                       \
                    for (int64_t tree = 0; tree < e->trees; tree += DLC_TREE_LANES) {                                     \
                        const int64_t lanes = dlc_min(DLC_TREE_LANES, e->trees - tree);                                   \
                        int32_t depth = 0;                                                                                \
                        for (int lane = 0; lane < DLC_TREE_LANES; ++lane) {                                               \
                            const int64_t which = tree + dlc_min(lane, lanes - 1);                                        \
                            row[lane] = (begin + r) * e->row_stride;                                                      \
                            node[lane] = e->roots[which];                                                                 \
                            depth = depth > e->depths[which] ? depth : e->depths[which];                                  \
                        }                                                                                                 \
                        dlc_tree_walk_##suffix(e, x, row, node, depth);                                                   \
                        for (int64_t lane = 0; lane < lanes; ++lane)                                                      \
                            dlc_tree_add_##suffix(e, node[lane], sums + r * e->targets, seen + r * e->targets);           \
                    }                                                                                                     \
            } else {                                                                                                      \
                for (int64_t tree = 0; tree < e->trees; ++tree)                                                           \
                    for (int64_t r = 0; r < count; r += DLC_TREE_LANES) {                                                 \
                        const int64_t lanes = dlc_min(DLC_TREE_LANES, count - r);                                         \
                        for (int lane = 0; lane < DLC_TREE_LANES; ++lane) {                                               \
                            row[lane] = (begin + r + dlc_min(lane, lanes - 1)) * e->row_stride;                           \
                            node[lane] = e->roots[tree];                                                                  \
                        }                                                                                                 \
                        dlc_tree_walk_##suffix(e, x, row, node, e->depths[tree]);                                         \
                        for (int64_t lane = 0; lane < lanes; ++lane)                                                      \
                            dlc_tree_add_##suffix(e, node[lane], sums + (r + lane) * e->targets, seen + (r + lane) * e->targets); \
                    }                                                                                                     \
            }                                                                                                             \
            for (int64_t i = 0; i < count * e->targets; ++i)                                                              \
                result[begin * e->targets + i] = (T)sums[i];                                                              \
        }                                                                                                                 \
    }

#define DLC_SIMD _Pragma("omp simd")

DLC_TREES(float, f32)
DLC_TREES(double, f64)

#endif
