/* Runs a program as a small parent and tells its highest resident size (KiB) and its minor page faults,
 * as the kernel hands them out with the exit status. Both start with what the child had between fork and
 * exec, which is why the parent must be this small.
 *
 * launch PROGRAM [LIBRARY]: the library is preloaded into the program alone. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status;
    struct rusage usage;
    pid_t child;
    if (argc < 2 || (argc > 2 && setenv("LD_PRELOAD", argv[2], 1) != 0))
        return 2;
    child = fork();
    if (child == 0) {
        execl(argv[1], argv[1], (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        return 1;
    printf("%ld %ld\n", usage.ru_maxrss, usage.ru_minflt);
    return 0;
}
