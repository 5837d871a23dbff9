/* Threads: libgomp's team, and what to do where a fork has taken its workers away.
 *
 * libgomp keeps the workers of a thread for the next parallel region of that thread. After a fork the child has one thread, which still
 * believes in workers that do not exist in the child, and waits for them for ever. A thread started after the fork gets workers of its
 * own, so the child's first thread has its parallel regions run by such a thread, one for each context.
 */
#ifndef DLC_FORK_H
#define DLC_FORK_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dlc_context.h"

/* What `#pragma omp parallel` becomes, spelled out: clang's own -fopenmp would bring a second runtime, this works with both compilers. */
extern void GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_get_num_procs(void);
extern int omp_get_max_threads(void);

static int dlc_forks; /* how often this process, or one it was forked from, has forked since the library was loaded */
static pthread_once_t dlc_threads_once = PTHREAD_ONCE_INIT;

static void dlc_forked(void)
{
    ++dlc_forks;
}

/* Whether this process is a fork that has not called exec: then its first thread may have lost workers before the library was loaded. */
static int dlc_process_is_fork(void)
{
    const unsigned PF_FORKNOEXEC = 0x40; /* linux/sched.h; field 9 of /proc/PID/stat, counted after the name, which may hold anything */
    char line[1024];
    unsigned flags = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return 0;
    const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return name_end && sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_FORKNOEXEC);
}

extern void *dlopen(const char *, int) __attribute__((weak)); /* who has loaded us at run time has it, even where it is not in libc */

static void dlc_threads_first(void)
{
    if (dlopen)
        dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE); /* its idle workers must outlive our being unloaded */
    if (dlc_process_is_fork())
        dlc_forks = 1;
    pthread_atfork(NULL, NULL, dlc_forked);
}

static void dlc_threads_begin(void)
{
    pthread_once(&dlc_threads_once, dlc_threads_first);
}

/* Whether the calling thread is the one that came through a fork. */
static int dlc_pool_is_stale(void)
{
    static _Thread_local int forks = -1, stale;
    if (__builtin_expect(forks != dlc_forks, 0)) {
        forks = dlc_forks;
        stale = forks > 0 && (pid_t)syscall(SYS_gettid) == getpid();
    }
    return stale;
}

static void *dlc_helper_loop(void *argument)
{
    dlc_helper *helper = argument;
    pthread_mutex_lock(&helper->mutex);
    for (;;) {
        while (helper->state == DLC_HELPER_IDLE)
            pthread_cond_wait(&helper->changed, &helper->mutex);
        if (helper->state == DLC_HELPER_STOP)
            break;
        helper->work(helper->argument);
        helper->state = DLC_HELPER_IDLE;
        pthread_cond_broadcast(&helper->changed);
    }
    pthread_mutex_unlock(&helper->mutex);
    return NULL;
}

/* 0, or the errno for which no thread could be started. */
static int dlc_helper_start(dlc_helper *helper)
{
    sigset_t all, before;
    memset(helper, 0, sizeof *helper); /* a helper from before the fork is memory, no thread */
    pthread_mutex_init(&helper->mutex, NULL);
    pthread_cond_init(&helper->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's signals are its own threads' business */
    const int failure = pthread_create(&helper->thread, NULL, dlc_helper_loop, helper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    helper->started = !failure;
    helper->forks = dlc_forks;
    return failure;
}

static int dlc_helper_run(dlc_helper *helper, void (*work)(void *), void *argument)
{
    if (!helper->started || helper->forks != dlc_forks) {
        const int failure = dlc_helper_start(helper);
        if (failure)
            return failure;
    }
    pthread_mutex_lock(&helper->mutex);
    helper->work = work;
    helper->argument = argument;
    helper->state = DLC_HELPER_WORK;
    pthread_cond_broadcast(&helper->changed);
    while (helper->state == DLC_HELPER_WORK)
        pthread_cond_wait(&helper->changed, &helper->mutex);
    pthread_mutex_unlock(&helper->mutex);
    return 0;
}

static void dlc_helper_stop(dlc_helper *helper)
{
    if (!helper->started || helper->forks != dlc_forks)
        return;
    pthread_mutex_lock(&helper->mutex);
    helper->state = DLC_HELPER_STOP;
    pthread_cond_broadcast(&helper->changed);
    pthread_mutex_unlock(&helper->mutex);
    pthread_join(helper->thread, NULL);
    pthread_mutex_destroy(&helper->mutex);
    pthread_cond_destroy(&helper->changed);
    helper->started = 0;
}

#endif
