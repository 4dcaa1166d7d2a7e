/* What librdkafka's example `rdkafka_performance` takes from the library's own sources, so that it can be built beside
 * an installed library. Ours; the example comes from Debian's package librdkafka-dev. */
#pragma once

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RD_MAX(a, b) ((a) > (b) ? (a) : (b))
#define RD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define rd_snprintf snprintf

typedef int64_t rd_ts_t;

/* Microseconds of a clock that nobody sets. */
static inline rd_ts_t rd_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (rd_ts_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
