/* Preloaded into dpkg: stops it just before one of its own renames or unlinks, named in $STOP_AT as
   rename:/usr/bin/edge-agent or unlink:/usr/... */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void maybe(const char *operation, const char *path)
{
    const char *at = getenv("STOP_AT");
    size_t length = strlen(operation);
    if (at && strcmp(program_invocation_short_name, "dpkg") == 0 && strncmp(at, operation, length) == 0
        && at[length] == ':' && strcmp(at + length + 1, path) == 0)
        kill(getpid(), SIGSTOP);
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    maybe("rename", to);
    return real(from, to);
}

int unlink(const char *path)
{
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    maybe("unlink", path);
    return real(path);
}
