/*
 * A disk that is slower than the one there is: put before the C library by
 * LD_PRELOAD, it waits before each sync and then does the real one.
 *
 *   SLOW_DISK_MILLIS  waits so long
 *   SLOW_DISK_COUNT   appends a byte to this file for each sync
 *   SLOW_DISK_HELD    while this file is there, no sync returns
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void sleep_millis(long millis)
{
    struct timespec left = {millis / 1000, millis % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static void wait_before(void)
{
    const char *millis = getenv("SLOW_DISK_MILLIS");
    const char *count = getenv("SLOW_DISK_COUNT");
    const char *held = getenv("SLOW_DISK_HELD");

    if (count != NULL) {
        int file = open(count, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        /* A sync that is not counted shows as a count of zero, which is refused. */
        if (file >= 0) {
            ssize_t written = write(file, ".", 1);
            (void)written;
            close(file);
        }
    }
    if (millis != NULL && atol(millis) > 0)
        sleep_millis(atol(millis));
    while (held != NULL && access(held, F_OK) == 0)
        sleep_millis(10);
}

int fsync(int file)
{
    wait_before();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    wait_before();
    return (int)syscall(SYS_fdatasync, file);
}
