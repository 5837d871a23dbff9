/* The turns of a loop that need nothing of one another, shared out among the threads of a team.
 *
 * Each thread takes whole turns for itself, a team of one with memory of its own, so that nobody waits for anybody. Turns that are left over,
 * fewer than there are threads, are done by all threads together, in the memory of the first.
 */
#ifndef DLC_TURNS_H
#define DLC_TURNS_H

#include "dlc_context.h"

typedef struct dlc_turns {
    int64_t turn;  /* the one to do now; beyond `length` when all are done */
    int64_t length, apart; /* how many there are, and how many of them threads do for themselves */
    dlc_team *all;
    dlc_team team; /* who does this turn: this thread alone, or all */
    void *memory;  /* what a turn computes with */
    int64_t bytes; /* of that */
} dlc_turns;

/* From now on all threads together do each turn. */
static inline void dlc_join_turns(const dlc_context *context, dlc_turns *turns)
{
    turns->turn = turns->apart;
    turns->team = *turns->all;
    turns->team.scratch += turns->bytes;
    turns->memory = (char *)context->arena + context->scratch_offset;
}

/* The first turn of this thread. `bytes`: what a turn needs, a multiple of a cache line; so much of a thread's scratch is taken for it. */
static inline dlc_turns dlc_first_turn(const dlc_context *context, dlc_team *team, int64_t length, int64_t bytes)
{
    dlc_turns turns = {.turn = team->index, .length = length, .apart = length - length % team->count, .all = team,
                       .team = dlc_alone(team), .memory = team->scratch, .bytes = bytes};
    turns.team.scratch += bytes;
    if (turns.apart == 0)
        dlc_join_turns(context, &turns);
    return turns;
}

/* The next one, once everybody who is doing the one before has finished it. */
static inline void dlc_next_turn(const dlc_context *context, dlc_turns *turns)
{
    dlc_barrier(&turns->team);
    if (turns->turn >= turns->apart) {
        ++turns->turn;
        return;
    }
    turns->turn += turns->all->count;
    if (turns->turn >= turns->apart) {
        dlc_barrier(turns->all);
        dlc_join_turns(context, turns);
    }
}

#endif
