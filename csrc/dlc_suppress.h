/* Non-maximum suppression as ONNX defines it: of boxes that overlap, the one with the best score. */
#ifndef DLC_SUPPRESS_H
#define DLC_SUPPRESS_H

#include "dlc_sort.h"

/* A box from its lower to its upper corner, and its area. */
typedef struct dlc_box {
    float y1, x1, y2, x2, area;
} dlc_box;

/* boxes[b, i, 4] and scores[b, c, i] with a stride for each axis, in elements. The thresholds lie in memory; without
 * `score_threshold` (null) every box is a candidate. `limit`: how many boxes of a class the results have room for;
 * `most` is the number of them that is wanted. selected[count][3]: batch, class and box. workspace:
 * dlc_suppress_workspace bytes, scratch of each thread: 16 bytes for each box. */
typedef struct dlc_suppression {
    int64_t batches, classes, boxes, limit;
    int center; /* boxes are (x, y, width, height) around their centres, not (y, x) of two opposite corners */
    const float *box, *score;
    int64_t box_strides[3], score_strides[3];
    const int64_t *most;
    const float *iou_threshold, *score_threshold;
    int64_t *selected, *count;
    char *workspace;
} dlc_suppression;

/* batches * classes * (limit + 1) int64, then batches * boxes dlc_box. */
DLC_INLINE int64_t dlc_suppress_workspace(const dlc_suppression *s)
{
    return 8 * s->batches * s->classes * (s->limit + 1) + (int64_t)sizeof(dlc_box) * s->batches * s->boxes;
}

DLC_INLINE dlc_box dlc_suppress_box(const dlc_suppression *s, int64_t batch, int64_t i)
{
    const float *const at = s->box + batch * s->box_strides[0] + i * s->box_strides[1];
    const float a = at[0], b = at[s->box_strides[2]], c = at[2 * s->box_strides[2]], d = at[3 * s->box_strides[2]];
    dlc_box box;
    if (s->center)
        box = (dlc_box){b - d / 2, a - c / 2, b + d / 2, a + c / 2, 0};
    else
        box = (dlc_box){a < c ? a : c, b < d ? b : d, a < c ? c : a, b < d ? d : b, 0};
    box.area = (box.x2 - box.x1) * (box.y2 - box.y1);
    return box;
}

/* Whether the intersection of two boxes is more than so much of their union. Each operation is rounded: a box at the
 * threshold must not depend on which of them the compiler contracts. */
DLC_INLINE int dlc_overlap(const dlc_box *a, const dlc_box *b, float threshold)
{
    const float width = (a->x2 < b->x2 ? a->x2 : b->x2) - (a->x1 > b->x1 ? a->x1 : b->x1);
    const float height = (a->y2 < b->y2 ? a->y2 : b->y2) - (a->y1 > b->y1 ? a->y1 : b->y1);
    if (!(width > 0) || !(height > 0))
        return 0;
    float common = width * height;
    __asm__("" : "+m"(common));
    const float all = a->area + b->area - common;
    return common > 0 && a->area > 0 && b->area > 0 && all > 0 && common / all > threshold;
}

/* The boxes of one class that stay, best first, into `kept`; how many. */
DLC_NOINLINE int64_t dlc_suppress_class(const dlc_suppression *s, int64_t batch, int64_t class, const dlc_box *boxes,
                                        int64_t *kept, uint64_t *words)
{
    const float *const score = s->score + batch * s->score_strides[0] + class * s->score_strides[1];
    const int64_t most = dlc_min(*s->most, s->limit);
    int64_t candidates = 0, count = 0;
    for (int64_t i = 0; i < s->boxes && most > 0; ++i) {
        const float value = score[i * s->score_strides[2]];
        if (!s->score_threshold || value > *s->score_threshold)
            words[candidates++] = dlc_word_f32(value, i, 1);
    }
    dlc_sort_u64(words, words + candidates, candidates, 32);
    for (int64_t i = 0; i < candidates && count < most; ++i) {
        const int64_t candidate = (int64_t)(uint32_t)words[i];
        int64_t other = 0;
        while (other < count && !dlc_overlap(boxes + candidate, boxes + kept[other], *s->iou_threshold))
            ++other;
        if (other == count)
            kept[count++] = candidate;
    }
    return count;
}

DLC_NOINLINE void dlc_non_max_suppression(dlc_team *team, const dlc_suppression *s)
{
    const int64_t pairs = s->batches * s->classes;
    int64_t *const counts = (int64_t *)s->workspace, *const kept = counts + pairs;
    dlc_box *const boxes = (dlc_box *)(kept + pairs * s->limit);
    const dlc_range own_boxes = dlc_split(team, s->batches * s->boxes), own = dlc_split(team, pairs);
    for (int64_t i = own_boxes.begin; i < own_boxes.end; ++i)
        boxes[i] = dlc_suppress_box(s, i / s->boxes, i % s->boxes);
    dlc_barrier(team);
    for (int64_t p = own.begin; p < own.end; ++p) {
        const int64_t batch = p / s->classes;
        counts[p] = dlc_suppress_class(s, batch, p % s->classes, boxes + batch * s->boxes, kept + p * s->limit,
                                       (uint64_t *)team->scratch);
    }
    dlc_barrier(team);
    int64_t place = 0;
    for (int64_t p = 0; p < own.begin; ++p)
        place += counts[p];
    for (int64_t p = own.begin; p < own.end; ++p)
        for (int64_t i = 0; i < counts[p]; ++i, ++place) {
            s->selected[3 * place] = p / s->classes;
            s->selected[3 * place + 1] = p % s->classes;
            s->selected[3 * place + 2] = kept[p * s->limit + i];
        }
    if (team->index == team->count - 1)
        *s->count = place;
}

#endif
