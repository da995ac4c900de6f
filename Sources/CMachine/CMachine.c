#define _GNU_SOURCE
#include "CMachine.h"
#include <pthread.h>
#include <sched.h>

size_t machine_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

size_t machine_processor_numbers(int *numbers, size_t capacity) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    size_t count = 0;
    for (int i = 0; i < CPU_SETSIZE && count < capacity; i++)
        if (CPU_ISSET(i, &set)) numbers[count++] = i;
    return count;
}

bool machine_restrict_thread(const int *numbers, size_t count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < count; i++) CPU_SET(numbers[i], &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}
